import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import TMPackTensorKit
import Testing

/// The decoding that the format specifies, in the plainest form.
private func reference<Scalar: FactorAccumulator>(_ factor: QuantizedFactor, weight: Float, onto base: [Scalar])
  -> [Scalar]
{
  var acc = base
  switch factor {
  case .dense(let f):
    let g = weight * f.scale
    for i in 0..<f.count { acc[i].addProduct(Scalar(g), Scalar(Float(f.symbols[i]))) }
  case .lowRank(let f):
    for i in 0..<f.rows {
      for j in 0..<f.columns {
        for k in 0..<f.rank {
          let g = weight * f.scales[k]
          let a = g * Float(f.left[k * f.rows + i])
          acc[i * f.columns + j].addProduct(Scalar(a), Scalar(Float(f.right[k * f.columns + j])))
        }
      }
    }
  case .layered(let f):
    acc = reference(.lowRank(f.lowRank), weight: weight, onto: acc)
    acc = reference(.dense(f.residual), weight: weight, onto: acc)
  case .stack(let f):
    // TMP-6-28, place by place.
    for (number, matrix) in f.matrices.enumerated() {
      guard let matrix else { continue }
      let (x, y, z) = (
        number / (f.stack.middle * f.stack.inner), number / f.stack.inner % f.stack.middle, number % f.stack.inner
      )
      let places = (0..<f.stack.rows * f.stack.columns).map { element in
        let (i, j) = (element / f.stack.columns, element % f.stack.columns)
        return (((x * f.stack.rows + i) * f.stack.middle + y) * f.stack.columns + j) * f.stack.inner + z
      }
      let changed = reference(matrix, weight: weight, onto: places.map { acc[$0] })
      for (place, value) in zip(places, changed) { acc[place] = value }
    }
  }
  return acc
}

extension QuantizedFactor {
  fileprivate func added<Scalar: FactorAccumulator>(to base: [Scalar], weight: Float, isa: InstructionSet = .best)
    -> [Scalar]
  {
    Factor.quantized(self).added(to: base, weight: weight, isa: isa)
  }

  /// From its payload alone.
  fileprivate func parsed() throws -> QuantizedFactor {
    switch self {
    case .lowRank(let f):
      .lowRank(
        try QuantizedLowRankFactor(
          payload: f.payload, rows: f.rows, columns: f.columns, rank: f.rank, quantizer: f.quantizer))
    case .dense(let f): .dense(try QuantizedDenseFactor(payload: f.payload, rows: f.rows, columns: f.columns))
    case .layered(let f):
      .layered(
        try QuantizedLayeredFactor(
          payload: f.payload, rows: f.lowRank.rows, columns: f.lowRank.columns, rank: f.lowRank.rank,
          quantizer: f.lowRank.quantizer))
    case .stack(let f):
      .stack(try QuantizedStack(payload: f.payload, stack: f.stack, forms: f.forms, quantizer: f.quantizer))
    }
  }
}

private func lowRank(_ matrix: Matrix, rank: Int, step: Double) throws -> (QuantizedFactor?, SingularVectors) {
  let vectors = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: rank) }
  return (QuantizedLowRankFactor(quantizing: vectors, step: step).map(QuantizedFactor.lowRank), vectors)
}

