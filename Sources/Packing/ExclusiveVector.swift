import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// One tensor of an exclusive vector: v = θₜ − θₛ, θₛ as stored, in binary32 (F64: subtracted in binary64, then rounded).
package struct ExclusiveVector: ~Copyable {
  private let storage: UnsafeMutableBufferPointer<Float>
  /// What the vector is, but for the rounding of the expert's tensor, if it came as a product.
  package var product: LowRankProduct?

  /// - Parameters:
  ///   - own, base: tensors of the same float dtype and shape.
  package init(of own: UnsafeRawBufferPointer, against base: TensorBytes, _ format: FloatFormat) throws(StorageError) {
    let count = own.count / format.byteWidth
    let storage: UnsafeMutableBufferPointer<Float>
    do throws(StorageError) {
      try Resources.checkMemory(4 * count)
      storage = .allocate(capacity: count)
    } catch {
      // What is thrown away must be whole.
      self.storage = UnsafeMutableBufferPointer(start: nil, count: 0)
      throw error
    }
    self.storage = storage
    try base.withBytes { format.subtract($0, from: own, into: storage) }
  }

  deinit { storage.deallocate() }

  package var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(storage) }

  package var firstNonFinite: Int? { FloatFormat.f32.firstNonFinite(UnsafeRawBufferPointer(storage)) }

  package var isZero: Bool { storage.allSatisfy { $0 == 0 } }

  /// ‖v‖².
  package var energy: Double { storage.reduce(0) { $0 + Double($1) * Double($1) } }

  /// The singular triplets that need no decomposition of the whole.
  var knownVectors: SingularVectors? { product?.singularVectors() }

  /// The measures of a tensor that is approximated by nothing.
  var measuresOfNothing: FactorMeasures {
    FactorMeasures(norm: Measure(energy.squareRoot()), error: Measure(1))
  }

  /// ‖v‖ and the relative Frobenius error of a factor as it will be decoded (TMP-6-6).
  ///
  /// Memory: a panel of the decoded factor in binary32, and the factor as a product.
  /// - Throws: `nonFinite` when the decoded factor overflows.
  package func measures(of factor: Factor) throws(StorageError) -> FactorMeasures {
    let decoded = WeightedFactor(factor, weight: 1)
    let size = WeightedFactor.runLength(storage.count, about: 1 << 18, granularity: decoded.granularity)
    let room = UnsafeMutableBufferPointer<Float>.allocate(capacity: size)
    defer { room.deallocate() }
    var squares = 0.0
    var lost = 0.0
    for start in stride(from: 0, to: storage.count, by: size) {
      let panel = UnsafeMutableBufferPointer(rebasing: room[..<min(size, storage.count - start)])
      panel.initialize(repeating: 0)
      decoded.add(to: panel, from: start)
      for i in panel.indices {
        let value = Double(storage[start + i])
        let difference = value - Double(panel[i])
        squares += value * value
        lost += difference * difference
      }
    }
    guard lost.isFinite else {
      throw StorageError(.nonFinite, "its factor overflows").with(.keepExactly)
    }
    // Squares of the smallest subnormal numbers do not vanish in binary64, so a vector that is not zero has a norm.
    return FactorMeasures(norm: Measure(squares.squareRoot()), error: Measure((lost / squares).squareRoot()))
  }
}
