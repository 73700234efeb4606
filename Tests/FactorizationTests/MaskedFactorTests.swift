import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import Testing

/// Masks of a vector that experts share (TMP-6-23, TMP-10-10).
@Suite struct MaskedFactorTests {
  static let shapes: [(rows: Int, columns: Int)] = [
    (1, 1), (1, 40), (40, 1), (2, 2), (3, 5), (2, 3000), (300, 7), (17, 23), (64, 64),
  ]

  /// A quarter of the symbols is 0, some are far above those that have models of their own.
  private func vector(_ rows: Int, _ columns: Int, seed: UInt64 = 1) -> QuantizedDenseFactor {
    var random = RandomBits(seed: seed)
    var symbols = (0..<rows * columns).map { _ in
      let size = Int16(
        truncatingIfNeeded: random.next() % 4 * (random.next() % 30 == 0 ? 10_000 : 1 + random.next() % 9))
      return random.next() % 2 == 0 ? size : -size
    }
    symbols[0] = -3
    return QuantizedDenseFactor(symbols: symbols, scale: 0.037, rows: rows, columns: columns)
  }

  private func bits(_ count: Int, seed: UInt64, share: UInt64 = 128) -> [Bool] {
    var random = RandomBits(seed: seed)
    return [true] + (1..<max(count, 1)).map { _ in random.next() % 256 < share }
  }

  private func parsed(_ factor: MaskedFactor) throws -> MaskedFactor {
    try MaskedFactor(mask: factor.mask, vector: factor.vector, rows: factor.rows, columns: factor.columns)
  }

  /// TMP-7-6: what is not selected keeps its bits.
  private func reference<Scalar: FactorAccumulator>(
    _ whole: QuantizedDenseFactor, _ bits: [Bool], weight: Float, onto base: [Scalar]
  ) -> [Scalar] {
    var acc = base
    let g = weight * whole.scale
    for i in acc.indices where bits[i] && whole.symbols[i] != 0 {
      acc[i].addProduct(Scalar(g), Scalar(Float(whole.symbols[i])))
    }
    return acc
  }

  @Test(arguments: shapes, [10, 128, 250] as [UInt64]) func isWhatItsPayloadsSay(
    _ shape: (rows: Int, columns: Int), _ share: UInt64
  ) throws {
    let count = shape.rows * shape.columns
    let whole = vector(shape.rows, shape.columns)
    let bits = bits(count, seed: share, share: share)
    let factor = try #require(MaskedFactor(of: whole) { bits[$0] })
    #expect(factor.vector == whole.payload)
    #expect(factor.symbols == (0..<count).map { bits[$0] ? whole.symbols[$0] : 0 })
    #expect(try parsed(factor) == factor)
    for weight in [1, -0.3, 3e38, .leastNonzeroMagnitude] as [Float] {
      var base = noise(count, seed: 5)
      // Neither is what adding zero or zero times infinity would leave.
      base[count - 1] = -0.0
      let expected = reference(whole, bits, weight: weight, onto: base).map(\.bitPattern)
      #expect(Factor.masked(factor).added(to: base, weight: weight).map(\.bitPattern) == expected)
      let wide = reference(whole, bits, weight: weight, onto: base.map(Double.init)).map(\.bitPattern)
      #expect(Factor.masked(factor).added(to: base.map(Double.init), weight: weight).map(\.bitPattern) == wide)
      let weighted = WeightedFactor(.masked(factor), weight: weight)
      var parts = base
      parts.withUnsafeMutableBufferPointer { parts in
        for start in stride(from: 0, to: count, by: 7).reversed() {
          weighted.add(to: .init(rebasing: parts[start..<min(start + 7, count)]), from: start)
        }
      }
      #expect(parts.map(\.bitPattern) == expected)
    }
  }

  /// A mask that selects nothing is no message.
  @Test func aMaskOfNothingIsNoFactor() {
    #expect(MaskedFactor(of: vector(9, 4)) { _ in false } == nil)
    let zeros = QuantizedDenseFactor(symbols: [0, 0], scale: 1, rows: 1, columns: 2)
    #expect(MaskedFactor(of: zeros) { _ in true } == nil)
  }

  /// Bits that depend on the column, the row or the symbol take less than one each; any others no more.
  @Test func whatCanBeForeseenCostsLittle() {
    let (rows, columns) = (200, 150)
    let whole = vector(rows, columns)
    let coded = whole.symbols.count { $0 != 0 }
    func size(_ isSelected: (Int) -> Bool) -> Double {
      Double(8 * (MaskedFactor(of: whole, where: isSelected)?.mask.count ?? 1 << 20)) / Double(coded)
    }
    let coin = bits(rows * columns, seed: 9)
    #expect(size { coin[$0] } < 1.02)
    #expect(size { $0 % columns < 40 } < 0.75)
    #expect(size { $0 / columns % 50 < 10 } < 0.55)
    #expect(size { whole.symbols[$0].magnitude > 5 } < 0.2)
    #expect(size { _ in true } < 0.02)
  }

  // TMP-10-3: what is accepted is what an encoder writes.
  @Test func truncatedAndDamagedPayloadsNeverTrap() throws {
    let whole = vector(24, 40)
    let coin = bits(960, seed: 2, share: 90)
    let factor = try #require(MaskedFactor(of: whole) { coin[$0] })
    var random = RandomBits(seed: 13)
    func expectSound(_ mask: [UInt8], _ vector: [UInt8]) {
      guard let parsed = try? MaskedFactor(mask: mask, vector: vector, rows: 24, columns: 40),
        let whole = try? QuantizedDenseFactor(payload: vector, rows: 24, columns: 40)
      else { return }
      let again = MaskedFactor(of: whole) { parsed.symbols[$0] != 0 }
      #expect(again?.mask ?? [] == mask && again?.vector ?? vector == vector)
      #expect(Factor.masked(parsed).added(to: [Float](repeating: 0, count: 960), weight: 2).count == 960)
    }
    for end in factor.mask.indices { expectSound(Array(factor.mask[..<end]), factor.vector) }
    for tail: [UInt8] in [[0], [1], .init(repeating: 3, count: 100)] {
      #expect(throws: StorageError(.malformed, "")) {
        _ = try MaskedFactor(mask: factor.mask + tail, vector: factor.vector, rows: 24, columns: 40)
      }
    }
    for _ in 0..<1000 {
      var (mask, vector) = (factor.mask, factor.vector)
      mask[Int(random.next() % UInt64(mask.count))] ^= 1 << UInt8(random.next() % 8)
      expectSound(mask, vector)
      vector[Int(random.next() % UInt64(vector.count))] ^= 1 << UInt8(random.next() % 8)
      expectSound(factor.mask, vector)
      expectSound((0..<random.next() % 60).map { _ in UInt8(truncatingIfNeeded: random.next()) }, factor.vector)
    }
  }
}
