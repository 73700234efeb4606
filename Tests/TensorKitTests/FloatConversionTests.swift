import TMPackByteIO
import TMPackTensorKit
import TestSupport
import Testing

/// Values of a format, by scaling to a whole number of units in the last place: slow and plain.
private struct ReferenceFormat {
  let bits: Int
  /// Exponent of the smallest number.
  let lowest: Int
  let largest: Double
  var hasInfinity = true

  init(_ format: ConversionFormat) {
    switch format {
    case .f64: (bits, lowest, largest) = (53, -1074, .greatestFiniteMagnitude)
    case .f32: (bits, lowest, largest) = (24, -149, Double(Float.greatestFiniteMagnitude))
    case .f16: (bits, lowest, largest) = (11, -24, 65504)
    case .bf16: (bits, lowest, largest) = (8, -133, 0x1.FEp127)
    case .f8e5m2: (bits, lowest, largest) = (3, -16, 57344)
    case .f8e4m3:
      (bits, lowest, largest) = (4, -9, 448)
      hasInfinity = false
    }
  }

  /// Rounded to nearest even.
  func nearest(_ value: Double) -> Double {
    guard value.isFinite else { return value.isInfinite && !hasInfinity ? .nan : value }
    guard value != 0 else { return value }
    let unit = max(lowest, Int(value.exponent) - bits + 1)
    let result: Double
    if Int(value.exponent) < lowest - 2 {
      result = value < 0 ? -0.0 : 0
    } else {
      let scale = Double(sign: .plus, exponent: unit, significand: 1)
      result = scale * (value / scale).rounded(.toNearestOrEven)
    }
    guard abs(result) > largest else { return result }
    return hasInfinity ? (value < 0 ? -.infinity : .infinity) : .nan
  }

  /// The number whose bits are `pattern`.
  func value(_ pattern: UInt64, width: Int) -> Double {
    let fractionBits = bits - 1
    let exponentBits = width - bits
    let fraction = pattern & (1 << fractionBits - 1)
    let exponent = Int(pattern >> UInt64(fractionBits)) & (1 << exponentBits - 1)
    let sign = pattern >> UInt64(width - 1) == 1 ? -1.0 : 1.0
    let isTop = exponent == 1 << exponentBits - 1
    if isTop, hasInfinity { return fraction == 0 ? sign * .infinity : .nan }
    if isTop, fraction == 1 << fractionBits - 1 { return .nan }
    let significand = exponent == 0 ? fraction : fraction | 1 << fractionBits
    return sign * Double(sign: .plus, exponent: lowest + max(0, exponent - 1), significand: Double(significand))
  }
}

/// The elements of a tensor of `format`, widened by the reference.
private func values(_ bytes: [UInt8], _ format: ConversionFormat) -> [Double] {
  let width = format.byteWidth
  return stride(from: 0, to: bytes.count, by: width).map { start in
    let pattern = bytes[start..<start + width].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return switch format {
    case .f64: Double(bitPattern: pattern)
    case .f32: Double(Float(bitPattern: UInt32(pattern)))
    default: ReferenceFormat(format).value(pattern, width: 8 * width)
    }
  }
}

private func isSame(_ left: Double, _ right: Double) -> Bool {
  left.isNaN ? right.isNaN : left == right && left.sign == right.sign
}

/// Every number of the narrow formats; of the wide ones random bits, and neighbours of every tie between numbers of
/// eight bits.
private func inputs(_ format: ConversionFormat) -> [UInt8] {
  var output = ByteWriter()
  switch format {
  case .f8e4m3, .f8e5m2: for bits in UInt8.min...UInt8.max { output.integer(bits) }
  case .f16, .bf16: for bits in UInt16.min...UInt16.max { output.integer(bits) }
  case .f32, .f64:
    var random = SeededGenerator(seed: 3)
    var numbers = (0..<4000).map { _ in Double(Float(bitPattern: UInt32.random(in: 0...(.max), using: &random))) }
    numbers += (0..<4000).map { _ in Double(bitPattern: UInt64.random(in: 0...(.max), using: &random)) }
    numbers += [0, -0.0, .infinity, -.infinity, .nan, .greatestFiniteMagnitude, .leastNonzeroMagnitude]
    numbers += [Float.greatestFiniteMagnitude, -0x1.FFp127, 0x1.FEFFp127].map { Double($0) }
    for narrow in [ConversionFormat.f8e4m3, .f8e5m2, .f16] {
      let step: UInt64 = narrow == .f16 ? 37 : 1
      for bits in stride(from: 0, to: UInt64(1) << UInt64(8 * narrow.byteWidth - 1), by: Int(step)) {
        let reference = ReferenceFormat(narrow)
        let low = reference.value(bits, width: 8 * narrow.byteWidth)
        let high = reference.value(bits + 1, width: 8 * narrow.byteWidth)
        let tie = high.isFinite ? (low + high) / 2 : low + low.ulp * 2
        for value in [low, tie, tie.nextUp, tie.nextDown, Double(Float(tie).nextUp), Double(Float(tie).nextDown)] {
          numbers += [value, -value]
        }
      }
    }
    for tie in [464.0, 61440, 65520] { numbers += [tie, tie.nextUp, tie.nextDown, -tie, -tie.nextDown, -tie.nextUp] }
    for number in numbers {
      if format == .f64 { output.integer(number.bitPattern) } else { output.integer(Float(number).bitPattern) }
    }
  }
  return output.bytes
}

