import TMPackByteIO

/// A source around another: what it says nothing else of is as that one has it.
package protocol SourceView: TensorSource {
  var source: any TensorSource { get }

  /// The source's tensor whose bytes one of the view's has; nil where the view makes them, or has to see them pass.
  ///
  /// - Parameter info: one of `tensors`.
  func unchanged(_ info: TensorInfo) -> TensorInfo?
}

extension SourceView {
  package var metadata: [String: String] { source.metadata }
  package var typedMetadata: TypedMetadata { source.typedMetadata }
  package var label: String { source.label }
  package var ties: [String: String] { source.ties }
  package var notes: [String] { source.notes }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    if let original = unchanged(info) { return try source.bytes(of: original) }
    return try located(file: label, tensor: info.name) { () throws(StorageError) in
      try TensorBytes(count: info.byteCount) { buffer throws(StorageError) in try read(info, into: buffer) }
    }
  }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    guard let original = unchanged(info) else { return nil }
    return try source.piece(range, of: original)
  }

  package func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    guard let original = unchanged(info) else { return nil }
    return try source.stored(original)
  }

  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    guard let original = unchanged(info) else { return nil }
    return try source.spanned(original)
  }
}
