import TMPackByteIO

/// Of what goes along with archives.
extension Limits {
  /// A receipt of a mix: at most a few hundred bytes for each tensor.
  package static let receiptBytes: UInt64 = 512 << 20
  /// Rows of a file of embeddings.
  package static let embeddingRows = 1 << 24
}
