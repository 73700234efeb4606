import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackTensorKit
import Testing

/// The decoding that the format specifies, in the plainest form: the oracle for the kernels.
private enum Reference {
  /// The value of element `i` of the run that starts at `offset`.
  static func value(_ bytes: [UInt8], _ dtype: FactorDType, _ i: Int, at offset: Int = 0) -> Float {
    func lane(_ width: Int) -> UInt32 {
      (0..<width).reduce(0) { $0 | UInt32(bytes[offset + i * width + $1]) << UInt32(8 * $1) }
    }
    switch dtype {
    case .f32: return Float(bitPattern: lane(4))
    case .bf16: return Float(bitPattern: lane(2) << 16)
    case .f16: return Half.float(bits: UInt16(lane(2)))
    case .int8: return Float(Int8(bitPattern: bytes[offset + i]))
    case .int4:
      let nibble = Int(bytes[offset + i / 2] >> (i % 2 == 0 ? 0 : 4) & 0xF)
      return Float(nibble < 8 ? nibble : nibble - 16)
    }
  }

  static func add<Scalar: FactorAccumulator>(_ factor: Factor, weight: Float, to acc: inout [Scalar]) {
    switch factor {
    case .dense(let f):
      let g = weight * f.scale
      for i in 0..<f.count { acc[i].addProduct(Scalar(g), Scalar(value(f.values, f.dtype, i))) }
    case .sparse(let f):
      let g = weight * f.scale
      var cursor = 0
      var position = -1
      for i in 0..<f.count {
        var gap = 0
        var shift = 0
        repeat {
          gap |= Int(f.positions[cursor] & 0x7F) << shift
          shift += 7
          cursor += 1
        } while f.positions[cursor - 1] >= 0x80
        position += gap + 1
        acc[position].addProduct(Scalar(g), Scalar(value(f.values, f.dtype, i)))
      }
    case .quantized, .masked, .lowRankStack: preconditionFailure("their own tests have oracles")
    case .lowRank(let f):
      for i in 0..<f.rows {
        for j in 0..<f.columns {
          for k in 0..<f.rank {
            let g = weight * value(f.scales, .f32, k)
            let a = g * value(f.left, f.dtype, i, at: k * f.left.count / f.rank)
            let v = value(f.right, f.dtype, j, at: k * f.right.count / f.rank)
            acc[i * f.columns + j].addProduct(Scalar(a), Scalar(v))
          }
        }
      }
    }
  }
}

private let everyDType = FactorDType.allCases

private func encode(_ values: [Float], _ dimensions: [Int], _ method: FactorPlan.Method, _ dtype: FactorDType) throws
  -> Factor
{
  let plan = try FactorPlan(method, dtype: dtype)
  let shape = try Shape(dimensions)
  return try values.withUnsafeBufferPointer { buffer throws(StorageError) in try plan.encode(buffer, shape: shape) }
}

@Suite struct FactorDecodingTests {
  /// Shapes with every kind of rest: rows, columns and ranks that tiles and passes do not divide.
  static let shapes = [(2, 5, 1), (7, 65, 3), (13, 31, 5), (24, 128, 8), (150, 270, 67), (320, 331, 140)]

  @Test(arguments: everyDType) func lowRankIsTheSpecifiedSumOnEveryInstructionSet(_ dtype: FactorDType) throws {
    for (rows, columns, rank) in Self.shapes {
      let matrix = noise(rows * columns, seed: 3)
      let factor = try encode(matrix, [rows, columns], .lowRank(rank: rank), dtype)
      guard case .lowRank(let lowRank) = factor, lowRank.rank == rank else {
        Issue.record("\(rows)×\(columns) was to be low-rank")
        continue
      }
      expectReference(factor, count: rows * columns)
    }
  }

  @Test(arguments: everyDType) func denseAndSparseAreTheSpecifiedSumsOnEveryInstructionSet(_ dtype: FactorDType) throws
  {
    for columns in [1, 2, 15, 64, 1033, 3001] {
      let values = noise(3 * columns, seed: 4)
      expectReference(try encode(values, [3, columns], .dense, dtype), count: 3 * columns)
      for density in [1e-9, 0.1, 1] {
        expectReference(try encode(values, [3, columns], .sparse(density: density), dtype), count: 3 * columns)
      }
    }
  }

