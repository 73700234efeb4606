import TMPackByteIO
import TMPackTensorKit

/// A merged model that counts the numbers of it that are too large for their dtype.
package struct CountedMerge: SourceView {
  private let merged: SharedModelSource
  private let overflows = OverflowCount()

  package init(_ merged: SharedModelSource) { self.merged = merged }

  package var source: any TensorSource { merged }

  package var tensors: [TensorInfo] { merged.tensors }

  /// Numbers that are not finite, though those that they were merged of are: in all tensors that have been read so far, each
  /// time that they were.
  package var overflowCount: Int { overflows.value }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? { nil }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try merged.read(info, into: destination)
    let sources = [merged.sources.base] + merged.sources.experts.map(\.source)
    guard let first = info.dtype.floatFormat?.firstNonFinite(UnsafeRawBufferPointer(destination)) else { return }
    let merged = TensorBytes(viewing: UnsafeRawBufferPointer(destination), keeping: overflows)
    overflows.add(try info.overflowCount(of: OpenTensor(merged), from: first, mergedOf: sources))
  }
}

extension TensorInfo {
  /// Elements of a merged tensor that are not finite, though those of the same place in `sources` are.
  ///
  /// Memory: a chunk of elements, and what reading takes.
  ///
  /// - Parameter first: the first that is not finite.
  package func overflowCount(
    of merged: OpenTensor, from first: Int, mergedOf sources: [any TensorSource]
  ) throws(StorageError) -> Int {
    guard let format = dtype.floatFormat else { return 0 }
    let elements = sources.compactMap { source in
      source.tensor(named: name).flatMap { $0.matches(self) ? StoredElements($0, of: source) : nil }
    }
    let room = min(shape.elementCount - first, 1 << 16)
    var (overflowed, values) = ([Bool](), [Double](repeating: 0, count: room))
    var count = 0
    for start in stride(from: first, to: shape.elementCount, by: room) {
      let range = start..<min(start + room, shape.elementCount)
      let bytes = range.lowerBound * format.byteWidth..<range.upperBound * format.byteWidth
      try merged.withBytes(bytes) { raw in
        values.withUnsafeMutableBufferPointer { format.widen(raw, into: .init(rebasing: $0[..<range.count])) }
      }
      overflowed = values[..<range.count].map { !$0.isFinite }
      guard overflowed.contains(true) else { continue }
      for own in elements {
        try values.withUnsafeMutableBufferPointer { values throws(StorageError) in
          try own.read(range, into: .init(rebasing: values[..<range.count]))
        }
        for i in overflowed.indices where !values[i].isFinite { overflowed[i] = false }
      }
      count += overflowed.count { $0 }
    }
    return count
  }
}
