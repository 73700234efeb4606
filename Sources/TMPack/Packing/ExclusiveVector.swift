import ArchiveFormat
import ByteIO
import Factorization
import TensorKit

/// One tensor of an exclusive vector: v = θₜ − θₛ, θₛ as stored, in binary32 (F64: subtracted in binary64, then rounded).
struct ExclusiveVector: ~Copyable {
  private let storage: UnsafeMutableBufferPointer<Float>
  /// What the vector is, but for the rounding of the expert's tensor, if it came as a product.
  var product: LowRankProduct?

  /// - Parameters:
  ///   - own, base: tensors of the same float dtype and shape.
  init(of own: UnsafeRawBufferPointer, against base: TensorBytes, _ format: FloatFormat) throws(StorageError) {
    let count = own.count / format.byteWidth
    let storage = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    self.storage = storage
    try base.withBytes { baseRaw in
      if format == .f64 {
        Self.subtract(own, baseRaw, format, as: Double.self, into: storage)
      } else {
        Self.subtract(own, baseRaw, format, as: Float.self, into: storage)
      }
    }
  }

  deinit { storage.deallocate() }

  var values: UnsafeBufferPointer<Float> { UnsafeBufferPointer(storage) }

  private static func subtract<Scalar: Accumulator>(
    _ own: UnsafeRawBufferPointer, _ base: UnsafeRawBufferPointer, _ format: FloatFormat, as _: Scalar.Type,
    into vector: UnsafeMutableBufferPointer<Float>
  ) {
    BlockwiseDifference.forEach(own, minus: base, format, as: Scalar.self) { start, difference in
      for i in 0..<difference.count { vector[start + i] = difference[i].asFloat }
    }
  }

  var firstNonFinite: Int? { storage.firstIndex { !$0.isFinite } }

  var isZero: Bool { storage.allSatisfy { $0 == 0 } }

  /// ‖v‖².
  var energy: Double { storage.reduce(0) { $0 + Double($1) * Double($1) } }

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
  func measures(of factor: Factor) throws(StorageError) -> FactorMeasures {
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
      throw StorageError(.nonFinite, "its factor overflows; --lossless or --exclude keeps it exactly")
    }
    // Squares of the smallest subnormal numbers do not vanish in binary64, so a vector that is not zero has a norm.
    return FactorMeasures(norm: Measure(squares.squareRoot()), error: Measure((lost / squares).squareRoot()))
  }
}

extension FloatFormat {
  /// The first element that is NaN or infinite.
  func firstNonFinite(_ bytes: UnsafeRawBufferPointer) -> Int? {
    switch self {
    case .f64: Self.firstIndex(bytes, exponent: UInt64(0x7FF) << 52)
    case .f32: Self.firstIndex(bytes, exponent: UInt32(0xFF) << 23)
    case .f16: Self.firstIndex(bytes, exponent: UInt16(0x1F) << 10)
    case .bf16: Self.firstIndex(bytes, exponent: UInt16(0xFF) << 7)
    }
  }

  /// The first lane whose exponent bits are all set.
  private static func firstIndex<Lane: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, exponent: Lane) -> Int? {
    let width = MemoryLayout<Lane>.size
    let count = bytes.count / width
    let block = 1024
    func isNonFinite(_ index: Int) -> Bool {
      Lane(littleEndian: bytes.loadUnaligned(fromByteOffset: index &* width, as: Lane.self)) & exponent == exponent
    }
    for start in stride(from: 0, to: count, by: block) {
      let end = min(start + block, count)
      // Without an early exit the compiler uses vectors.
      var found = false
      for index in start..<end { found = found || isNonFinite(index) }
      if found { return (start..<end).first(where: isNonFinite) }
    }
    return nil
  }
}