private func dense(_ values: [Float], rows: Int, columns: Int, step: Double) -> QuantizedFactor? {
  values.withUnsafeBufferPointer { QuantizedDenseFactor(quantizing: $0, rows: rows, columns: columns, step: step) }
    .map(QuantizedFactor.dense)
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

private func bytes(_ text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

private func code(of body: () throws -> Void) -> StorageError.Code? {
  do { try body() } catch { return (error as? StorageError)?.code }
  return nil
}

private func rms(_ values: [Float]) -> Double {
  (values.reduce(0) { $0 + Double($1) * Double($1) } / Double(values.count)).squareRoot()
}

@Suite struct QuantizedFactorTests {
  static let shapes = [(1, 1), (1, 300), (300, 1), (2, 5), (7, 65), (13, 31), (64, 64), (120, 40), (41, 256)]

  /// Messages that a coder written from the specification alone made, in Python.
  ///
  /// TMP-6-21: the scale ½, then three rows, with every step of TMP-10-6 up to the largest magnitude; TMP-10-4: "raw bits".
  @Test func denseBytesAreAsSpecified() throws {
    let symbols: [Int16] = [0, 1, -1, 2, -13, 14, 300, -32_767, 0, 0, 0, -5]
    let factor = QuantizedDenseFactor(symbols: symbols, scale: 0.5, rows: 3, columns: 4)
    #expect(hexadecimal(factor.payload) == "7e000000da9d2ad8e298bed9eaa59ffce4b2")
    #expect(try QuantizedDenseFactor(payload: factor.payload, rows: 3, columns: 4).symbols == symbols)
    // TMP-10-1: of the numbers with the fewest bytes the smallest, so zeros at the end are left out.
    let zeros = QuantizedDenseFactor(symbols: .init(repeating: 0, count: 15), scale: 0.5, rows: 1, columns: 15)
    #expect(zeros.payload == [0x7E])
    for payload in ["", "0000000112d441", "ff00000112d4b8"] {
      #expect(code { _ = try QuantizedDenseFactor(payload: bytes(payload), rows: 1, columns: 15) } == .malformed)
    }
  }

  // TMP-6-20: 17 components, by when TMP-10-5, TMP-10-7 and TMP-10-8 have changed all the state that they change.
  @Test func lowRankBytesAreAsSpecified() throws {
    var left: [Int16] = []
    var right: [Int16] = []
    var scales: [Float] = []
    for k in 0..<17 {
      for i in 0..<17 { left.append((Int16((k * 7 + i * 5) % 9) - 4) / 3) }
      for i in 0..<18 { right.append((Int16((k * 5 + i * 3) % 7) - 3) / 2) }
      let bits = 0x4000 - k * k * 37 % 400
      scales.append(Float(bitPattern: UInt32(bits) << 16))
    }
    let factor = QuantizedLowRankFactor(left: left, right: right, scales: scales, rows: 17, columns: 18)
    let expected =
      "8001894906e4023bef45f329f172f2c5785560a05b258fddc1cc0a2a6acabab87334c1e44642f99cd2241d1cbd85f8d72583"
      + "3735909202f970ca4285adaeafe4e6dda25b18da71cf58c6eedc86aa48dd7fd7d28bde9fcf8d897d19d515d5d345102868b4"
      + "6e723cc7c3de39e0724d581edf291c9eefcbf4a9f46515deddc1c59301bf53dc42d72bf008ca"
    #expect(hexadecimal(factor.payload) == expected)
    let parsed = try QuantizedLowRankFactor(
      payload: bytes(expected), rows: 17, columns: 18, rank: 17, quantizer: .uniform)
    #expect(parsed.left == left && parsed.right == right && parsed.scales == scales)
    // A second scale of 007F, and nothing at all.
    for (payload, rank) in [("7e01214ae20153125004c6f2d4f9", 2), ("", 1)] {
      #expect(
        code {
          _ = try QuantizedLowRankFactor(
            payload: bytes(payload), rows: 3, columns: 5, rank: rank, quantizer: .uniform)
        } == .malformed)
    }
  }

  @Test(arguments: shapes, [0.05, 0.5, 1.5])
  func payloadsRoundTripAndDecodeAsSpecified(_ shape: (Int, Int), _ coarseness: Double) throws {
    let (rows, columns) = shape
    let matrix = Matrix.spectrum(rows, columns, [3, 2, 1], noise: 0.3)
    let step = coarseness * rms(matrix.values)
    let (factor, vectors) = try lowRank(matrix, rank: min(rows, columns), step: step)
    for factor in [factor, dense(matrix.values, rows: rows, columns: columns, step: step)].compactMap({ $0 }) {
      #expect(try factor.parsed() == factor)
      let base = noise(rows * columns, seed: 5)
      for weight in [Float(1), 0.3, -1.5] {
        let expected = reference(factor, weight: weight, onto: base)
        let wide = reference(factor, weight: weight, onto: base.map(Double.init))
        for isa in InstructionSet.available {
          #expect(factor.added(to: base, weight: weight, isa: isa).map(\.bitPattern) == expected.map(\.bitPattern))
          #expect(
            factor.added(to: base.map(Double.init), weight: weight, isa: isa).map(\.bitPattern)
              == wide.map(\.bitPattern))
        }
      }
      // The error as computed is the error.
      let decoded = factor.added(to: [Float](repeating: 0, count: rows * columns), weight: 1)
      let lost = zip(matrix.values, decoded).reduce(0) {
        $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
      }
      let said =
        switch factor {
        case .lowRank(let f): f.squaredError(against: vectors, energy: matrix.energy)
        case .dense(let f): matrix.values.withUnsafeBufferPointer { f.squaredError(against: $0) }
        case .layered, .stack: preconditionFailure("not made here")
        }
      #expect(abs(lost - said) < 1e-4 * matrix.energy + 1e-3 * lost, "\(lost) \(said)")
    }
  }

  @Test func finerStepsLoseLess() throws {
    let matrix = Matrix.spectrum(80, 120, [5, 4, 3, 2, 1], noise: 0.5)
    var errors: [(Double, Double)] = []
    for coarseness in [2.0, 1, 0.5, 0.1, 0.01] {
      let step = coarseness * rms(matrix.values)
      let zero = [Float](repeating: 0, count: 80 * 120)
      let low = try lowRank(matrix, rank: 80, step: step).0?.added(to: zero, weight: 1) ?? zero
      let all = dense(matrix.values, rows: 80, columns: 120, step: step)?.added(to: zero, weight: 1) ?? zero
      errors.append((relativeError(matrix.values, low), relativeError(matrix.values, all)))
    }
    for (before, after) in zip(errors, errors.dropFirst()) { #expect(after.0 < before.0 && after.1 < before.1) }
    #expect(errors.last! < (0.008, 0.005))
  }

  /// A slowly falling spectrum has components whose bits are better spent elsewhere: without them, at a finer step, as many
  /// bytes give less error.
  @Test func weakComponentsAreDroppedWhereTheyDoNotPay() throws {
    let matrix = Matrix.spectrum(200, 300, (0..<120).map { 4 / Float($0 + 4) }, noise: 0.01)
    let vectors = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 200) }
    func outcome(step: Double, keepsWeak: Bool) throws -> (bytes: Int, rank: Int, error: Double) {
      let size = step * rms(matrix.values)
      let factor = try #require(
        QuantizedLowRankFactor(
          quantizing: vectors, step: size, leastGain: keepsWeak ? 0 : RateSetting.slope * size * size))
      return (factor.payload.count, factor.rank, factor.squaredError(against: vectors, energy: matrix.energy))
    }
    let all = try outcome(step: 4, keepsWeak: true)
    var step = 4.0
    var strong = try outcome(step: step, keepsWeak: false)
    #expect(strong.rank < all.rank && strong.bytes < all.bytes)
    while true {
      step *= 0.99
      let finer = try outcome(step: step, keepsWeak: false)
      if finer.bytes > all.bytes { break }
      strong = finer
    }
    #expect(strong.error < all.error)
  }

  @Test func rankDeficientAndConstantMatricesKeepWhatTheyHave() throws {
    let deficient = Matrix.spectrum(60, 90, [4, 3, 2], noise: 0)
    guard case .lowRank(let f)? = try lowRank(deficient, rank: 30, step: 0.05 * rms(deficient.values)).0 else {
      Issue.record("was to be low-rank")
      return
    }
    #expect(f.rank == 3)
    let constant = Matrix(values: .init(repeating: -0.37, count: 600), rows: 20, columns: 30)
    let (factor, _) = try lowRank(constant, rank: 20, step: 0.1)
    let decoded = try #require(factor).added(to: [Float](repeating: 0, count: 600), weight: 1)
    #expect(relativeError(constant.values, decoded) < 0.03)
    #expect(factor!.payload.count < 30)
    let signs = constant.values.withUnsafeBufferPointer { QuantizedDenseFactor(signsOf: $0, rows: 20, columns: 30) }
    #expect(signs!.scale == 0.37 && signs!.symbols.allSatisfy { $0 == -1 })
  }

  @Test(arguments: [Float(0x1p-149), 0x1p-140, 1e-38, 1e-20, 1, 1e20, 1e38, .greatestFiniteMagnitude])
  func everyMagnitudeIsFiniteWhenDecoded(_ magnitude: Float) throws {
    let values = (0..<600).map { i in (i * i + i / 30) % 7 < 3 ? magnitude : -magnitude }
    let matrix = Matrix(values: values, rows: 20, columns: 30)
    let step = Double(magnitude) / 4
    if let factor = try lowRank(matrix, rank: 20, step: step).0 {
      #expect(try factor.parsed() == factor)
    }
    let factor = try #require(dense(values, rows: 20, columns: 30, step: max(step, 0x1p-149)))
    #expect(try factor.parsed() == factor)
    let decoded = factor.added(to: [Float](repeating: 0, count: 600), weight: 1)
    #expect(decoded.allSatisfy { $0.isFinite })
    #expect(relativeError(values.map { $0 / magnitude }, decoded.map { $0 / magnitude }) < 0.2)
  }

  @Test func aHugeDynamicRangeKeepsTheLargest() throws {
    var values = noise(600, seed: 8).map { $0 * 1e-20 }
    values[77] = 1e20
    // As fine as symbols go, however fine was asked for.
    let factor = try #require(dense(values, rows: 20, columns: 30, step: 1e-25))
    let decoded = factor.added(to: [Float](repeating: 0, count: 600), weight: 1)
    #expect(abs(decoded[77] / 1e20 - 1) < 1e-4)
    let (low, _) = try lowRank(Matrix(values: values, rows: 20, columns: 30), rank: 20, step: 1e-25)
    let lowDecoded = try #require(low).added(to: [Float](repeating: 0, count: 600), weight: 1)
    #expect(abs(lowDecoded[77] / 1e20 - 1) < 1e-2)
  }

  @Test func signsTakeABitAndTernaryTakesItsEntropy() throws {
    let count = 64 * 256
    let values = noise(count, seed: 12)
    let factors = values.withUnsafeBufferPointer { buffer in
      (
        QuantizedDenseFactor(signsOf: buffer, rows: 64, columns: 256),
        QuantizedDenseFactor(ternary: buffer, rows: 64, columns: 256, density: 0.1)
      )
    }
    let signs = try #require(factors.0)
    let ternary = try #require(factors.1)
    #expect(Double(signs.payload.count * 8) < 1.02 * Double(count))
    #expect(ternary.symbols.filter { $0 != 0 }.count == 1638)
    // 0.469 bits for where, 0.1 for the signs.
    #expect(Double(ternary.payload.count * 8) < 0.569 * 1.03 * Double(count))
    let parsed = try QuantizedFactor.dense(ternary).parsed()
    #expect(parsed == .dense(ternary))
  }

  @Test func truncatedAndDamagedPayloadsNeverTrap() throws {
    let matrix = Matrix.spectrum(24, 40, [3, 2, 1], noise: 0.3)
    let step = rms(matrix.values)
    let low = try #require(try lowRank(matrix, rank: 8, step: step).0)
    let all = try #require(dense(matrix.values, rows: 24, columns: 40, step: step))
    let layers = try matrix.values.withUnsafeBufferPointer { values in
      guard case .lowRank(let base) = low else { preconditionFailure("of low rank") }
      return QuantizedFactor.layered(
        try #require(QuantizedLayeredFactor.encode(values, over: base, step: step / 8)).factor)
    }
    var random = RandomBits(seed: 13)
    func parse(_ factor: QuantizedFactor, _ bytes: [UInt8]) -> QuantizedFactor? {
      switch factor {
      case .lowRank(let f):
        (try? QuantizedLowRankFactor(
          payload: bytes, rows: f.rows, columns: f.columns, rank: f.rank, quantizer: f.quantizer)).map { .lowRank($0) }
      case .dense(let f):
        (try? QuantizedDenseFactor(payload: bytes, rows: f.rows, columns: f.columns)).map { .dense($0) }
      case .layered(let f):
        (try? QuantizedLayeredFactor(
          payload: bytes, rows: f.lowRank.rows, columns: f.lowRank.columns, rank: f.lowRank.rank,
          quantizer: f.lowRank.quantizer)).map { .layered($0) }
      case .stack(let f):
        (try? QuantizedStack(payload: bytes, stack: f.stack, forms: f.forms, quantizer: f.quantizer)).map { .stack($0) }
      }
    }
    func expectSound(_ factor: QuantizedFactor, _ bytes: [UInt8]) {
      guard let parsed = parse(factor, bytes) else { return }
      // What is accepted is what an encoder writes.
      let again: [UInt8] =
        switch parsed {
        case .lowRank(let f):
          QuantizedLowRankFactor(
            left: f.left, right: f.right, scales: f.scales, rows: f.rows, columns: f.columns, quantizer: f.quantizer
          ).payload
        case .dense(let f):
          QuantizedDenseFactor(symbols: f.symbols, scale: f.scale, rows: f.rows, columns: f.columns).payload
        case .layered(let f): QuantizedLayeredFactor(f.lowRank, f.residual).payload
        case .stack(let f): QuantizedStack(stack: f.stack, quantizer: f.quantizer, matrices: f.matrices).payload
        }
      #expect(again == bytes)
      #expect(
        parsed.added(to: [Float](repeating: 0, count: parsed.elementCount), weight: 0).count == parsed.elementCount)
    }
    let stack = QuantizedFactor.stack(try Self.stack([low, nil, all, layers, low, low]))
    for factor in [low, all, layers, stack] {
      let bytes = factor.payload
      for end in 0..<bytes.count { expectSound(factor, Array(bytes[..<end])) }
      #expect(parse(factor, bytes + [1]) == nil && parse(factor, bytes + [0]) == nil)
      #expect(parse(factor, bytes + .init(repeating: 3, count: 100)) == nil)
      for _ in 0..<3000 {
        var damaged = bytes
        for _ in 0...random.next() % 3 {
          damaged[Int(random.next() % UInt64(bytes.count))] ^= 1 << UInt8(random.next() % 8)
        }
        expectSound(factor, damaged)
        expectSound(factor, (0..<random.next() % 60).map { _ in UInt8(truncatingIfNeeded: random.next()) })
      }
    }
  }

  private static func stack(
    _ matrices: [QuantizedFactor?], _ layout: [Int]? = nil
  ) throws -> QuantizedStack {
    let layout = layout ?? [matrices.count, 24, 1, 40, 1]
    let stack = try #require(MatrixStack(layout, of: layout.reduce(1, *)))
    return QuantizedStack(stack: stack, quantizer: .trellis, matrices: matrices)
  }

  /// TMP-6-30, TMP-7-18, TMP-10-11: in any layout and in runs of any length, what the definition says.
  @Test(arguments: [[6, 24, 1, 40, 1], [3, 24, 2, 40, 1], [3, 24, 1, 40, 2], [1, 24, 2, 40, 3]])
  func aStackIsItsMatrices(_ layout: [Int]) throws {
    var matrices: [QuantizedFactor?] = []
    for seed in 0..<6 {
      let matrix = Matrix.spectrum(24, 40, [3, 2, 1], noise: 0.3, seed: UInt64(seed))
      let step = rms(matrix.values)
      switch seed {
      case 1: matrices.append(nil)
      case 3:
        let made: QuantizedFactor = try #require(dense(matrix.values, rows: 24, columns: 40, step: step))
        matrices.append(made)
      default:
        let made: QuantizedFactor = try #require(try lowRank(matrix, rank: 2 + seed, step: step).0)
        matrices.append(made)
      }
    }
    let stack = try Self.stack(matrices, layout)
    let factor = QuantizedFactor.stack(stack)
    #expect(try factor.parsed() == factor)
    #expect(stack.forms.map(\.rank) == matrices.map { $0?.form.rank ?? 0 })
    // One message teaches each matrix what the ones before have taught.
    #expect(stack.payload.count < matrices.reduce(0) { $0 + ($1?.payload.count ?? 0) })
    let base = (0..<6 * 24 * 40).map { Float($0 % 7) - 3 }
    for weight: Float in [1, -0.75] {
      let expected = reference(factor, weight: weight, onto: base)
      #expect(factor.added(to: base, weight: weight) == expected)
      let weighted = WeightedFactor(.quantized(factor), weight: weight)
      var runs = base
      let length = 5 * weighted.granularity
      runs.withUnsafeMutableBufferPointer { all in
        for start in stride(from: 0, to: all.count, by: length) {
          weighted.add(
            to: UnsafeMutableBufferPointer(rebasing: all[start..<min(all.count, start + length)]), from: start)
        }
      }
      #expect(runs == expected)
    }
  }

  @Test func impossibleShapesAreRefused() {
    for (rows, columns, rank) in [(0, 3, 1), (3, 0, 1), (3, 4, 0), (3, 4, 4), (-1, 3, 1), (.max, .max, 1)] {
      #expect(throws: StorageError(.malformed, "")) {
        do {
          _ = try QuantizedLowRankFactor(payload: [1], rows: rows, columns: columns, rank: rank, quantizer: .trellis)
        } catch {
          throw StorageError(.malformed, "")
        }
      }
    }
    for (rows, columns) in [(0, 3), (3, 0), (-1, 3)] {
      #expect(throws: StorageError(.malformed, "")) {
        try QuantizedDenseFactor(payload: [1], rows: rows, columns: columns)
      }
    }
  }
}

