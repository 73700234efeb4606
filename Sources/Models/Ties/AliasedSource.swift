import TMPackByteIO
import TMPackTensorKit

/// Another source with more names for some of its tensors: those of weights that it is tied to and does not hold itself.
package struct AliasedSource: SourceView {
  package let tensors: [TensorInfo]
  package let source: any TensorSource
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

  package var ties: [String: String] {
    aliases.reduce(into: source.ties) { ties, alias in
      ties[alias.key.text] = source.ties.tie(of: alias.value.name) ?? alias.value.name
    }
  }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { original(of: info) }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(original(of: info), into: destination)
  }

  private func original(of info: TensorInfo) -> TensorInfo { aliases[ExactString(info.name)] ?? info }
}
