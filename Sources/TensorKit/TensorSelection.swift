import TMPackByteIO

/// Some of another source's tensors, as if the rest were not there.
package struct TensorSelection: SourceView {
  package let tensors: [TensorInfo]
  package let source: any TensorSource

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

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { info }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }
}
