import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// A tmpack archive, open for reading: where everything that looks at one begins.
///
/// ```swift
/// let archive = try Archive("zoo.tmpack")
/// let reconstructor = try Reconstructor(archive)
/// let mix = try reconstructor.mix(RouterWeights([("code", 0.7), ("math", 0.3)]))
/// for tensor in mix.tensors {
///   let bytes = try mix.bytes(of: tensor)
///   print(tensor.name, tensor.dtype.rawValue, tensor.shape, bytes.count)
/// }
/// try CheckpointDestination("mix.safetensors").write(mix)
/// ```
public struct Archive: Sendable {
  package let file: ArchiveFile
  /// The shared model of a detached archive, if it was given.
  public let givenSharedModel: (any TensorSource)?

  /// Opens an archive: reads and checks the header and the index, nothing else.
  ///
  /// - Parameters:
  ///   - path: of the file.
  ///   - mode: how its bytes come into memory.
  ///   - sharedModel: the shared model of a detached archive. It is checked against the archive, tensor by tensor, as it is read.
  /// - Throws: `unknownFormat`, `unsupportedVersion`, `unsupportedFeature`, `truncated`, `malformed`, `digestMismatch`,
  ///   `limitExceeded`, or an I/O error; `baseMismatch`, naming the first differing tensor, for a wrong shared model.
  public init(_ path: String, mode: InputMode = .automatic, sharedModel: (any TensorSource)? = nil)
    throws(StorageError)
  {
    try self.init(ArchiveFile(path, mode: mode), sharedModel: sharedModel)
  }

  /// The same, of bytes that may be elsewhere.
  package init(_ file: ReadableFile, sharedModel: (any TensorSource)? = nil) throws(StorageError) {
    try self.init(ArchiveFile(file), sharedModel: sharedModel)
  }

  private init(_ file: ArchiveFile, sharedModel: (any TensorSource)?) throws(StorageError) {
    self.file = file
    givenSharedModel = sharedModel
    if sharedModel != nil, isDetached { try SharedTensors(of: self).checkInfos() }
  }

  public var path: String { file.path }

  /// Names the whole content.
  public var rootDigest: ContentDigest { file.rootDigest }

  /// Bytes of the archive.
  public var size: UInt64 { file.size }

  /// The experts in declaration order, as the index lists them.
  package var experts: [ExpertReference] { file.index.experts }

  /// How the shared model was made.
  package var method: SharedMethod { file.index.method }

  /// Whether the shared model is a checkpoint elsewhere, bound by digest.
  public var isDetached: Bool { file.index.storage == .detached }

  /// Whether its tensors are stored as they are (TMP-5-12).
  package var isMappable: Bool { file.index.required.contains(.mappable) }

  /// The shared model's tensors, files, metadata and provenance.
  package func sharedManifest() throws(StorageError) -> SharedManifest { try file.sharedSection().manifest }

  /// An expert's entries, files, metadata and provenance.
  package func manifest(ofExpert name: String) throws(StorageError) -> ExpertManifest {
    try file.expertSection(file.expertIndex(named: name)).manifest
  }
}
