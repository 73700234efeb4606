import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackTensorKit
import Testing

/// Components of symbols, through the coder and back.
private struct Coded {
  var components: [[Int16]]
  var neighbours = SymbolModels.Neighbours.place
  var quantizer = Quantizer.uniform

  var bytes: [UInt8] {
    var coder = RangeEncoder()
    var models = SymbolModels(length: components[0].count, neighbours: neighbours, quantizer: quantizer)
    for component in components {
      component.withUnsafeBufferPointer { symbols in models.withComponent { $0.encode(symbols, &coder) } }
    }
    return coder.finish()
  }

  static func decode(
    _ bytes: [UInt8], count: Int, of length: Int, neighbours: SymbolModels.Neighbours = .place,
    quantizer: Quantizer = .uniform
  ) throws(StorageError) -> [[Int16]] {
    try bytes.withUnsafeBufferPointer { bytes throws(StorageError) in
      var coder = RangeDecoder(bytes)
      var models = SymbolModels(length: length, neighbours: neighbours, quantizer: quantizer)
      var components: [[Int16]] = []
      for _ in 0..<count {
        var component = [Int16](repeating: 0, count: length)
        let isSound = component.withUnsafeMutableBufferPointer { symbols in
          models.withComponent { $0.decode(symbols, &coder) }
        }
        guard isSound else { throw StorageError(.malformed, "a symbol") }
        components.append(component)
      }
      try coder.finish()
      return components
    }
  }

  /// Order-0, of each component by itself, in bits.
  var entropy: Double {
    components.reduce(0) { sum, component in
      var counts: [Int16: Double] = [:]
      for symbol in component { counts[symbol, default: 0] += 1 }
      let n = Double(component.count)
      return sum + counts.values.reduce(0) { $0 - $1 * log2($1 / n) }
    }
  }
}

private func log2(_ x: Double) -> Double {
  var y = x.significand
  var sum = Double(x.exponent)
  var place = 0.5
  for _ in 0..<40 {
    y *= y
    if y >= 2 {
      y /= 2
      sum += place
    }
    place /= 2
  }
  return sum
}

@Suite struct SymbolCoderTests {
  // TMP-10-6, TMP-10-7: for both kinds of model sets.
  @Test func everyKindOfSymbolComesBack() throws {
    var random = RandomBits(seed: 21)
    for round in 0..<400 {
      let length = Int(random.next() % 40) + 1
      let count = Int(random.next() % 6) + 1
      let width = random.next() % 17
      let components = (0..<count).map { _ in
        (0..<length).map { _ in
          let bits = random.next()
          let symbol = Int16(truncatingIfNeeded: Int64(bitPattern: bits) >> Int64(64 - width)) * (width == 0 ? 0 : 1)
          return symbol == .min ? 32_767 : bits & 3 == 0 ? 0 : symbol
        }
      }
      let neighbours: SymbolModels.Neighbours = round % 2 == 0 ? .place : .placeAndRun
      let bytes = Coded(components: components, neighbours: neighbours).bytes
      #expect(try Coded.decode(bytes, count: count, of: length, neighbours: neighbours) == components)
    }
  }

  /// The integers of symbols, by the table of TMP-10-9.
  private func integers(ofTrellis symbols: [Int16]) -> [Int16] {
    let next = [[0, 2], [5, 7], [1, 3], [6, 4], [2, 0], [4, 6], [3, 1], [7, 5]]
    var state = 0
    return symbols.map { symbol in
      defer { state = next[state][Int(symbol.magnitude & 1)] }
      return 2 * symbol - Int16(state % 2) * symbol.signum()
    }
  }

