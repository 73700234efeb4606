import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// One tensor of an exclusive vector, or one matrix of it: v = θₜ − θₛ, θₛ as stored, in binary32 (F64: subtracted in binary64,
/// then rounded).
package struct ExclusiveVector: ~Copyable {
  private let storage: UnsafeMutableBufferPointer<Float>
  package let survey: ExclusiveSurvey
  /// What the vector is, but for the rounding of the expert's tensor, if it came as a product.
  package var product: LowRankProduct?

  /// Memory: the elements, and a run of each tensor's bytes.
  ///
  /// - Parameters:
  ///   - own, base: tensors of the same float dtype and size.
  ///   - range: of their elements.
  init(
    of own: OpenTensor, against base: OpenTensor, _ format: FloatFormat, _ range: Range<Int>
  ) throws(StorageError) {
    let count = range.count
    try Resources.checkMemory(4 * count)
    let room = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    var survey = ExclusiveSurvey()
    do throws(StorageError) {
      // Each run is looked at while it is in the cache.
      for start in stride(from: 0, to: count, by: Self.runLength) {
        let end = min(count, start + Self.runLength)
        let run = UnsafeMutableBufferPointer(rebasing: room[start..<end])
        try format.subtract(base, from: own, range.lowerBound + start..<range.lowerBound + end, into: run)
        survey.add(UnsafeBufferPointer(run), from: start)
      }
    } catch {
      room.deallocate()
      throw error
    }
    self.init(room: room, survey)
  }

  private static let runLength = 1 << 15

  private init(room: UnsafeMutableBufferPointer<Float>, _ survey: ExclusiveSurvey) {
    (storage, self.survey) = (room, survey)
  }

  deinit { storage.deallocate() }

  /// One of the matrices that lie side by side in this.
  consuming func gathered(_ matrix: Int, of stack: MatrixStack) throws(StorageError) -> ExclusiveVector {
    try Resources.checkMemory(4 * stack.matrixSize)
    let room = UnsafeMutableBufferPointer<Float>.allocate(capacity: stack.matrixSize)
    stack.gather(matrix, from: values, into: room)
    var survey = ExclusiveSurvey()
    survey.add(UnsafeBufferPointer(room), from: 0)
    return ExclusiveVector(room: room, survey)
  }

  /// As long as this lives: a temporary one does not.
  package var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(storage) }

  package borrowing func withValues<Result, Failure>(
    _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result { try body(values) }

  package var isZero: Bool { survey.isZero }

  /// ‖v‖².
  package var energy: Double { storage.reduce(0) { $0 + Double($1) * Double($1) } }

  /// The singular triplets that need no decomposition of the whole.
  var knownVectors: SingularVectors? { product?.singularVectors() }

  /// ‖v‖ and the relative Frobenius error of a factor as it will be decoded (TMP-6-6).
  ///
  /// Memory: a panel of the decoded factor in binary32, and the factor as a product.
  /// - Throws: `nonFinite` when the decoded factor overflows.
  package func measures(of factor: Factor) throws(StorageError) -> FactorMeasures {
    var loss = LossMeter(of: factor)
    let size = WeightedFactor.runLength(storage.count, about: 1 << 18, granularity: loss.granularity)
    for start in stride(from: 0, to: storage.count, by: size) {
      let end = min(storage.count, start + size)
      loss.add(UnsafeBufferPointer(rebasing: values[start..<end]), from: start)
    }
    return try loss.measures()
  }
}