extension Matrix {
  fileprivate func encoded(_ vectors: SingularVectors, at point: RateSetting.Point) -> QuantizedFactor.Encoding {
    values.withUnsafeBufferPointer { values in
      // Values in memory can be lent without an error.
      try! QuantizedFactor.encode(
        { $0(values) }, rows: rows, columns: columns, vectors: vectors, energy: energy, at: point)
    }
  }
}

@Suite struct RateSettingTests {
  /// The estimate that leads a search need not be right, but must be off by nearly the same factor from one quality to another.
  @Test(arguments: RateSetting.Objective.allCases) func estimatesAreNearlyProportional(
    _ objective: RateSetting.Objective
  ) throws {
    let family = try family()
    var before: (bits: Double, error: Double)?
    for i in 0..<10 {
      let setting = RateSetting(
        objective, quality: (objective == .balanced ? 2 : 1) * Double(1 << (i / 2)) * (i % 2 == 0 ? 1 : 1.4142))
      var estimate = (bits: 0.0, error: 0.0)
      for (matrix, vectors) in family {
        let one = RateEstimate(
          singularValues: vectors.singularValues, rows: matrix.rows, columns: matrix.columns, energy: matrix.energy,
          at: setting, QuantizedFactor.Codec.standard)
        estimate.bits += one.bits
        estimate.error += one.squaredError
      }
      let energy = family.reduce(0) { $0 + $1.0.energy }
      let real = total(setting, family)
      let now = (
        bits: Double(8 * real.bytes) / estimate.bits, error: real.error / (estimate.error / energy).squareRoot()
      )
      if let before {
        #expect((0.7...1.4).contains(now.bits / before.bits), "\(setting.quality)")
        #expect((0.7...1.4).contains(now.error / before.error), "\(setting.quality)")
      }
      before = now
    }
  }