  private func expectReference(_ factor: Factor, count: Int) {
    let base = noise(count, seed: 5)
    var expected = base
    var wide = base.map(Double.init)
    for weight in [Float(0.3), -1.5] {
      Reference.add(factor, weight: weight, to: &expected)
      Reference.add(factor, weight: weight, to: &wide)
    }
    for isa in InstructionSet.available {
      let sum = factor.added(to: factor.added(to: base, weight: 0.3, isa: isa), weight: -1.5, isa: isa)
      #expect(sum.map(\.bitPattern) == expected.map(\.bitPattern), "float32 on \(isa)")
      let wideSum = factor.added(
        to: factor.added(to: base.map(Double.init), weight: 0.3, isa: isa), weight: -1.5, isa: isa)
      #expect(wideSum.map(\.bitPattern) == wide.map(\.bitPattern), "float64 on \(isa)")
    }
  }
}

@Suite struct FactorEncodingTests {
  @Test(arguments: zip(everyDType, [1e-6, 3e-3, 4e-4, 0.02, 0.3]))
  func roundingCostsWhatTheTypeAllows(_ dtype: FactorDType, bound: Double) throws {
    let matrix = Matrix.spectrum(60, 90, [4, 3, 2, 1], noise: 0)
    let zero = [Float](repeating: 0, count: 60 * 90)
    for method in [FactorPlan.Method.lowRank(rank: 4), .dense, .sparse(density: 1)] {
      let factor = try encode(matrix.values, [60, 90], method, dtype)
      #expect(factor.dtype == dtype)
      #expect(relativeError(matrix.values, factor.added(to: zero, weight: 1)) < bound, "\(method)")
    }
  }

  @Test func aNoiselessMatrixKeepsOnlyItsOwnRank() throws {
    let matrix = Matrix.spectrum(60, 90, [4, 3, 2], noise: 0)
    guard case .lowRank(let factor) = try encode(matrix.values, [60, 90], .lowRank(rank: 16), .bf16) else {
      Issue.record("was to be low-rank")
      return
    }
    #expect(factor.rank == 3)
  }

  @Test func formsFollowTheShape() throws {
    func form(_ dimensions: [Int], _ method: FactorPlan.Method, _ dtype: FactorDType = .bf16) throws
      -> (FactorPlan.Method, FactorDType)
    {
      let form = try FactorPlan(method, dtype: dtype).form(for: Shape(dimensions))
      return (form.method, form.dtype)
    }
    for (dtype, wide) in zip(everyDType, [FactorDType.f32, .bf16, .f16, .f16, .f16]) {
      for method in [FactorPlan.Method.lowRank(rank: 4), .lowRankRatio(0.1), .sparse(density: 0.1), .dense] {
        for dimensions in [[], [7], [0], [3, 0]] { #expect(try form(dimensions, method, dtype) == (.dense, wide)) }
      }
      #expect(try form([8, 8], .lowRank(rank: 4), dtype) == (.dense, wide))
      #expect(try form([1, 8], .lowRank(rank: 1), dtype) == (.dense, wide))
      #expect(try form([8, 8], .lowRank(rank: 3), dtype) == (.lowRank(rank: 3), dtype))
      #expect(try form([8, 8], .dense, dtype) == (.dense, dtype))
      #expect(try form([1, 8], .sparse(density: 0.5), dtype) == (.sparse(density: 0.5), dtype))
    }
    #expect(try form([64, 8, 4], .lowRank(rank: 16)) == (.lowRank(rank: 16), .bf16))
    #expect(try form([64, 32], .lowRank(rank: .max)) == (.dense, .bf16))
    #expect(try form([64, 32], .lowRankRatio(0.25)) == (.lowRank(rank: 8), .bf16))
    #expect(try form([64, 32], .lowRankRatio(1e-9)) == (.lowRank(rank: 1), .bf16))
  }

  @Test func plansRefuseNonsense() {
    for method in [
      FactorPlan.Method.lowRank(rank: 0), .lowRankRatio(0), .lowRankRatio(1.5), .sparse(density: -1),
      .sparse(density: .nan),
    ] {
      #expect(throws: StorageError(.invalidArgument, "")) { try FactorPlan(method, dtype: .f16) }
    }
  }

  @Test(arguments: everyDType) func zerosStayZeros(_ dtype: FactorDType) throws {
    let zeros = [Float](repeating: 0, count: 600)
    for method in [FactorPlan.Method.lowRank(rank: 3), .dense, .sparse(density: 0.1)] {
      #expect(try encode(zeros, [20, 30], method, dtype).added(to: zeros, weight: 2) == zeros)
    }
    #expect(try encode([], [0], .dense, dtype).byteCount == 4)
  }

  @Test(arguments: [Float(0x1p-149), 0x1p-140, 1e-38, 1e38, .greatestFiniteMagnitude])
  func valuesAtTheEndsOfTheRangeSurvive(_ magnitude: Float) throws {
    let signs = (0..<20 * 30).map { i in (i * i + i / 30) % 7 < 3 ? magnitude : -magnitude }
    for dtype in everyDType {
      for method in [FactorPlan.Method.lowRank(rank: 2), .dense, .sparse(density: 1)] {
        let factor = try encode(signs, [20, 30], method, dtype)
        let sum = factor.added(to: [Float](repeating: 0, count: 600), weight: 1)
        #expect(sum.allSatisfy { $0.isFinite })
        if case .lowRank = factor { continue }
        #expect(relativeError(signs.map { $0 / magnitude }, sum.map { $0 / magnitude }) < 0.01, "\(method) \(dtype)")
      }
    }
  }

  @Test func nonFiniteVectorsAreRefused() {
    for method in [FactorPlan.Method.lowRank(rank: 1), .dense, .sparse(density: 0.5)] {
      #expect(throws: StorageError(.nonFinite, "")) {
        try encode([1, .nan, 3, 4, 5, 6, 7, 8, 9], [3, 3], method, .f16)
      }
    }
  }

