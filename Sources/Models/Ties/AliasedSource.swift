import TMPackByteIO
import TMPackTensorKit

/// Another source with more names for some of its tensors: those of weights that it is tied to and does not hold itself.
package struct AliasedSource: TensorSource {
  package let tensors: [TensorInfo]
  private let source: any TensorSource
  /// What each added name stands for.
  private let aliases: [ExactString: TensorInfo]

  /// - Parameter aliases: names that the source lacks, with the tensor of the source that each is.
  package init(_ source: any TensorSource, aliases: [String: TensorInfo]) throws(StorageError) {
    self.source = source
    self.aliases = Dictionary(uniqueKeysWithValues: aliases.map { (ExactString($0.key), $0.value) })
    let added = try aliases.map { name, info throws(StorageError) in
      try TensorInfo(name: name, dtype: info.dtype, shape: info.shape)
    }
    tensors = (source.tensors + added).sortedByName()
  }

  package var metadata: [String: String] { source.metadata }
  package var typedMetadata: TypedMetadata { source.typedMetadata }
  package var label: String { source.label }
  package var notes: [String] { source.notes }

  package var ties: [String: String] {
    aliases.reduce(into: source.ties) { ties, alias in
      ties[alias.key.text] = source.ties.tie(of: alias.value.name) ?? alias.value.name
    }
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(original(of: info), into: destination)
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    try source.bytes(of: original(of: info))
  }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try source.piece(range, of: original(of: info))
  }

  package func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    try source.stored(original(of: info))
  }

  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    try source.spanned(original(of: info))
  }

  private func original(of info: TensorInfo) -> TensorInfo { aliases[ExactString(info.name)] ?? info }
}