  /// The bytes and the relative error of some matrices at one setting.
  private func total(_ setting: RateSetting, _ family: [(Matrix, SingularVectors)]) -> (bytes: Int, error: Double) {
    var bytes = 0
    var lost = 0.0
    var energy = 0.0
    for (matrix, vectors) in family {
      let point = setting.point(singularValues: vectors.singularValues, rows: matrix.rows, columns: matrix.columns)
      let encoding = matrix.encoded(vectors, at: point)
      bytes += encoding.byteCount
      lost += encoding.squaredError
      energy += matrix.energy
    }
    return (bytes, (lost / energy).squareRoot())
  }

  private func family() throws -> [(Matrix, SingularVectors)] {
    try [(64, 64, 1), (32, 96, 3), (128, 48, 0.3)].map { (rows, columns, size: Float) in
      var matrix = Matrix.spectrum(rows, columns, [6, 5, 4, 3, 2, 1], noise: 0.8, seed: UInt64(rows))
      for i in matrix.values.indices { matrix.values[i] *= size }
      let vectors = try matrix.withView { view throws(StorageError) in
        try SingularVectors(of: view, rank: min(rows, columns))
      }
      return (matrix, vectors)
    }
  }

  @Test(arguments: RateSetting.Objective.allCases) func moreQualityIsMoreBytesAndLessError(
    _ objective: RateSetting.Objective
  ) throws {
    let family = try family()
    var before = (bytes: 0, error: 1.0)
    for i in 0..<24 {
      let quality = (objective == .balanced ? 1 : 0.2) * Double(1 << (i / 2)) * (i % 2 == 0 ? 1 : 1.4142)
      let now = total(RateSetting(objective, quality: quality), family)
      #expect(Double(now.bytes) >= 0.95 * Double(before.bytes), "at \(quality)")
      // Faithful scales do not aim at the error: with hardly anything coded it may rise before it falls.
      #expect(now.error <= (objective == .balanced ? 1.1 : 1.03) * before.error, "at \(quality)")
      before = now
    }
    #expect(before.error < 0.01)
  }

