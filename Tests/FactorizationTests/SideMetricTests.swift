import ByteIO
import Factorization
import TensorKit
import Testing

/// Decompositions that weigh directions, against dense algebra in the plainest form.
@Suite struct SideMetricTests {
  private static let (rows, columns) = (40, 30)
  private let matrix = Matrix.spectrum(rows, columns, [6, 4, 3, 2, 1], noise: 0.3, seed: 5)

  /// Strong in a few directions, none in most.
  private static func metric(_ length: Int, seed: UInt64) throws -> SideMetric {
    let vectors = Matrix.spectrum(12, length, [9, 4, 1], noise: 0.05, seed: seed).values
    let total = vectors.reduce(0) { $0 + Double($1) * Double($1) }
    return try #require(try SideMetric(length: length, vectors: vectors, total: total))
  }

  private let metric: MatrixMetric

  init() throws {
    metric = MatrixMetric(left: try Self.metric(Self.rows, seed: 7), right: try Self.metric(Self.columns, seed: 8))
  }

  /// W as a matrix, by its definition.
  private static func dense(_ metric: SideMetric) -> [Double] {
    let n = metric.length
    var w = [Double](repeating: 0, count: n * n)
    for i in 0..<n { w[i * n + i] = metric.rest }
    for (k, gain) in metric.gains.enumerated() {
      for i in 0..<n {
        for j in 0..<n {
          w[i * n + j] +=
            (gain - metric.rest) * Double(metric.directions[k * n + i]) * Double(metric.directions[k * n + j])
        }
      }
    }
    return w
  }

  /// ‖Wₗ D Wᵣ‖
  private func weightedNorm(_ difference: [Double]) -> Double {
    let (left, right) = (Self.dense(metric.left), Self.dense(metric.right))
    let (m, n) = (Self.rows, Self.columns)
    var half = [Double](repeating: 0, count: m * n)
    for i in 0..<m { for j in 0..<n { for k in 0..<m { half[i * n + j] += left[i * m + k] * difference[k * n + j] } } }
    var sum = 0.0
    for i in 0..<m {
      for j in 0..<n {
        let value = (0..<n).reduce(0.0) { $0 + half[i * n + $1] * right[$1 * n + j] }
        sum += value * value
      }
    }
    return sum.squareRoot()
  }

  private func vectors(rank: Int, _ metric: MatrixMetric?) throws -> SingularVectors {
    try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: rank, under: metric) }
  }

  /// What the triplets leave of the matrix.
  private func rest(_ vectors: SingularVectors) -> [Double] {
    let amplitudes = vectors.weighting?.amplitudes ?? vectors.singularValues
    var rest = matrix.values.map(Double.init)
    for k in 0..<vectors.rank {
      for i in 0..<Self.rows {
        for j in 0..<Self.columns {
          rest[i * Self.columns + j] -=
            amplitudes[k] * Double(vectors.left[k * Self.rows + i]) * Double(vectors.right[k * Self.columns + j])
        }
      }
    }
    return rest
  }

  private func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

  @Test func allTripletsAreTheMatrix() throws {
    let vectors = try vectors(rank: Self.columns, metric)
    #expect(vectors.weighting != nil)
    #expect(norm(rest(vectors)) < 1e-5 * matrix.energy.squareRoot())
  }

  @Test(arguments: [1, 3, 8]) func fewTripletsAreNearestByTheMetric(_ rank: Int) throws {
    let (weighted, plain) = try (rest(vectors(rank: rank, metric)), rest(vectors(rank: rank, nil)))
    #expect(weightedNorm(weighted) < 0.99 * weightedNorm(plain))
    #expect(norm(plain) < norm(weighted))
  }

  /// The fourth root of the covariance's eigenvalues over their mean: here 16 and 1/16, and their ratio without the floor is 4.
  @Test func gainsAreFourthRoots() throws {
    var covariance = [Float](repeating: 0, count: 16)
    for (i, value) in [256, 1, 1, 1].enumerated() { covariance[i * 5] = Float(value) }
    let metric = try #require(try SideMetric(length: 4, covariance: covariance))
    let mean = 259.0 / 4
    for (k, energy) in [256.0, 1, 1, 1].enumerated() {
      let fourth = metric.gains[k] * metric.gains[k] * metric.gains[k] * metric.gains[k]
      #expect(abs(fourth - (energy / mean + 0.01)) < 1e-9)
    }
  }

  @Test func nothingWeighsNothing() throws {
    #expect(try SideMetric(length: 3, covariance: [Float](repeating: 0, count: 9)) == nil)
    #expect(SideMetric(length: 2, directions: [1, 0], energies: [.infinity], total: .infinity) == nil)
  }

  /// A matrix whose weighted entries are beyond binary32, and one of zeros, are decomposed as they are.
  @Test(arguments: [Float(3e38), 0]) func theEndsOfTheRangeAreUnweighted(_ scale: Float) throws {
    var extreme = Matrix(values: [Float](repeating: 0, count: 1200), rows: Self.rows, columns: Self.columns)
    extreme.values[7] = scale
    extreme.values[300] = scale
    let vectors = try extreme.withView { view throws(StorageError) in
      try SingularVectors(of: view, rank: 2, under: metric)
    }
    #expect(vectors.weighting == nil || extreme.values[7] < 3e38)
  }

  @Test(arguments: [0.05, 0.3, 1.0]) func theErrorOfAQuantisedFactorIsThatOfWhatItDecodesTo(_ step: Double) throws {
    let vectors = try vectors(rank: 8, metric)
    let factor = try #require(QuantizedLowRankFactor(quantizing: vectors, step: step))
    let decoded = Factor.quantized(.lowRank(factor)).added(
      to: [Float](repeating: 0, count: matrix.values.count), weight: 1)
    let lost = zip(matrix.values, decoded).reduce(0.0) {
      $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
    }
    let said = matrix.withView { factor.squaredError(against: $0, energy: matrix.energy) }
    #expect(abs(said - lost) < 1e-3 * lost + 1e-6 * matrix.energy)
  }
}
