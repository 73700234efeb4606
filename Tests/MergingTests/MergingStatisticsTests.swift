import TMPackByteIO
import TMPackMerging
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// What methods do with statistics that are missing or wrong.
@Suite struct MergingStatisticsTests {
  private let shape = [3, 2]

  /// Merges a tensor `w` of zeros in the base, ones in `a`, twos in `b`.
  private func merged(
    _ method: String, _ settings: [String] = [], a: [SampleTensor]?, b: [SampleTensor]?
  ) throws -> [Double] {
    func model(_ value: Double) throws -> MemoryTensorSource {
      try MemoryTensorSource([try tensor("w", .f64, shape, [Double](repeating: value, count: 6))])
    }
    let sources = try MergeSources(
      base: model(0),
      experts: [
        .init(name: "a", source: model(1), statistics: a.map { try MemoryTensorSource($0) }),
        .init(name: "b", source: model(2), statistics: b.map { try MemoryTensorSource($0) }),
      ])
    let source = try SharedModelSource(sources, method: try MergingCase(method, settings).make())
    return try source.bytes(of: source.tensors[0]).withBytes { $0.withMemoryRebound(to: Double.self, Array.init) }
  }

  private func fisher(_ values: [Double]) throws -> [SampleTensor] { [try tensor("w", .f64, shape, values)] }
  private func gram(_ values: [Double]) throws -> [SampleTensor] { [try tensor("w.gram", .f64, [2, 2], values)] }

  @Test func fisherWeighsElementByElement() throws {
    let a = try fisher([3, 1, 0, 0, 1, 1])
    let b = try fisher([1, 1, 1, 0, 0, 3])
    let result = try merged("fisher", ["normalize=false", "floor=0"], a: a, b: b)
    #expect(result == [1.25, 1.5, 2, 1.5, 1, 1.75])
  }

  @Test func regmeanMinimizesTheSquaresOfTheOutputs() throws {
    // Inputs of `a` lie on the first axis, those of `b` on the second: each keeps its own column.
    let result = try merged("regmean", a: gram([1, 0, 0, 0]), b: gram([0, 0, 0, 5]))
    #expect(result.indices.allSatisfy { abs(result[$0] - ($0 % 2 == 0 ? 1 : 2)) < 1e-15 })
  }

  @Test func regmeanAveragesTheWeightsOfInputsThatAreAlwaysZero() throws {
    let result = try merged("regmean", ["weight@b=3"], a: gram([2, 0, 0, 0]), b: gram([2, 0, 0, 0]))
    #expect(result.allSatisfy { abs($0 - 1.75) < 1e-15 })
  }

  @Test func regmeanRefusesASingularSum() throws {
    let error = failure { _ = try merged("regmean", ["alpha=1"], a: gram([1, 1, 1, 1]), b: gram([1, 1, 1, 1])) }
    #expect(error?.code == .invalidArgument && error?.tensor == "w")
    #expect(error?.message.contains("singular") == true)
  }

  @Test func missingStatisticsAreAnErrorThatNamesTheExpert() throws {
    let error = failure { _ = try merged("fisher", a: try fisher([1, 1, 1, 1, 1, 1]), b: nil) }
    #expect(error?.code == .invalidArgument && error?.expert == "b")
  }

  @Test func statisticsOfAnotherModelAreAnErrorThatNamesTheExpert() throws {
    let other = [try tensor("v", .f64, shape, [1, 1, 1, 1, 1, 1])]
    for method in ["fisher", "regmean"] {
      let error = failure { _ = try merged(method, a: other, b: other) }
      #expect(error?.code == .unknownName && error?.expert == "a")
    }
  }

  @Test func statisticsOfSomeExpertsOnlyAreAnError() throws {
    let other = [
      try tensor("v", .f64, shape, [1, 1, 1, 1, 1, 1]), try tensor("x.gram", .f64, [2, 2], [1, 0, 0, 1]),
    ]
    func sources() throws -> MergeSources {
      let model = [try tensor("v", .f64, shape, [1, 1, 1, 1, 1, 1]), try fisher([1, 1, 1, 1, 1, 1])[0]]
      return try MergeSources(
        base: MemoryTensorSource(model),
        experts: [
          .init(
            name: "a", source: MemoryTensorSource(model), statistics: MemoryTensorSource(fisher([1, 1, 1, 1, 1, 1]))),
          .init(name: "b", source: MemoryTensorSource(model), statistics: MemoryTensorSource(other)),
        ])
    }
    let error = failure { _ = try SharedModelSource(sources(), method: MergingCase("fisher").make()) }
    #expect(error?.code == .unknownName && error?.tensor != nil && error?.expert != nil)
  }

  @Test(arguments: [(-1.0, StorageError.Code.malformed), (.nan, .nonFinite), (.infinity, .nonFinite)])
  func valuesThatNoStatisticCanHaveAreAnError(_ value: Double, _ code: StorageError.Code) throws {
    let ones = [1.0, 1, 1, 1, 1, 1]
    let fisherError = failure { _ = try merged("fisher", a: fisher(ones), b: fisher([1, 1, value, 1, 1, 1])) }
    #expect(fisherError?.code == code && fisherError?.expert == "b")
    let gramError = failure { _ = try merged("regmean", a: gram([1, 0, 0, 1]), b: gram([1, 0, 0, value])) }
    #expect(gramError?.code == code && gramError?.expert == "b")
  }

  @Test func aGramMatrixOfAnotherSizeIsAnError() throws {
    let three = [try tensor("w.gram", .f64, [3, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1])]
    #expect(failure { _ = try merged("regmean", a: three, b: three) }?.code == .shapeMismatch)
  }
}
