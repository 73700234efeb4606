import ByteIO

/// Another source with other metadata.
public struct DescribedSource: TensorSource {
  public let typedMetadata: TypedMetadata
  private let source: any TensorSource

  public init(_ source: any TensorSource, metadata: TypedMetadata) {
    self.source = source
    typedMetadata = metadata
  }

  public var tensors: [TensorInfo] { source.tensors }
  public var metadata: [String: String] { typedMetadata.strings }
  public var label: String { source.label }
  public var ties: [String: String] { source.ties }
  public var notes: [String] { source.notes }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try source.bytes(of: info) }

  public func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? { try source.stored(info) }

  public func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? { try source.spanned(info) }
}
