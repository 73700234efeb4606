import ByteIO
import Checkpoints
import TensorKit
import TestSupport
import Testing

@Suite struct GlobTests {
  @Test(arguments: [
    ("*", "", true), ("*", "a.b", true), ("", "", true), ("", "a", false), ("a", "a", true), ("a", "A", false),
    ("layer.*.weight", "layer.10.weight", true), ("layer.*.weight", "layer.1.attn.weight", true),
    ("layer.*.weight", "layer.weight", false), ("*.bias", "a.bias.x", false), ("?", "é", true), ("?", "", false),
    ("a?c", "abc", true), ("[ab]c", "bc", true), ("[!ab]c", "bc", false), ("[!ab]c", "cc", true),
    ("layers.[0-3].*", "layers.2.w", true), ("layers.[0-3].*", "layers.4.w", false), ("[]]", "]", true),
    ("[a-]", "-", true), ("[*]", "*", true), ("[*]", "a", false), ("a**b", "aXb", true), ("*a*b*c", "xaybzc", true),
    ("*a*b*c", "xaybz", false), ("ab*ba", "aba", false),
  ])
  func matches(_ pattern: String, _ name: String, _ expected: Bool) throws {
    #expect(try Glob(pattern).matches(name) == expected)
  }

  @Test(arguments: ["[", "[a", "a[!", "[]", "[z-a]"]) func refuses(_ pattern: String) {
    #expect(code { _ = try Glob(pattern) } == .invalidArgument)
  }

  @Test func staysQuickOnPatternsThatMakeOthersExponential() throws {
    let pattern = String(repeating: "a*", count: 60) + "b"
    #expect(try !Glob(pattern).matches(String(repeating: "a", count: 2000)))
  }
}

@Suite struct TensorSourceTests {
  @Test func selectsByPattern() throws {
    let all = try source(["a.bias", "a.weight", "b.bias", "b.weight"].map { try info($0, .u8, [3]) })
    let some = try TensorSelection(of: all, including: [Glob("a.*"), Glob("*.bias")], excluding: [Glob("b*")])
    #expect(some.tensors.map(\.name) == ["a.bias", "a.weight"])
    #expect(some.tensor(named: "b.bias") == nil)
    #expect(try bytes(of: some, "a.bias") == bytes(of: all, "a.bias"))
    #expect(try TensorSelection(of: all, excluding: [Glob("*.bias")]).tensors.count == 2)
  }

  @Test(arguments: FloatFormat.allCases, FloatFormat.allCases)
  func convertsFloatingPointOnly(_ from: FloatFormat, _ to: FloatFormat) throws {
    // More than one block of the conversion.
    let original = try source([info("f", from.dtype, [5000]), info("i", .i32, [3]), info("s", .f8e4m3, [2])])
    let converted = try ConvertedSource(original, to: to)
    #expect(converted.tensors.map(\.dtype) == [to.dtype, .i32, .f8e4m3])
    #expect(try bytes(of: converted, "i") == bytes(of: original, "i"))
    #expect(try bytes(of: converted, "s") == bytes(of: original, "s"))

    func values(_ bytes: [UInt8], _ format: FloatFormat) -> [Double] {
      [Double](unsafeUninitializedCapacity: 5000) { values, count in
        bytes.withUnsafeBytes { format.widen($0, into: values) }
        count = 5000
      }
    }
    let before = values(try bytes(of: original, "f"), from)
    let after = values(try bytes(of: converted, "f"), to)
    for (before, after) in zip(before, after) {
      let expected: Double =
        switch to {
        case .f64: before
        case .f32: Double(Float(before))
        case .f16: Double(roundedToEleven(before))
        case .bf16: roundedToEight(before)
        }
      #expect(after == expected || (after.isNaN && before.isNaN))
    }
    if from == to { #expect(try bytes(of: converted, "f") == bytes(of: original, "f")) }
  }

  /// Half precision by scaling to a whole number of units in the last place: slow and plain.
  private func roundedToEleven(_ value: Double) -> Double { rounded(value, bits: 11, lowest: -24, largest: 65504) }
  private func roundedToEight(_ value: Double) -> Double {
    rounded(value, bits: 8, lowest: -133, largest: 0x1.FEp127)
  }
  private func rounded(_ value: Double, bits: Int, lowest: Int, largest: Double) -> Double {
    guard value.isFinite, value != 0 else { return value }
    let unit = max(lowest, Int(value.exponent) - bits + 1)
    let result: Double
    if value.exponent < lowest - 2 {
      result = value < 0 ? -0.0 : 0
    } else {
      result =
        Double(sign: .plus, exponent: unit, significand: 1)
        * (value / Double(sign: .plus, exponent: unit, significand: 1)).rounded(.toNearestOrEven)
    }
    return abs(result) > largest ? (value < 0 ? -.infinity : .infinity) : result
  }

  @Test func refusesTensorsInMemoryThatDoNotAddUp() throws {
    let a = try info("a", .f32, [2])
    #expect(code { _ = try MemoryTensorSource([(a, TensorBytes([1, 2]))]) } == .shapeMismatch)
    let bytes = TensorBytes([UInt8](repeating: 0, count: 8))
    #expect(code { _ = try MemoryTensorSource([(a, bytes), (a, bytes)]) } == .invalidArgument)
  }

  @Test func aFailingFillFreesTheMemoryOnce() {
    for _ in 0..<100 {
      #expect(code { _ = try TensorBytes(count: 4096) { _ in throw StorageError(.inputOutput, "no") } } == .inputOutput)
    }
  }
}
