import TMPackMerging
import TMPackTensorKit
import TestSupport

extension MergingCase {
  /// Methods that need to know what was measured of the experts.
  static let statistical: [MergingCase] = [
    MergingCase("fisher", statistics: squares),
    MergingCase("fisher", ["normalize=false", "floor=0", "weight@b=0.25"], statistics: squares),
    MergingCase("fisher", ["floor=0.5"], experts: ["b", "d"], statistics: squares),
    MergingCase("regmean", statistics: grams),
    MergingCase("regmean", ["alpha=0.3", "weight@c=4"], statistics: grams),
    MergingCase("regmean", ["alpha=0"], experts: ["a", "b", "c"], statistics: grams),
  ]

  /// Squares of noise, a quarter of them zero; none for `layers.0.bias` or `dense_1.bias`.
  private static let squares: @Sendable (MergeSources) throws -> [String: [SampleTensor]] = { sources in
    try measured(sources) { info, seed in
      guard !info.name.hasSuffix("0.bias"), info.name != "dense_1.bias" else { return nil }
      let values = noise(info.shape.elementCount, scale: seed.isMultiple(of: 2) ? 1 : 30, seed: seed)
      return try tensor(info.name, .f32, info.shape.dimensions, values.map { abs($0) < 0.3 ? 0 : $0 * $0 })
    }
  }

  /// Of a few more inputs than each layer takes, the second of which is always zero; none for tables of embeddings, and one for each of
  /// a stack's matrices.
  private static let grams: @Sendable (MergeSources) throws -> [String: [SampleTensor]] = { sources in
    try measured(sources) { info, seed in
      guard let whole = info.shape.matrix, !info.name.contains("embed") else { return nil }
      let d = info.shape.dimensions
      guard d.count == 3 else {
        return try tensor(info.name + ".gram", .f64, [whole.columns, whole.columns], gram(whole.columns, seed))
      }
      let grams = (0..<d[0]).flatMap { gram(d[2], seed + UInt64(100_000 * $0)) }
      return try tensor(info.name + ".gram", .f64, [d[0], d[2], d[2]], grams)
    }
  }

  private static func gram(_ columns: Int, _ seed: UInt64) -> [Double] {
    let samples = columns + 10
    var inputs = noise(samples * columns, seed: seed)
    if columns > 1 { for k in 0..<samples { inputs[k * columns + 1] = 0 } }
    var gram = [Double](repeating: 0, count: columns * columns)
    for k in 0..<samples {
      for i in 0..<columns {
        for j in 0..<columns { gram[i * columns + j] += inputs[k * columns + i] * inputs[k * columns + j] }
      }
    }
    return gram
  }

  private static func measured(
    _ sources: MergeSources, _ measure: (TensorInfo, UInt64) throws -> SampleTensor?
  ) throws -> [String: [SampleTensor]] {
    var result: [String: [SampleTensor]] = [:]
    for (index, expert) in sources.experts.enumerated() {
      let infos = expert.source.tensors.filter { $0.dtype.floatFormat != nil && $0.shape.elementCount > 0 }
      result[expert.name] = try infos.enumerated().compactMap {
        try measure($0.element, UInt64(1000 * (index + 1) + $0.offset))
      }
    }
    return result
  }
}