  @Test func theLargestMagnitudesAreTheSorteds() {
    var random = RandomBits(seed: 9)
    for round in 0..<60 {
      let count = Int(random.next() % 400) + 1
      // Few distinct values in some rounds, so that ties are cut; zeros; all scales in others.
      let values = (0..<count).map { _ -> Float in
        let bits = random.next()
        return switch round % 3 {
        case 0: Float(Int(bits % 7) - 3)
        case 1: Float(Int64(bitPattern: bits) >> 40)
        default: Float(sign: .plus, exponent: Int(bits % 200) - 149, significand: 1)
        }
      }
      let wanted = Int(random.next() % UInt64(count + 3))
      let expected = values.indices.sorted { (-values[$0].magnitude, $0) < (-values[$1].magnitude, $1) }
        .filter { values[$0] != 0 }.prefix(wanted).sorted()
      #expect(values.withUnsafeBufferPointer { largestMagnitudes(wanted, of: $0) } == expected)
    }
  }
}

@Suite struct FactorParsingTests {
  @Test(arguments: everyDType) func factorsComeBackFromTheirArrays(_ dtype: FactorDType) throws {
    let values = noise(21 * 33, seed: 6)
    if case .lowRank(let f) = try encode(values, [21, 33], .lowRank(rank: 5), dtype) {
      let parsed = try LowRankFactor(
        left: f.left, right: f.right, scales: f.scales, dtype: f.dtype, rows: 21, columns: 33, rank: 5)
      #expect(parsed == f)
    } else {
      Issue.record("was to be low-rank")
    }
    if case .dense(let f) = try encode(values, [21, 33], .dense, dtype) {
      let parsed = try DenseFactor(values: f.values, scale: f.scale, dtype: f.dtype, count: f.count)
      #expect(parsed == f)
    } else {
      Issue.record("was to be dense")
    }
    if case .sparse(let f) = try encode(values, [21, 33], .sparse(density: 0.05), dtype) {
      let parsed = try SparseFactor(
        positions: f.positions, values: f.values, scale: f.scale, dtype: f.dtype, count: f.count, elementCount: 21 * 33)
      #expect(parsed == f)
    } else {
      Issue.record("was to be sparse")
    }
  }

  struct Defect: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let make: @Sendable () throws -> Void

    init(_ name: String, _ make: @escaping @Sendable () throws -> Void) {
      testDescription = name
      self.make = make
    }

    private static func lowRank(
      _ name: String, left: [UInt8] = [1, 2, 3], right: [UInt8] = [4, 5], scales: [UInt8] = [0, 0, 128, 63],
      dtype: FactorDType = .int8, rows: Int = 3, columns: Int = 2, rank: Int = 1
    ) -> Defect {
      Defect("low rank: \(name)") {
        _ = try LowRankFactor(
          left: left, right: right, scales: scales, dtype: dtype, rows: rows, columns: columns, rank: rank)
      }
    }

    private static func dense(
      _ name: String, _ values: [UInt8], scale: Float = 1, dtype: FactorDType = .int8, count: Int = 2
    ) -> Defect {
      Defect("dense: \(name)") { _ = try DenseFactor(values: values, scale: scale, dtype: dtype, count: count) }
    }

    private static func sparse(
      _ name: String, positions: [UInt8] = [0, 3], values: [UInt8] = [1, 2], scale: Float = 1, count: Int = 2,
      elementCount: Int = 9
    ) -> Defect {
      Defect("sparse: \(name)") {
        _ = try SparseFactor(
          positions: positions, values: values, scale: scale, dtype: .int8, count: count, elementCount: elementCount)
      }
    }

