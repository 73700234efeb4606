import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct ComparisonTests {
  @Test func agreesWithPlainSums() throws {
    let (a, b) = (noise(1000, seed: 1), noise(1000, seed: 2))
    func source(_ values: [Double], _ dtype: DType) throws -> MemoryTensorSource {
      try MemoryTensorSource([tensor("t", dtype, [10, 100], values), tensor("only", .u8, [1], bytes: [1])])
    }
    let comparison = try Comparison(source(a, .f64), source(b, .f64))
    let numbers = try #require(comparison.tensors.last?.difference)
    let dot = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    let squares = { (x: [Double]) in x.reduce(0) { $0 + $1 * $1 } }
    let delta = zip(a, b).map { $0 - $1 }
    #expect(abs(numbers.relativeError - (squares(delta) / squares(a)).squareRoot()) < 1e-12)
    #expect(abs(numbers.cosine - dot / (squares(a) * squares(b)).squareRoot()) < 1e-12)
    #expect(numbers.maximum == delta.map(abs).max())
    #expect(numbers.equalCount == 0 && numbers.elementCount == 1000)
    #expect(!comparison.isEqual && abs(comparison.relativeError - numbers.relativeError) < 1e-15)
    let same = try Comparison(source(a, .f64), source(a, .f64))
    #expect(same.isEqual && same.relativeError == 0)
    #expect(same.tensors.allSatisfy { $0.difference?.cosine == 1 })
    // Values that a narrower type holds are equal in both, but the tensors are of two dtypes.
    let mixed = try Comparison(
      source([Double](repeating: 0.5, count: 1000), .f16), source([Double](repeating: 0.5, count: 1000), .f32))
    #expect(mixed.tensors.allSatisfy { $0.difference?.isEqual == true } && !mixed.isEqual)
  }

  @Test func tellsWhatCannotBeCompared() throws {
    let left = try MemoryTensorSource([
      tensor("a", .f32, [2], [1, 2]), tensor("left", .f32, [], [1]), tensor("n", .i16, [2], bytes: [1, 0, 2, 0]),
      tensor("nan", .f32, [2], [.nan, .infinity]), tensor("zero", .f32, [1], [0]),
    ])
    let right = try MemoryTensorSource([
      tensor("a", .f32, [1, 2], [1, 2]), tensor("right", .f32, [], [1]), tensor("n", .i16, [2], bytes: [1, 0, 3, 0]),
      tensor("nan", .f32, [2], [.nan, .infinity]), tensor("zero", .f32, [1], [1]),
    ])
    let comparison = try Comparison(left, right)
    #expect(comparison.onlyLeft == ["left"] && comparison.onlyRight == ["right"])
    let differences = comparison.tensors.map(\.difference)
    #expect(differences[0] == nil)
    #expect(differences[1]?.equalCount == 1)
    #expect(differences[2]?.isEqual == true)
    #expect(differences[3]?.relativeError == .infinity)
    #expect(!comparison.isEqual)
  }

  private func compare(_ left: [SampleTensor], _ right: [SampleTensor]) throws -> Comparison {
    try Comparison(MemoryTensorSource(left), MemoryTensorSource(right))
  }

  @Test(arguments: [[Double.nan, 1], [1, Double.nan]]) func aNaNStays(_ values: [Double]) throws {
    let compared = try compare([tensor("x", .f32, [2], values)], [tensor("x", .f32, [2], [0, 1.5])])
    let difference = try #require(compared.tensors[0].difference)
    #expect(difference.maximum.isNaN && difference.relativeError.isNaN && difference.cosine.isNaN)
    #expect(difference.equalCount == 0 && !compared.isEqual)
  }

  // Widening makes signalling NaNs quiet: the bits of the elements themselves are compared.
  @Test(
    arguments: [
      (DType.f64, [0x01, 0, 0, 0, 0, 0, 0xF0, 0x7F], [0x01, 0, 0, 0, 0, 0, 0xF8, 0x7F]),
      (.f32, [0x01, 0, 0x80, 0x7F], [0x01, 0, 0xC0, 0x7F]), (.f16, [0x01, 0x7C], [0x01, 0x7E]),
      (.bf16, [0x81, 0x7F], [0xC1, 0x7F]),
    ] as [(DType, [UInt8], [UInt8])])
  func aNaNEqualsOnlyItself(_ dtype: DType, _ signalling: [UInt8], _ quiet: [UInt8]) throws {
    func model(_ bytes: [UInt8]) throws -> [SampleTensor] {
      [try tensor("x", dtype, [3], bytes: quiet + bytes + quiet)]
    }
    let other = try compare(model(signalling), model(quiet))
    #expect(!other.isEqual && other.tensors[0].difference?.equalCount == 2)
    #expect(other.tensors[0].difference?.maximum.isNaN == true)
    let same = try compare(model(signalling), model(signalling))
    #expect(same.isEqual && same.tensors[0].difference?.maximum == 0)
  }

  @Test func whatHasNoErrorIsWorst() throws {
    let left: [Double] = [1, .nan, 1, 1, .nan, 1]
    let right: [Double] = [1.1, 1, 1, 1.2, 1, .infinity]
    func model(_ values: [Double], _ shape: [Int]) throws -> [SampleTensor] {
      try zip("abcdef", values).map { try tensor(String($0), .f32, [1], [$1]) } + [tensor("g", .f32, shape, [1])]
    }
    let worst = try compare(model(left, [1]), model(right, [1, 1])).worstFirst.map(\.left.name)
    #expect(worst == ["b", "e", "f", "g", "d", "a", "c"])
    // Numbers that are no floats.
    func mixed(_ byte: UInt8) throws -> [SampleTensor] {
      [
        try tensor("a", .f32, [1], [Double(byte)]), try tensor("equal", .i8, [1], bytes: [1]),
        try tensor("other", .i8, [1], bytes: [byte]),
      ]
    }
    #expect(try compare(mixed(1), mixed(2)).worstFirst.map(\.left.name) == ["other", "a", "equal"])
  }
}
