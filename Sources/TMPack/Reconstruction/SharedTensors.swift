import ArchiveFormat
import ByteIO
import Digests
import TensorKit

/// The tensors of an archive's shared model, wherever they are: embedded, or in a checkpoint bound by digest (TMP-6-4).
struct SharedTensors: Sendable {
  let section: Section<SharedManifest>
  private let payloads: PayloadReader
  private let detached: (any TensorSource)?
  private let archivePath: String

  init(of archive: Archive) throws(StorageError) {
    section = try archive.file.sharedSection()
    payloads = archive.file.payloads
    detached = archive.isDetached ? archive.givenSharedModel : nil
    archivePath = archive.path
  }

  /// - Parameter detached: the checkpoint that holds the model, for entries without a payload.
  init(section: Section<SharedManifest>, payloads: PayloadReader, detached: (any TensorSource)?, archivePath: String) {
    self.section = section
    self.payloads = payloads
    self.detached = detached
    self.archivePath = archivePath
  }

  var manifest: SharedManifest { section.manifest }

  /// Fills `destination` with a tensor's bytes.
  ///
  /// - Parameter checkingDigest: also check embedded frames by digest; a detached tensor always is.
  func read(
    _ entry: SharedEntry, into destination: UnsafeMutableRawBufferPointer, checkingDigest: Bool = false
  ) throws(StorageError) {
    if let payload = entry.payload {
      return try located(tensor: entry.info.name) { () throws(StorageError) in
        try payloads.read(payload, of: section, into: destination, checkingDigests: checkingDigest)
      }
    }
    let source = try requiredSource()
    let info = try matching(entry, in: source)
    try source.read(info, into: destination)
    let actual = Digest(of: UnsafeRawBufferPointer(destination))
    guard actual == entry.digest else {
      throw StorageError(
        .baseMismatch,
        "is not the tensor that \(archivePath) is bound to: expected digest \(entry.digest), found \(actual)",
        file: source.label, tensor: entry.info.name)
    }
  }

  func bytes(of entry: SharedEntry) throws(StorageError) -> TensorBytes {
    try TensorBytes(count: entry.info.byteCount) { buffer throws(StorageError) in try read(entry, into: buffer) }
  }

  /// The bytes of a non-tensor file.
  func bytes(of file: CarriedFileEntry) throws(StorageError) -> [UInt8] {
    try payloads.bytes(of: file.payload, in: section)
  }

  /// Throws `baseMismatch` for the first tensor that a detached model lacks or has of another dtype or shape.
  func checkInfos() throws(StorageError) {
    let source = try requiredSource()
    for entry in manifest.tensors { _ = try matching(entry, in: source) }
  }

  private func requiredSource() throws(StorageError) -> any TensorSource {
    guard let detached else {
      throw StorageError(
        .invalidArgument, "is detached: its shared model is another checkpoint, which --shared-from names",
        file: archivePath)
    }
    return detached
  }

  private func matching(_ entry: SharedEntry, in source: any TensorSource) throws(StorageError) -> TensorInfo {
    guard let info = source.tensor(named: entry.info.name) else {
      throw StorageError(
        .baseMismatch, "lacks a tensor of the shared model that \(archivePath) is bound to", file: source.label,
        tensor: entry.info.name)
    }
    guard info.matches(entry.info) else {
      throw StorageError(
        .baseMismatch,
        "is \(info.dtype.rawValue) \(info.shape); \(archivePath) is bound to one of \(entry.info.dtype.rawValue) \(entry.info.shape)",
        file: source.label, tensor: entry.info.name)
    }
    return info
  }
}
