import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import Testing

/// Scales that shrink nothing (Spec/decisions/0023).
@Suite struct ComponentScalesTests {
  private struct Example {
    let matrix = Matrix.spectrum(200, 160, (0..<24).map { 1.3 - Float($0) / 60 }, noise: 0.1)
    let vectors: SingularVectors
    let point: RateSetting.Point

    init() throws {
      vectors = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 24) }
      point = RateSetting(.balanced, quality: 24)
        .point(singularValues: vectors.singularValues, rows: matrix.rows, columns: matrix.columns)
    }

    func factor(_ scales: ComponentScales) throws -> QuantizedLowRankFactor {
      try #require(
        QuantizedLowRankFactor(
          quantizing: vectors, rank: point.rank, step: point.step, scales: scales,
          energy: matrix.energy))
    }

    /// A · vₖ · σₖ for all k, one after another: what inputs along the directions of the matrix become.
    func outputs(_ values: [Float]) -> [Double] {
      var outputs: [Double] = []
      for k in 0..<vectors.rank {
        let right = vectors.right[k * matrix.columns..<(k + 1) * matrix.columns]
        for i in 0..<matrix.rows {
          let row = values[i * matrix.columns..<(i + 1) * matrix.columns]
          var sum = 0.0
          for (a, b) in zip(row, right) { sum += Double(a) * Double(b) }
          outputs.append(sum * vectors.singularValues[k])
        }
      }
      return outputs
    }

    func decoded(_ factor: QuantizedLowRankFactor) -> [Float] {
      Factor.quantized(.lowRank(factor)).added(to: [Float](repeating: 0, count: matrix.values.count), weight: 1)
    }
  }

  /// uₖᵀ · decoded · vₖ ÷ σₖ: 1 where nothing shrinks.
  @Test func componentsStayAsLargeAsTheyWere() throws {
    let example = try Example()
    let vectors = example.vectors
    func shares(_ scales: ComponentScales) throws -> [Double] {
      let outputs = example.outputs(example.decoded(try example.factor(scales)))
      return (0..<12).map { k in
        var along = 0.0
        for i in k * vectors.rows..<(k + 1) * vectors.rows { along += Double(vectors.left[i]) * outputs[i] }
        return along / (vectors.singularValues[k] * vectors.singularValues[k])
      }
    }
    let (faithful, nearest) = (try shares(.faithful), try shares(.nearest))
    for (a, b) in zip(faithful, nearest) { #expect(a > b, "\(a), nearest \(b)") }
    #expect(abs(faithful.reduce(0, +) / 12 - 1) < 0.15)
    #expect(nearest.reduce(0, +) / 12 < 0.8)
  }

  /// Along the directions of the matrix, on both sides, the error is far less with no more bytes, though all of it is greater.
  @Test func alongTheirDirectionsErrorsAreLess() throws {
    let example = try Example()
    let (faithful, nearest) = (try example.factor(.faithful), try example.factor(.nearest))
    let vectors = example.vectors
    func lost(_ factor: QuantizedLowRankFactor) -> Double {
      let difference = zip(example.matrix.values, example.decoded(factor)).map { $0 - $1 }
      let outputs = example.outputs(difference)
      var sum = 0.0
      for k in 0..<vectors.rank {
        for l in 0..<vectors.rank {
          var along = 0.0
          for i in 0..<vectors.rows {
            along += Double(vectors.left[l * vectors.rows + i]) * outputs[k * vectors.rows + i]
          }
          sum += along * along
        }
      }
      return sum
    }
    #expect(faithful.payload.count <= nearest.payload.count + 8)
    #expect(lost(faithful) < 0.8 * lost(nearest))
    let energy = example.matrix.energy
    #expect(
      faithful.squaredError(against: vectors, energy: energy) > nearest.squaredError(against: vectors, energy: energy))
  }

  /// Where no direction stands out, noise counts as much as anything, and the nearest scale is the best one.
  @Test func noDirectionNoDifference() {
    for likeness in [0.2, 0.5, 1] {
      func factor(_ value: Double) -> Double {
        ComponentScales.faithful.factor(
          left: likeness, right: likeness, value: value, rows: 64, columns: 64, energy: 64)
      }
      // 64 directions of value 1; then one that has nearly all.
      #expect(factor(1) == 1 && factor(0.5) == 1)
      #expect(abs(factor(7.9) * likeness * likeness - 1) < 0.05)
    }
  }

  /// Of components that are nearly all noise none but the first are kept.
  @Test func noiseIsLeftOut() throws {
    let example = try Example()
    func rank(_ scales: ComponentScales, _ coarser: Double) -> Int {
      QuantizedLowRankFactor(
        quantizing: example.vectors, step: coarser * example.point.step, scales: scales,
        energy: example.matrix.energy)?.rank ?? 0
    }
    let isFewer = stride(from: 1.5, through: 3, by: 0.25).contains {
      rank(.faithful, $0) > 0 && rank(.faithful, $0) < rank(.nearest, $0)
    }
    #expect(isFewer)
    #expect(rank(.faithful, 1) == rank(.nearest, 1))
  }

  @Test func leastErrorKeepsTheNearestScales() {
    let values = [4.0, 3, 2, 1]
    #expect(RateSetting(.balanced, quality: 3).point(singularValues: values, rows: 9, columns: 9).scales == .faithful)
    #expect(RateSetting(.leastError, quality: 3).point(singularValues: values, rows: 9, columns: 9).scales == .nearest)
  }
}
