import TMPackFactorization
import TMPackFactors
import TMPackTensorKit
import Testing

/// A tensor's factor added in runs gives the bits of the factor added at once.
@Suite struct WeightedFactorTests {
  @Test(arguments: [(rows: 50, columns: 34), (1, 5000), (301, 1), (13, 7)])
  func addsTheSameInRuns(_ shape: (rows: Int, columns: Int)) throws {
    let count = shape.rows * shape.columns
    let values = noise(count, seed: 9)
    var plans: [FactorPlan] = []
    for dtype in FactorDType.allCases {
      plans += [try FactorPlan(.dense, dtype: dtype), try FactorPlan(.sparse(density: 0.3), dtype: dtype)]
      if min(shape.rows, shape.columns) > 1 { plans.append(try FactorPlan(.lowRank(rank: 5), dtype: dtype)) }
    }
    for plan in plans {
      let factor = try values.withUnsafeBufferPointer {
        try plan.encode($0, shape: Shape([shape.rows, shape.columns]))
      }
      let whole = factor.added(to: values, weight: 0.3)
      let weighted = WeightedFactor(factor, weight: 0.3)
      let step = weighted.granularity * (weighted.granularity == 1 ? 3 : 2)
      var parts = values
      parts.withUnsafeMutableBufferPointer { parts in
        for start in stride(from: 0, to: count, by: step).reversed() {
          weighted.add(to: .init(rebasing: parts[start..<min(start + step, count)]), from: start)
        }
      }
      #expect(parts == whole, "\(plan)")
    }
  }
}
