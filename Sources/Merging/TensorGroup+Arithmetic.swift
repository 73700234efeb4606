import TMPackByteIO
import TMPackCKernels
import TMPackTensorKit

extension UnsafeMutableBufferPointer<Double> {
  /// Σₖ wₖ · partₖ, in order, element by element.
  package func setToWeightedSum(of parts: [UnsafeMutableBufferPointer<Double>], _ weights: [Double]) {
    precondition(parts.count == weights.count && parts.allSatisfy { $0.count == count })
    guard let result = baseAddress else { return }
    withAddresses(of: parts) { tmpack_weighted_sum(tmpack_best_isa(), result, $0, weights, parts.count, count) }
  }

  /// x − base, element by element; what is equal did not change, infinities and NaN too.
  func subtract(base: UnsafeBufferPointer<Double>) {
    precondition(base.count == count)
    guard let own = baseAddress, let base = base.baseAddress else { return }
    tmpack_subtract_base(tmpack_best_isa(), own, base, count)
  }

  /// x + factor · part.
  func add(_ part: UnsafeBufferPointer<Double>, scaledBy factor: Double) {
    precondition(part.count == count)
    guard let sum = baseAddress, let part = part.baseAddress else { return }
    tmpack_add_scaled(tmpack_best_isa(), sum, factor, part, count)
  }

  /// x ÷ divisor.
  func divide(by divisor: Double) {
    if let values = baseAddress { tmpack_divide(tmpack_best_isa(), values, divisor, count) }
  }

  /// Sets to zero what is smaller by magnitude.
  func trim(below threshold: Double) {
    if let values = baseAddress { tmpack_trim(tmpack_best_isa(), values, threshold, count) }
  }
}

/// Calls `body` with the addresses of the parts' first elements.
func withAddresses<Result>(
  of parts: [UnsafeMutableBufferPointer<Double>], _ body: (UnsafePointer<UnsafePointer<Double>?>) -> Result
) -> Result {
  withUnsafeTemporaryAllocation(of: UnsafePointer<Double>?.self, capacity: parts.count) { addresses in
    for (index, part) in parts.enumerated() {
      addresses.initializeElement(at: index, to: UnsafePointer(part.baseAddress))
    }
    return body(UnsafePointer(addresses.baseAddress!))
  }
}

extension TensorGroup.Chunk {
  /// The base plus `scale` times what `result` holds, a merged task vector.
  func addBase(scaledBy scale: Double = 1) {
    guard let result = result.baseAddress, let base = base.baseAddress else { return }
    tmpack_scale_and_add(tmpack_best_isa(), result, scale, base, count)
  }
}

extension TensorGroup {
  /// `forEachTaskVectorChunk`, for methods that compare elements.
  ///
  /// - Throws: `nonFinite`, naming the expert, where a task vector has NaN or infinity.
  package func forEachFiniteTaskVectorChunk(
    ofMultiple multiple: Int = 1, large: Bool = false, _ body: (Chunk) throws(StorageError) -> Void
  ) throws(StorageError) {
    try forEachTaskVectorChunk(ofMultiple: multiple, large: large) { chunk throws(StorageError) in
      for (member, part) in zip(members, chunk.members) where !part.allFinite {
        let index = chunk.range.lowerBound + part.firstIndex { !$0.isFinite }!
        throw StorageError(
          .nonFinite, "element \(index) differs from the base by NaN or infinity, which cannot be merged by magnitude",
          file: member.expert.source.label, expert: member.name)
      }
      try body(chunk)
    }
  }
}

extension UnsafeMutableBufferPointer<Double> {
  fileprivate var allFinite: Bool {
    FloatFormat.f64.isFinite(UnsafeRawBufferPointer(UnsafeBufferPointer(self)))
  }
}