  @Test func aBudgetIsABisection() throws {
    let family = try family()
    for objective in RateSetting.Objective.allCases {
      for budget in [1000, 2000, 5000] {
        var (low, high) = (1e-3, 1e4)
        for _ in 0..<30 {
          let middle = (low * high).squareRoot()
          if total(RateSetting(objective, quality: middle), family).bytes <= budget {
            low = middle
          } else {
            high = middle
          }
        }
        let bytes = total(RateSetting(objective, quality: low), family).bytes
        #expect(bytes <= budget && bytes >= budget * 95 / 100, "\(objective) \(budget): \(bytes)")
      }
    }
  }

  @Test func theCheaperCodecWins() throws {
    // White noise at a fine step has no low rank.
    let white = Matrix(values: noise(48 * 48, seed: 31), rows: 48, columns: 48)
    let vectors = try white.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 48) }
    func encode(_ matrix: Matrix, _ vectors: SingularVectors, _ step: Double) -> QuantizedFactor? {
      matrix.encoded(vectors, at: RateSetting.Point(step: step)).factor
    }
    if case .dense? = encode(white, vectors, 0.1) {} else { Issue.record("noise was to be dense") }
    #expect(encode(white, vectors, 1000) == nil)
    let low = Matrix.spectrum(48, 48, [5, 4], noise: 0.01)
    let few = try low.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 48) }
    if case .lowRank? = encode(low, few, 1) {} else { Issue.record("rank 2 was to be low-rank") }
  }
}

