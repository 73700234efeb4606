import TMPackByteIO

/// Another source with other metadata.
package struct DescribedSource: SourceView {
  package let typedMetadata: TypedMetadata
  package let source: any TensorSource

  package init(_ source: any TensorSource, metadata: TypedMetadata) {
    self.source = source
    typedMetadata = metadata
  }

  package var tensors: [TensorInfo] { source.tensors }
  package var metadata: [String: String] { typedMetadata.strings }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { info }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }
}