  // TMP-10-9
  @Test func integersOfTheTrellisComeBack() throws {
    var random = RandomBits(seed: 24)
    for round in 0..<300 {
      let length = Int(random.next() % 60) + 1
      let width = random.next() % 15
      let components = (0..<3).map { _ in
        integers(
          ofTrellis: (0..<length).map { _ in
            Int16(truncatingIfNeeded: Int64(bitPattern: random.next()) >> Int64(63 - width))
          })
      }
      let neighbours: SymbolModels.Neighbours = round % 2 == 0 ? .place : .placeAndRun
      let bytes = Coded(components: components, neighbours: neighbours, quantizer: .trellis).bytes
      let decoded = try Coded.decode(bytes, count: 3, of: length, neighbours: neighbours, quantizer: .trellis)
      #expect(decoded == components)
    }
    let largest = integers(ofTrellis: [16_383, -16_383, 16_382, 16_383])
    let bytes = Coded(components: [largest], quantizer: .trellis).bytes
    #expect(try Coded.decode(bytes, count: 1, of: 4, quantizer: .trellis) == [largest])
    // The first symbol is coded alike with and without a trellis.
    let tooLarge = Coded(components: [[16_384]]).bytes
    #expect(throws: StorageError(.malformed, "a symbol")) {
      try Coded.decode(tooLarge, count: 1, of: 1, quantizer: .trellis)
    }
  }

  /// At equal error a Gaussian source takes at least a tenth of a bit a symbol less than without a trellis.
  @Test(arguments: [0.5, 0.7, 1, 1.4]) func theTrellisPays(_ step: Float) throws {
    let length = 3000
    let vectors = (0..<8).map { k -> [Float] in
      // Sums of uniform numbers are near enough to normal ones.
      let parts = (0..<12).map { noise(length, seed: UInt64(200 + 12 * k + $0)) }
      return (0..<length).map { i in parts.reduce(0) { $0 + $1[i] } / 2 }
    }
    func outcome(_ quantizer: Quantizer, unit: Float) -> (bits: Double, error: Double) {
      var models = SymbolModels(length: length, neighbours: .place, quantizer: quantizer)
      var error = 0.0
      let components = vectors.map { vector in
        let scaled = vector.map { $0 / unit }
        var integers = [Int16](repeating: 0, count: length)
        _ = scaled.withUnsafeBufferPointer { scaled in
          integers.withUnsafeMutableBufferPointer { integers in
            models.withComponent { $0.quantize(scaled, slope: 0.11 * (step / unit) * (step / unit), into: integers) }
          }
        }
        for (value, integer) in zip(vector, integers) {
          let d = Double(value - Float(integer) * unit)
          error += d * d
        }
        return integers
      }
      return (Double(8 * Coded(components: components, quantizer: quantizer).bytes.count), error)
    }
    let uniform = outcome(.uniform, unit: step)
    let trellis = outcome(.trellis, unit: 0.66 * step)
    // How many bits a better error is worth: half the logarithm of it, each symbol.
    let worth = Double(8 * length) / 2 * log2(uniform.error / trellis.error)
    #expect(uniform.bits - trellis.bits + worth > 0.1 * Double(8 * length))
  }

  // TMP-10-6
  @Test func magnitudesAtEveryBoundaryComeBack() throws {
    var magnitudes = Array(0...40)
    for place in 5...15 { for more in -2...14 { magnitudes.append((1 << place) + more) } }
    let symbols: [Int16] = magnitudes.filter { $0 <= 32_767 }.flatMap { [Int16($0), Int16(-$0)] }
    #expect(try Coded.decode(Coded(components: [symbols]).bytes, count: 1, of: symbols.count) == [symbols])
  }

  /// Within 8 % of the order-0 entropy of every component's symbols.
  @Test(arguments: [0.25, 0.4, 0.7, 1, 2, 4, 8], [128, 300, 1000, 4000])
  func sizesAreNearTheEntropy(_ deviation: Double, _ length: Int) throws {
    var components: [[Int16]] = []
    for k in 0..<16 {
      // Descending, as singular values are.
      let scale = Float(deviation * (1.5 - Double(k) / 16) / 0.57735 / 2)
      components.append(noise(length, seed: UInt64(100 + k)).map { Int16(($0 * scale).rounded()) })
    }
    let coded = Coded(components: components)
    let bits = Double(coded.bytes.count * 8)
    // The empirical entropy of a few symbols is less than any code that has yet to learn them can reach.
    #expect(
      bits < coded.entropy * 1.08 + (length < 300 ? 256 : 0),
      "\(coded.entropy / Double(16 * length)) bits a symbol: \(bits / coded.entropy)")
  }

  // TMP-10-3: "encoding again what was read gives the same bytes".
  @Test func noOtherBytesAreAccepted() throws {
    var random = RandomBits(seed: 22)
    var accepted = 0
    for round in 0..<30_000 {
      let bytes = (0..<random.next() % 14).map { _ in
        round % 3 == 0 ? [0, 255, 254, 1][Int(random.next() % 4)] : UInt8(truncatingIfNeeded: random.next())
      }
      let length = Int(random.next() % 24) + 1
      guard let components = try? Coded.decode(bytes, count: 2, of: length) else { continue }
      accepted += 1
      #expect(Coded(components: components).bytes == bytes)
    }
    #expect(accepted > 100)
  }

  // TMP-10-3: bytes that are left over, or missing.
  @Test func damagedStreamsAreRefusedOrDecodeToSomethingElse() throws {
    let symbols = noise(500, seed: 23).map { Int16(($0 * 2).rounded()) }
    let bytes = Coded(components: [symbols]).bytes
    for end in 0..<bytes.count {
      #expect(throws: StorageError(.malformed, ""), "cut at \(end)") {
        let cut = try Coded.decode(Array(bytes[..<end]), count: 1, of: 500)
        // A shorter stream is another message, and may be a whole one.
        if cut != [symbols], Coded(components: cut).bytes == Array(bytes[..<end]) { throw StorageError(.malformed, "") }
      }
    }
    for extra in [[0], [1], [255], [0, 0, 0, 7], .init(repeating: 9, count: 40)] as [[UInt8]] {
      #expect(throws: StorageError(.malformed, "")) { try Coded.decode(bytes + extra, count: 1, of: 500) }
    }
  }

  // TMP-10-1, TMP-10-2: the fewest bytes, of which the last is not 0.
  @Test func intervalsEndWhereCarriesAndZerosAre() throws {
    // Long runs of the improbable and of the probable push the interval's ends to where bytes are all ones or zeros.
    for length in 1...70 {
      for symbol in [Int16(0), 1, -1, 3, -32_767, 32_767] {
        let symbols = [Int16](repeating: symbol, count: length)
        let bytes = Coded(components: [symbols]).bytes
        #expect(bytes.last != 0)
        #expect(try Coded.decode(bytes, count: 1, of: length) == [symbols])
      }
    }
  }
}