/// Low rank and then what it leaves (TMP-6-22).
@Suite struct QuantizedLayeredFactorTests {
  private func encoding(
    _ values: [Float], rows: Int, columns: Int, step: Double
  ) throws -> (encoding: QuantizedFactor.Encoding, energy: Double) {
    let energy = values.reduce(0) { $0 + Double($1) * Double($1) }
    let matrix = Matrix(values: values, rows: rows, columns: columns)
    // Without a second row or column there are no vectors, as in packing.
    let vectors =
      min(rows, columns) < 2 || energy == 0
      ? nil
      : try matrix.withView { view throws(StorageError) in
        try SingularVectors(of: view, rank: min(rows, columns))
      }
    let encoding = try values.withUnsafeBufferPointer { values throws(StorageError) in
      try QuantizedFactor.encode(
        { body throws(StorageError) in body(values) }, rows: rows, columns: columns, vectors: vectors, energy: energy,
        at: RateSetting.Point(step: step), codecs: [.layered])
    }
    return (encoding, energy)
  }

  private static let shapes: [(Int, Int)] = [(1, 1), (1, 40), (40, 1), (2, 2), (2, 300), (300, 2), (17, 23), (64, 64)]

  /// Of every shape, of matrices of any kind: the payload alone gives the factor again, the error is what is said, and no more
  /// than that of nothing.
  @Test(arguments: 0..<7) func isWhatItsPayloadSays(_ kind: Int) throws {
    for (rows, columns) in Self.shapes {
      let count = rows * columns
      let own = noise(count, seed: UInt64(count))
      let line = noise(max(rows, columns), seed: 3)
      let values: [Float] =
        switch kind {
        case 0: own
        case 1: (0..<count).map { line[$0 / columns] * line[$0 % columns] }  // of rank 1
        case 2: [Float](repeating: 0.25, count: count)
        case 3: (0..<count).map { own[$0] * ($0 == 0 ? 1e30 : 1) }
        case 4: own.map { $0 * 1e-20 * 1e-20 }
        case 5: own.map { $0 * 1e18 }
        default: [Float](repeating: 0, count: count)
        }
      let largest = Double(values.map(\.magnitude).max()!)
      for step in [2, 0.5, 0.05, 1e-6].map({ $0 * max(largest, 1e-30) }) {
        let (encoding, energy) = try encoding(values, rows: rows, columns: columns, step: step)
        #expect(encoding.squaredError <= energy * 1.000_001)
        guard let factor = encoding.factor else {
          #expect(encoding.squaredError == energy)
          continue
        }
        #expect(energy > 0)
        #expect(try factor.parsed() == factor, "\(rows) × \(columns)")
        let decoded = factor.added(to: [Float](repeating: 0, count: count), weight: 1)
        #expect(decoded == reference(factor, weight: 1, onto: [Float](repeating: 0, count: count)))
        var error = 0.0
        for (a, b) in zip(values, decoded) { error += (Double(a) - Double(b)) * (Double(a) - Double(b)) }
        #expect(abs(error - encoding.squaredError) <= 1e-5 * energy, "\(rows) × \(columns), step \(step)")
      }
    }
  }

  /// A strong component and noise: both layers are there, and the error is that of the steps.
  @Test func hasBothLayersWhereBothAreWorthIt() throws {
    let (rows, columns) = (48, 80)
    let (a, b) = (noise(rows, seed: 1), noise(columns, seed: 2))
    let own = noise(rows * columns, seed: 4)
    let values = (0..<rows * columns).map { 20 * a[$0 / columns] * b[$0 % columns] + own[$0] }
    let (encoding, _) = try encoding(values, rows: rows, columns: columns, step: 0.5)
    guard case .layered(let factor) = try #require(encoding.factor) else { Issue.record("not layered"); return }
    #expect(factor.lowRank.rank < rows / 2)
    #expect(factor.residual.symbols.contains { $0 != 0 })
    #expect(encoding.squaredError < Double(rows * columns) * 0.5 * 0.5 / 8)
  }
}
