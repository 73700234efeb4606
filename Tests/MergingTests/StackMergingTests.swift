import TMPackByteIO
import TMPackMerging
import TMPackTensorKit
import TestSupport
import Testing

/// Tensors of three dimensions under methods that decompose and multiply matrices.
@Suite struct StackMergingTests {
  /// Matrices of 24 × 40 in a tensor, and where an element of one lies, written down for each layout by itself.
  enum Layout: String, CaseIterable {
    case whole, above, beside, alternating

    var shape: [Int] {
      switch self {
      case .whole: [4, 24, 40]
      case .above: [4, 48, 40]
      case .beside, .alternating: [4, 24, 80]
      }
    }

    var matrices: Int { self == .whole ? 4 : 8 }

    func place(_ matrix: Int, _ i: Int, _ j: Int) -> Int {
      switch self {
      case .whole, .above: matrix * 960 + i * 40 + j
      case .beside: matrix / 2 * 1920 + i * 80 + matrix % 2 * 40 + j
      case .alternating: matrix / 2 * 1920 + i * 80 + 2 * j + matrix % 2
      }
    }

    func stacked(_ matrices: [[Double]]) -> [Double] {
      var values = [Double](repeating: 0, count: 960 * matrices.count)
      for (matrix, own) in matrices.enumerated() {
        for (element, value) in own.enumerated() { values[place(matrix, element / 40, element % 40)] = value }
      }
      return values
    }

    func apart(_ values: [Double]) -> [[Double]] {
      (0..<matrices).map { matrix in (0..<960).map { values[place(matrix, $0 / 40, $0 % 40)] } }
    }
  }

  /// nil for all directions.
  private func change(rank: Int?, _ seed: UInt64) -> [Double] {
    guard let rank else { return noise(960, scale: 0.1, seed: seed) }
    let (left, right) = (noise(24 * rank, scale: 0.1, seed: seed), noise(40 * rank, seed: seed + 1))
    return (0..<960).map { place in
      (0..<rank).reduce(0) { $0 + left[place / 40 * rank + $1] * right[$1 * 40 + place % 40] }
    }
  }

  /// The same models with a tensor of three dimensions, and with its matrices; beside them a matrix of two dimensions.
  private func models(_ layout: Layout, rank: Int?) throws -> (together: MergeSources, apart: MergeSources) {
    func matrices(_ model: UInt64?) -> [[Double]] {
      (0..<layout.matrices).map { matrix in
        let own = noise(960, seed: UInt64(50 + matrix))
        guard let model else { return own }
        return zip(own, change(rank: rank, 1000 * model + 10 * UInt64(matrix))).map { $0 + $1 }
      }
    }
    func sources(_ tensors: ([[Double]]) throws -> [SampleTensor]) throws -> MergeSources {
      func model(_ number: UInt64?) throws -> MemoryTensorSource {
        let other = try tensor("other", .f64, [16, 12], noise(192, seed: 7 + (number ?? 0)))
        return try MemoryTensorSource(tensors(matrices(number)) + [other])
      }
      return try MergeSources(
        base: model(nil),
        experts: (1...3 as ClosedRange<UInt64>).map { .init(name: "e\($0)", source: try model($0)) })
    }
    return (
      try sources { [try tensor("t", .f64, layout.shape, layout.stacked($0))] },
      try sources { try $0.enumerated().map { try tensor("t.\($0)", .f64, [24, 40], $1) } }
    )
  }

  private func values(_ source: SharedModelSource, _ name: String) throws -> [Double] {
    let info = try #require(source.tensor(named: name))
    return try source.bytes(of: info).withBytes { $0.withMemoryRebound(to: Double.self, Array.init) }
  }

  private static let methods = [
    MergingCase("iso-c", ["lambda=1.3", "weight@e2=0.5"]), MergingCase("iso-cts"), MergingCase("opcm"),
    MergingCase("model-stock", ["filter_wise=true"]),
  ]

  @Test(arguments: methods, Layout.allCases)
  func mergesEachMatrix(_ method: MergingCase, _ layout: Layout) throws {
    for rank in layout == .whole ? [2, nil] : [2] {
      let (together, apart) = try models(layout, rank: rank)
      let own = try layout.apart(values(SharedModelSource(together, method: method.make()), "t"))
      let reference = try SharedModelSource(apart, method: method.make())
      for (matrix, values) in own.enumerated() {
        let expected = try self.values(reference, "t.\(matrix)")
        let error = zip(values, expected).map { abs($0 - $1) }.max()!
        #expect(error < 1e-9, "matrix \(matrix) of rank \(rank ?? 24)")
      }
    }
  }

  /// A convolution is one matrix, of which Iso-C takes the mean change.
  @Test func aConvolutionIsNoStack() throws {
    func model(_ number: Int) throws -> MemoryTensorSource {
      let values = noise(32 * 16 * 9, seed: 3).map { $0 * Double(1 + number) }
      return try MemoryTensorSource([try tensor("t", .f64, [32, 16, 3, 3], values)])
    }
    let sources = try MergeSources(
      base: model(0), experts: [1, 2].map { .init(name: "e\($0)", source: try model($0)) })
    let merged = try values(SharedModelSource(sources, method: MergingCase("iso-c").make()), "t")
    let expected = noise(32 * 16 * 9, seed: 3).map { $0 * 2.5 }
    #expect(zip(merged, expected).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test func aGramMatrixForSomeMatricesAloneIsAnError() throws {
    func source(_ grams: Int) throws -> MergeSources.Expert {
      let model = try MemoryTensorSource([try tensor("t", .f64, [3, 2, 4], noise(24, seed: 1))])
      let gram = noise(16 * grams, seed: 2).map(abs)
      return .init(
        name: "e\(grams)", source: model,
        statistics: try MemoryTensorSource([try tensor("t.gram", .f64, [grams, 4, 4], gram)]))
    }
    let error = failure {
      let sources = try MergeSources(base: source(3).source, experts: [source(3), source(2)])
      let merged = try SharedModelSource(sources, method: MergingCase("regmean").make())
      _ = try merged.bytes(of: merged.tensors[0])
    }
    #expect(error?.code == .shapeMismatch && error?.expert == "e2")
  }
}
