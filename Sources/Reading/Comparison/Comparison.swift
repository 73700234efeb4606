import TMPackByteIO
import TMPackParallel
import TMPackTensorKit

/// How the tensors of two checkpoints differ, one tensor at a time.
public struct Comparison: Sendable {
  /// One tensor that both have.
  public struct Tensor: Sendable, Hashable {
    public let left: TensorInfo
    public let right: TensorInfo
    /// Nil when the shapes differ.
    public let difference: Difference?

    /// Whether there is an error: both are of a float dtype, and of one shape.
    public var hasError: Bool {
      difference != nil && left.dtype.floatFormat != nil && right.dtype.floatFormat != nil
    }
  }

  /// Measured in binary64, in the order of the elements. Infinite or NaN where an element is not finite, unless both are equal
  /// to the bit.
  public struct Difference: Sendable, Hashable {
    public let elementCount: Int
    /// Elements whose bits are the same; of two dtypes, after widening to a common type.
    public let equalCount: Int
    /// ‖a‖², ‖b‖², ‖a − b‖², a·b and max |a − b|. Zero for tensors that are not of a float dtype.
    public let leftSquares: Double
    public let rightSquares: Double
    public let differenceSquares: Double
    public let product: Double
    public let maximum: Double

    /// ‖a − b‖ ÷ ‖a‖; 0 when both are zero, infinite when only a is.
    public var relativeError: Double {
      differenceSquares == 0 ? 0 : (differenceSquares / leftSquares).squareRoot()
    }

    /// a·b ÷ ‖a‖‖b‖; 1 for equal tensors, zero ones included.
    public var cosine: Double {
      differenceSquares == 0 ? 1 : product / (leftSquares.squareRoot() * rightSquares.squareRoot())
    }

    public var isEqual: Bool { equalCount == elementCount }
  }

  public let tensors: [Tensor]
  public let onlyLeft: [String]
  public let onlyRight: [String]

  /// Compares all tensors of two sources.
  ///
  /// Memory: two tensors for each thread.
  /// - Parameters:
  ///   - left: what errors are relative to.
  ///   - right: its tensors are compared with those of the same names.
  ///   - pipeline: how many threads.
  ///   - progress: called with the bytes of `left` done and to do.
  public init(
    _ left: any TensorSource, _ right: any TensorSource, pipeline: OrderedPipeline = .automatic,
    progress: (UInt64, UInt64) -> Void = { _, _ in }
  ) throws(StorageError) {
    let (pairs, onlyLeft, onlyRight) = Self.joined(left.tensors, right.tensors)
    (self.onlyLeft, self.onlyRight) = (onlyLeft, onlyRight)
    let jobs = Self.jobs(pairs)
    let total = pairs.reduce(0) { $0 + UInt64($1.0.byteCount) }
    var done: UInt64 = 0
    var tensors: [Tensor] = []
    tensors.reserveCapacity(pairs.count)
    try pipeline.run(jobs.count) { number throws(StorageError) in
      try pairs[jobs[number]].map { pair throws(StorageError) in
        let (a, b) = pair
        guard a.shape == b.shape else { return Tensor(left: a, right: b, difference: nil) }
        let difference = try left.bytes(of: a).withBytes { leftBytes throws(StorageError) in
          try right.bytes(of: b).withBytes { Difference(a, leftBytes, b, $0) }
        }
        return Tensor(left: a, right: b, difference: difference)
      }
    } consume: { number, compared in
      for pair in pairs[jobs[number]] { done += UInt64(pair.0.byteCount) }
      progress(done, total)
      tensors += compared
    }
    self.tensors = tensors
  }

  /// Two sorted lists, taken together by name.
  private static func joined(
    _ left: [TensorInfo], _ right: [TensorInfo]
  ) -> (pairs: [(TensorInfo, TensorInfo)], onlyLeft: [String], onlyRight: [String]) {
    var pairs: [(TensorInfo, TensorInfo)] = []
    var (onlyLeft, onlyRight): ([String], [String]) = ([], [])
    var (i, j) = (0, 0)
    while i < left.count, j < right.count {
      if left[i].name.hasSameBytes(as: right[j].name) {
        pairs.append((left[i], right[j]))
        (i, j) = (i + 1, j + 1)
      } else if left[i].name.precedesInBytes(right[j].name) {
        onlyLeft.append(left[i].name)
        i += 1
      } else {
        onlyRight.append(right[j].name)
        j += 1
      }
    }
    return (pairs, onlyLeft + left[i...].map(\.name), onlyRight + right[j...].map(\.name))
  }

