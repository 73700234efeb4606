import TMPackByteIO

/// Another source with other metadata.
package struct DescribedSource: TensorSource {
  package let typedMetadata: TypedMetadata
  private let source: any TensorSource

  package init(_ source: any TensorSource, metadata: TypedMetadata) {
    self.source = source
    typedMetadata = metadata
  }

  package var tensors: [TensorInfo] { source.tensors }
  package var metadata: [String: String] { typedMetadata.strings }
  package var label: String { source.label }
  package var ties: [String: String] { source.ties }
  package var notes: [String] { source.notes }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try source.bytes(of: info) }

  package func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? { try source.stored(info) }

  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? { try source.spanned(info) }
}