private func converted(
  _ bytes: [UInt8], _ from: ConversionFormat, _ to: ConversionFormat, _ overflow: Overflow = .infinity
) throws -> (bytes: [UInt8], overflows: Int) {
  let original = try MemoryTensorSource([(info("t", from.dtype, [bytes.count / from.byteWidth]), TensorBytes(bytes))])
  let source = try ConvertedSource(original, to: to, overflow: overflow)
  return (try TestSupport.bytes(of: source, "t"), source.overflowCount)
}

@Suite struct FloatConversionTests {
  /// Every value of 16 bits or less, and the hard ones of the rest, from each format to each.
  @Test(arguments: ConversionFormat.allCases, ConversionFormat.allCases)
  func roundsToNearestEven(_ from: ConversionFormat, _ to: ConversionFormat) throws {
    let bytes = inputs(from)
    let result = try converted(bytes, from, to)
    if from == to { #expect(result.bytes == bytes) }
    let reference = ReferenceFormat(to)
    let before = values(bytes, from)
    let after = values(result.bytes, to)
    var overflows = 0
    for (before, after) in zip(before, after) {
      let expected = reference.nearest(before)
      if !isSame(after, expected) { Issue.record("\(before) became \(after), not \(expected)") }
      if before.isFinite ? !expected.isFinite : before.isInfinite && !reference.hasInfinity { overflows += 1 }
    }
    #expect(result.overflows == (from == to ? 0 : overflows))
  }

  @Test(arguments: [ConversionFormat.f16, .bf16, .f8e4m3, .f8e5m2]) func saturates(_ to: ConversionFormat) throws {
    let bytes = inputs(.f32)
    let plain = try converted(bytes, .f32, to)
    let result = try converted(bytes, .f32, to, .saturate)
    #expect(plain.overflows > 0 && result.overflows == plain.overflows)
    let reference = ReferenceFormat(to)
    for (before, after) in zip(values(bytes, .f32), values(result.bytes, to)) {
      let nearest = reference.nearest(before)
      let isTooLarge = !before.isNaN && !nearest.isFinite && (before.isFinite || !reference.hasInfinity)
      let expected = isTooLarge ? (before < 0 ? -reference.largest : reference.largest) : nearest
      if !isSame(after, expected) { Issue.record("\(before) became \(after), not \(expected)") }
    }
  }

  @Test(arguments: [(ConversionFormat.f16, 65520 as Float), (.f8e4m3, 465), (.f8e5m2, -61440), (.f8e4m3, .infinity)])
  func refusesOverflow(_ to: ConversionFormat, _ value: Float) throws {
    func bytes(_ values: [Float]) -> [UInt8] { lanes(values.map(\.bitPattern)) }
    let error = failure { _ = try converted(bytes([1, value]), .f32, to, .error) }
    #expect(error?.code == .nonFinite)
    #expect(error?.tensor == "t")
    #expect(error?.message.contains("1 number") == true)
    // NaN is no number; nor is an infinity, where there is one.
    _ = try converted(bytes([.nan, to == .f8e4m3 ? 0 : .infinity]), .f32, to, .error)
  }

  @Test func convertsFloatsOnly() throws {
    let original = try source([info("f", .f32, [3]), info("i", .i32, [3]), info("s", .f8e8m0, [2])])
    let converted = try ConvertedSource(original, to: .f8e5m2)
    #expect(converted.tensors.map(\.dtype) == [.f8e5m2, .i32, .f8e8m0])
    for name in ["i", "s"] { #expect(try bytes(of: converted, name) == bytes(of: original, name)) }
  }
}

/// The same against the types of `ml_dtypes`, which JAX and others use.
@Suite(.enabled(if: Python.runs("import ml_dtypes"), "needs the PyPI package ml_dtypes"))
struct FloatConversionReferenceTests {
  private static let names: [ConversionFormat: String] = [
    .f16: "numpy.float16", .bf16: "ml_dtypes.bfloat16", .f8e4m3: "ml_dtypes.float8_e4m3fn",
    .f8e5m2: "ml_dtypes.float8_e5m2", .f32: "numpy.float32",
  ]

  @Test func agrees() throws {
    let folder = TemporaryFolder()
    let formats: [ConversionFormat] = [.f16, .bf16, .f8e4m3, .f8e5m2, .f32]
    for format in formats { try put(inputs(format), at: folder(format.dtype.rawValue)) }
    var script = "import numpy, ml_dtypes\n"
    for from in formats {
      for to in formats where to != from {
        script += """
          numpy.fromfile("\(folder(from.dtype.rawValue))", \(Self.names[from]!)).astype(numpy.float32).astype(
            \(Self.names[to]!)).tofile("\(folder("\(from.dtype.rawValue)-\(to.dtype.rawValue)"))")

          """
      }
    }
    #expect(Python.runs(script))
    for from in formats {
      for to in formats where to != from {
        let theirs = values(try contents(folder("\(from.dtype.rawValue)-\(to.dtype.rawValue)")), to)
        let ours = values(try converted(inputs(from), from, to).bytes, to)
        #expect(theirs.count == ours.count)
        let different = zip(ours, theirs).count { !isSame($0, $1) }
        #expect(different == 0, "\(from) to \(to)")
      }
    }
  }
}
