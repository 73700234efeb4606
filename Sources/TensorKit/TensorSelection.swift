import TMPackByteIO

/// Some of another source's tensors, as if the rest were not there.
package struct TensorSelection: TensorSource {
  package let tensors: [TensorInfo]
  private let source: any TensorSource

  /// The tensors for which `predicate` holds.
  package init(of source: any TensorSource, where predicate: (TensorInfo) -> Bool) {
    tensors = source.tensors.filter(predicate)
    self.source = source
  }

  /// The tensors whose names match a pattern of `included` (all, when there is none) and none of `excluded`.
  package init(of source: any TensorSource, including included: [Glob] = [], excluding excluded: [Glob] = []) {
    self.init(of: source) { info in
      (included.isEmpty || included.contains { $0.matches(info.name) })
        && !excluded.contains { $0.matches(info.name) }
    }
  }

  package var metadata: [String: String] { source.metadata }
  package var typedMetadata: TypedMetadata { source.typedMetadata }
  package var label: String { source.label }
  package var notes: [String] { source.notes }

  package var ties: [String: String] {
    // The first of them may be left out; then the next one takes its place.
    var firsts: [ExactString: String] = [:]
    var ties: [String: String] = [:]
    let all = source.ties
    for info in tensors {
      let first = all.tie(of: info.name) ?? info.name
      if let kept = firsts[ExactString(first)] {
        ties[info.name] = kept
      } else {
        firsts[ExactString(first)] = info.name
      }
    }
    return ties
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try source.piece(range, of: info)
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try source.bytes(of: info) }

  package func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? { try source.stored(info) }

  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? { try source.spanned(info) }
}
