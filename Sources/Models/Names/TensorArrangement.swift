import TMPackByteIO
import TMPackTensorKit

/// How a tensor's bytes come from other tensors': one of another name, a part of one, or several put together.
package struct TensorArrangement: Sendable, Hashable {
  /// `count` runs of `run` bytes each, from every `sourceStride` bytes of one tensor to every `stride` bytes of the other.
  package struct Copy: Sendable, Hashable {
    package let source: TensorInfo
    package let count: Int
    package let run: Int
    package let sourceStart: Int
    package let sourceStride: Int
    package let start: Int
    package let stride: Int

    /// The runs that have any of some bytes of the tensor that is made, of which there are some.
    func runs(touching bytes: Range<Int>) -> Range<Int> {
      guard count > 1 else { return start < bytes.upperBound && bytes.lowerBound < start + run ? 0..<1 : 0..<0 }
      guard start < bytes.upperBound else { return 0..<0 }
      let before = max(0, bytes.lowerBound - start)
      // The run that the first byte is in, or behind.
      let first = before / stride + (before % stride < run ? 0 : 1)
      let end = min(count, (bytes.upperBound - start - 1) / stride + 1)
      return first < end ? first..<end : 0..<0
    }
  }

  package let info: TensorInfo
  package let copies: [Copy]

  /// The tensor that it is all of, under another name or its own; nil where it is made of parts.
  package var whole: TensorInfo? {
    guard copies.count == 1, copies[0].run == info.byteCount, copies[0].source.byteCount == info.byteCount else {
      return nil
    }
    return copies[0].source
  }

  /// All of a tensor with its rows in another order.
  package var isReordered: Bool {
    whole == nil && copies[0].source.shape == info.shape && copies.allSatisfy { $0.source == copies[0].source }
  }

  /// All of a tensor that has another name.
  var isRenamed: Bool {
    guard let original = whole ?? (isReordered ? copies[0].source : nil) else { return false }
    return !original.name.hasSameBytes(as: info.name)
  }

  /// All of a tensor under a name.
  package init(_ source: TensorInfo, named name: String) throws(StorageError) {
    info = try TensorInfo(name: name, dtype: source.dtype, shape: source.shape)
    copies = [
      Copy(
        source: source, count: 1, run: info.byteCount, sourceStart: 0, sourceStride: info.byteCount, start: 0,
        stride: info.byteCount)
    ]
  }

  /// - Returns: nil unless the copies fill the tensor, each byte once as far as their number tells, and lie within.
  package init?(_ info: TensorInfo, _ copies: [Copy]) {
    var sum = 0
    for copy in copies {
      guard copy.count > 0, copy.run > 0 || info.byteCount == 0, copy.start >= 0, copy.sourceStart >= 0,
        Self.end(copy.start, copy.stride, copy).map({ $0 <= info.byteCount }) == true,
        Self.end(copy.sourceStart, copy.sourceStride, copy).map({ $0 <= copy.source.byteCount }) == true
      else { return nil }
      let (bytes, overflows) = sum.addingReportingOverflow(copy.count &* copy.run)
      if overflows { return nil }
      sum = bytes
    }
    guard sum == info.byteCount, !copies.isEmpty else { return nil }
    self.info = info
    self.copies = copies
  }

  /// Behind the last run; nil where runs overlap or numbers overflow.
  private static func end(_ start: Int, _ stride: Int, _ copy: Copy) -> Int? {
    guard copy.count == 1 || stride >= copy.run else { return nil }
    let (steps, overflows) = stride.multipliedReportingOverflow(by: copy.count - 1)
    let (last, overflowsToo) = steps.addingReportingOverflow(start)
    let (end, overflowsAtLast) = last.addingReportingOverflow(copy.run)
    return overflows || overflowsToo || overflowsAtLast ? nil : end
  }
}

/// Where a part lies in the tensor that has it.
struct TensorPart {
  let count: Int
  let run: Int
  let start: Int
  let stride: Int

  /// - Parameters:
  ///   - number: of the matrix, in a stack of them.
  ///   - before: elements along the axis in front of the part.
  /// - Returns: nil where it does not fit.
  init?(of part: TensorInfo, in whole: TensorInfo, axis: Int, before: Int, number: Int?) {
    let dimensions = part.shape.dimensions
    var rest = whole.shape.dimensions[...]
    let bits = whole.dtype.bitWidth
    guard part.dtype == whole.dtype, bits.isMultiple(of: 8) else { return nil }
    var start = 0
    if let number {
      guard let numbers = rest.popFirst(), (0..<numbers).contains(number), numbers > 0 else { return nil }
      start = number * (whole.byteCount / numbers)
    }
    let host = Array(rest)
    guard host.count == dimensions.count, dimensions.indices.contains(axis), before >= 0,
      before + dimensions[axis] <= host[axis], part.shape.elementCount > 0,
      dimensions.indices.allSatisfy({ $0 == axis || dimensions[$0] == host[$0] })
    else { return nil }
    let inner = dimensions[(axis + 1)...].reduce(bits / 8, *)
    let outer = dimensions[..<axis].reduce(1, *)
    start += before * inner
    let (run, stride) = (dimensions[axis] * inner, host[axis] * inner)
    self.start = start
    (self.count, self.run, self.stride) = run == stride ? (1, run * outer, run * outer) : (outer, run, stride)
  }

  /// The part out of the whole.
  func slice(of whole: TensorInfo) -> TensorArrangement.Copy {
    .init(source: whole, count: count, run: run, sourceStart: start, sourceStride: stride, start: 0, stride: run)
  }

  /// The part into the whole.
  func placed(_ part: TensorInfo) -> TensorArrangement.Copy {
    .init(source: part, count: count, run: run, sourceStart: 0, sourceStride: run, start: start, stride: stride)
  }
}