  /// Runs of pairs that are one job: one that is large, or many that are small.
  private static func jobs(_ pairs: [(TensorInfo, TensorInfo)]) -> [Range<Int>] {
    let enough = 1 << 20
    var jobs: [Range<Int>] = []
    var (start, bytes) = (0, 0)
    for (index, pair) in pairs.enumerated() {
      if index > start, pair.0.byteCount > enough - bytes || index - start == 1024 {
        jobs.append(start..<index)
        (start, bytes) = (index, 0)
      }
      bytes = min(enough, bytes + min(enough, pair.0.byteCount))
    }
    if start < pairs.count { jobs.append(start..<pairs.count) }
    return jobs
  }

  /// Whether both hold the same tensors, bit for bit.
  public var isEqual: Bool {
    onlyLeft.isEmpty && onlyRight.isEmpty
      && tensors.allSatisfy { $0.left.matches($0.right) && $0.difference?.isEqual == true }
  }

  /// The tensors that differ most first: those of two shapes, or that differ with no number for an error, then by their
  /// relative error.
  public var worstFirst: [Tensor] {
    func rank(_ tensor: Tensor) -> Double {
      guard let difference = tensor.difference, !difference.relativeError.isNaN else { return .infinity }
      return tensor.hasError ? difference.relativeError : difference.isEqual ? 0 : .infinity
    }
    return tensors.enumerated().sorted { (rank($1.element), $0.offset) < (rank($0.element), $1.offset) }.map(\.element)
  }

  /// ‖a − b‖ ÷ ‖a‖ over all tensors of equal shape and float dtype.
  public var relativeError: Double {
    let differences = tensors.compactMap(\.difference)
    let squares = differences.reduce(0) { $0 + $1.differenceSquares }
    return squares == 0 ? 0 : (squares / differences.reduce(0) { $0 + $1.leftSquares }).squareRoot()
  }
}

extension Comparison.Difference {
  init(_ a: TensorInfo, _ aBytes: UnsafeRawBufferPointer, _ b: TensorInfo, _ bBytes: UnsafeRawBufferPointer) {
    let count = a.shape.elementCount
    elementCount = count
    guard let aFormat = a.dtype.floatFormat, let bFormat = b.dtype.floatFormat else {
      leftSquares = 0
      rightSquares = 0
      differenceSquares = 0
      product = 0
      maximum = 0
      equalCount = a.dtype == b.dtype ? Self.equalElements(aBytes, bBytes, bits: a.dtype.bitWidth, count: count) : 0
      return
    }
    var squares = (left: 0.0, right: 0.0, difference: 0.0)
    var product = 0.0
    var maximum = 0.0
    var equal = 0
    let step = max(1, min(count, 1 << 16))
    let hasOneFormat = aFormat == bFormat
    let values = UnsafeMutableBufferPointer<Double>.allocate(capacity: 2 * step)
    defer { values.deallocate() }
    for start in stride(from: 0, to: count, by: step) {
      let n = min(step, count - start)
      let x = UnsafeMutableBufferPointer(rebasing: values[0..<n])
      let y = UnsafeMutableBufferPointer(rebasing: values[step..<step + n])
      aFormat.widen(
        UnsafeRawBufferPointer(rebasing: aBytes[start * aFormat.byteWidth..<(start + n) * aFormat.byteWidth]), into: x)
      bFormat.widen(
        UnsafeRawBufferPointer(rebasing: bBytes[start * bFormat.byteWidth..<(start + n) * bFormat.byteWidth]), into: y)
      for i in 0..<n {
        let (p, q) = (x[i], y[i])
        // Widening makes signalling NaNs quiet, so of NaNs the bytes count.
        if p.bitPattern == q.bitPattern,
          !(p.isNaN && hasOneFormat) || Self.isEqual(aBytes, bBytes, start + i, width: aFormat.byteWidth)
        {
          equal += 1
          // Equal infinities and NaNs differ by nothing.
          guard p.isFinite else { continue }
        }
        let delta = p - q
        squares.left += p * p
        squares.right += q * q
        squares.difference += delta * delta
        product += p * q
        // A NaN is taken, since it is above nothing, and stays.
        if !(maximum.isNaN || abs(delta) <= maximum) { maximum = abs(delta) }
      }
    }
    leftSquares = squares.left
    rightSquares = squares.right
    differenceSquares = squares.difference
    self.product = product
    self.maximum = maximum
    equalCount = equal
  }

  private static func equalElements(
    _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, bits: Int, count: Int
  ) -> Int {
    guard bits >= 8 else {
      // Elements of less than a byte: only whole tensors are told apart.
      return a.elementsEqual(b) ? count : 0
    }
    return (0..<count).count { isEqual(a, b, $0, width: bits / 8) }
  }

  private static func isEqual(
    _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, _ element: Int, width: Int
  ) -> Bool {
    let bytes = element * width..<(element + 1) * width
    return a[bytes].elementsEqual(b[bytes])
  }
}