    /// The defaults of the helpers, which must pass.
    static let sound: [Defect] = [
      lowRank("sound"), dense("sound", [1, 2]), sparse("sound"),
      dense("odd nibbles", [0x21, 0x03], dtype: .int4, count: 3),
      dense("none", [], count: 0), sparse("none", positions: [], values: [], count: 0),
      sparse("the last element", positions: [0, 7]),
      sparse("two bytes", positions: [0x80, 1, 0], elementCount: 130),
    ]

    static let all: [Defect] = [
      lowRank("left too short", left: [1, 2]),
      lowRank("left too long", left: [1, 2, 3, 4]),
      lowRank("right too short", right: []),
      lowRank("scale too short", scales: [0, 0, 128]),
      lowRank("infinite scale", scales: [0, 0, 128, 127]),
      lowRank("scale not a number", scales: [1, 0, 128, 255]),
      lowRank("rank 0", left: [], right: [], scales: [], rank: 0),
      lowRank("negative rank", rank: -1),
      lowRank("rank above a side", left: .init(repeating: 1, count: 9), right: .init(repeating: 1, count: 6), rank: 3),
      lowRank("no rows", left: [], rows: 0),
      lowRank("overflowing sizes", dtype: .f32, rows: .max, columns: .max, rank: .max),
      lowRank("−128", left: [1, 128, 3]),
      lowRank("−8 low", left: [8, 0], right: [0], dtype: .int4),
      lowRank("−8 high", left: [0x80, 0], right: [0], dtype: .int4),
      lowRank("pad of left", left: [0, 0x10], right: [0], dtype: .int4),
      lowRank("other dtype", dtype: .bf16),
      dense("infinite f32", [0, 0, 128, 127], dtype: .f32, count: 1),
      dense("bf16 not a number", [0xC0, 0x7F], dtype: .bf16, count: 1),
      dense("infinite f16", [0, 0xFC], dtype: .f16, count: 1),
      dense("pad", [0x21, 0x13], dtype: .int4, count: 3),
      dense("too short", [1]),
      dense("too long", [1, 2, 3]),
      dense("negative count", [], count: -1),
      dense("overflowing count", [], dtype: .f32, count: .max),
      dense("overflowing nibbles", [], dtype: .int4, count: .max),
      dense("infinite scale", [1, 2], scale: .infinity),
      dense("scale not a number", [1, 2], scale: .nan),
      sparse("position outside", positions: [0, 8]),
      sparse("no positions", positions: []),
      sparse("a gap that does not end", positions: [0, 0x83]),
      sparse("a byte left", positions: [0, 3, 0]),
      sparse("a gap too long", positions: [0, 0x83, 0]),
      sparse("eleven bytes", positions: [0] + .init(repeating: 0x80, count: 10) + [1]),
      sparse("more than 64 bits", positions: [0] + .init(repeating: 0xFF, count: 9) + [2]),
      sparse("64 bits", positions: [0] + .init(repeating: 0xFF, count: 9) + [1]),
      sparse("an overflowing sum", positions: .init(repeating: 0xFF, count: 9) + [1, 0]),
      sparse("values too short", values: [1]),
      sparse("more than there are", positions: [0, 0], count: 2, elementCount: 1),
      sparse("negative count", positions: [], values: [], count: -1),
      sparse("scale not a number", scale: .nan),
    ]
  }

  @Test(arguments: Defect.all) func rejects(_ defect: Defect) {
    #expect(throws: StorageError(.malformed, "")) { try defect.make() }
  }

  @Test(arguments: Defect.sound) func accepts(_ sound: Defect) throws { try sound.make() }

  @Test func arbitraryPositionBytesNeverTrap() throws {
    var random = RandomBits(seed: 11)
    var accepted = 0
    for _ in 0..<20_000 {
      let bytes = (0..<random.next() % 12).map { _ in UInt8(truncatingIfNeeded: random.next() & random.next()) }
      let count = Int(random.next() % 6)
      guard
        let factor = try? SparseFactor(
          positions: bytes, values: .init(repeating: 1, count: count), scale: 1, dtype: .int8, count: count,
          elementCount: 300)
      else { continue }
      accepted += 1
      let sum = Factor.sparse(factor).added(to: [Float](repeating: 0, count: 300), weight: 1)
      #expect(sum.reduce(0, +) == Float(count))
    }
    #expect(accepted > 100)
  }
}
