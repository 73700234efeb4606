import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// One tensor of an exclusive vector before any of it is computed: as a whole, as one of the matrices that it is taken as, or some
/// elements at a time, so that a tensor of many matrices needs the memory of one.
package struct ExclusiveTensor {
  package let shape: Shape
  private let own: OpenTensor
  private let base: OpenTensor
  private let format: FloatFormat
  /// What it is, but for the rounding of the expert's tensor, if that came as products.
  package var products: KnownProducts?

  /// - Parameters:
  ///   - own, base: tensors of the same float dtype and shape.
  package init(of own: OpenTensor, against base: OpenTensor, _ format: FloatFormat, shape: Shape) {
    self.shape = shape
    self.own = own
    self.base = base
    self.format = format
  }

  package func vector() throws(StorageError) -> ExclusiveVector {
    var vector = try vector(0..<shape.elementCount)
    if case .matrix(let product) = products { vector.product = product }
    return vector
  }

  /// One of the matrices of a stack.
  package func vector(of matrix: Int, in stack: MatrixStack) throws(StorageError) -> ExclusiveVector {
    var vector = try vector(stack.extent(of: matrix))
    if !stack.isContiguous { vector = try vector.gathered(matrix, of: stack) }
    if case .stack(stack, let products) = products { vector.product = products[matrix] }
    return vector
  }

  /// What is made of each matrix of a stack, one at a time; nil for those that are all zeros.
  ///
  /// Memory: one matrix, and what is made of all.
  func map<Result>(
    matricesOf stack: MatrixStack,
    _ body: (borrowing ExclusiveVector, _ shape: Shape) throws(StorageError) -> Result?
  ) throws(StorageError) -> [Result?] {
    let shape = try Shape([stack.rows, stack.columns])
    var results: [Result?] = []
    for number in 0..<stack.count {
      let vector = try vector(of: number, in: stack)
      results.append(vector.isZero ? nil : try body(vector, shape))
    }
    return results
  }

  private func vector(_ range: Range<Int>) throws(StorageError) -> ExclusiveVector {
    try ExclusiveVector(of: own, against: base, format, range)
  }

  /// Some elements, in order.
  func elements(_ range: Range<Int>) throws(StorageError) -> [Float] {
    try vector(range).withValues { Array($0) }
  }

  private static let panel = 1 << 18

  /// Calls `body` with runs of elements, and the place of each one's first.
  ///
  /// - Parameter granularity: runs begin at multiples of it.
  private func forEachRun(
    granularity: Int, _ body: (_ start: Int, UnsafeBufferPointer<Float>) throws(StorageError) -> Void
  ) throws(StorageError) {
    let count = shape.elementCount
    guard count > 0 else { return }
    let size = WeightedFactor.runLength(count, about: Self.panel, granularity: granularity)
    try Resources.checkMemory(4 * size)
    let room = UnsafeMutableBufferPointer<Float>.allocate(capacity: size)
    defer { room.deallocate() }
    for start in stride(from: 0, to: count, by: size) {
      let range = start..<min(count, start + size)
      let run = UnsafeMutableBufferPointer(rebasing: room[..<range.count])
      try format.subtract(base, from: own, range, into: run)
      try body(start, UnsafeBufferPointer(run))
    }
  }

  /// Memory: a run in binary32.
  package func surveyed() throws(StorageError) -> ExclusiveSurvey {
    var survey = ExclusiveSurvey()
    try forEachRun(granularity: 1) { start, run in
      survey.add(run, from: start)
    }
    return survey
  }

  /// ‖v‖². Memory: a run in binary32.
  func energy() throws(StorageError) -> Double {
    var energy = 0.0
    try forEachRun(granularity: 1) { _, run in energy = run.reduce(energy) { $0 + Double($1) * Double($1) } }
    return energy
  }

  /// ‖v‖ and the relative Frobenius error of a factor as it will be decoded (TMP-6-6).
  ///
  /// Memory: a panel of the vector and one of the decoded factor in binary32, and the factor as products.
  /// - Throws: `nonFinite` when the decoded factor overflows.
  package func measures(of factor: Factor) throws(StorageError) -> FactorMeasures {
    var loss = LossMeter(of: factor)
    try forEachRun(granularity: loss.granularity) { start, run in loss.add(run, from: start) }
    return try loss.measures()
  }
}

extension FloatFormat {
  /// Some elements of one tensor less those of another, in binary32.
  func subtract(
    _ base: OpenTensor, from own: OpenTensor, _ range: Range<Int>, into difference: UnsafeMutableBufferPointer<Float>
  ) throws(StorageError) {
    let bytes = range.lowerBound * byteWidth..<range.upperBound * byteWidth
    try own.withBytes(bytes) { own throws(StorageError) in
      try base.withBytes(bytes) { base in subtract(base, from: own, into: difference) }
    }
  }
}

/// What is known of a tensor without decomposing it.
package enum KnownProducts: Sendable {
  case matrix(LowRankProduct)
  /// nil for matrices that do not change.
  case stack(MatrixStack, [LowRankProduct?])
}

extension KnownProducts {
  var matrix: LowRankProduct? { if case .matrix(let product) = self { product } else { nil } }
}
