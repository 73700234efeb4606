import TMPackFactors
import Testing

@Suite struct LowRankProductTests {
  private func product(_ rows: Int, _ columns: Int, _ rank: Int, scale: Float = 1, seed: UInt64 = 3) -> LowRankProduct {
    LowRankProduct(
      rows: rows, columns: columns, rank: rank, left: noise(rows * rank, seed: seed),
      right: noise(rank * columns, seed: seed + 1), scale: scale)
  }

  private func difference(_ a: [Float], _ b: [Float]) -> Double {
    let squares = zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    return (squares / a.reduce(0.0) { $0 + Double($1) * Double($1) }).squareRoot()
  }

  @Test(arguments: [(40, 30, 4), (30, 40, 4), (7, 50, 7), (50, 7, 12), (1, 9, 3), (9, 1, 1)], [Float(1), -2.5])
  func tripletsMakeTheProduct(_ shape: (rows: Int, columns: Int, rank: Int), _ scale: Float) throws {
    let product = product(shape.rows, shape.columns, shape.rank, scale: scale)
    let vectors = try #require(product.singularVectors())
    #expect(vectors.rank == min(shape.rows, shape.columns, shape.rank))
    #expect(vectors.singularValues == vectors.singularValues.sorted(by: >))
    let matrix = Matrix(values: product.elements(), rows: shape.rows, columns: shape.columns)
    #expect(matrix.error(of: vectors) < 1e-6)
    // As the decomposition of the whole gives them.
    let whole = try matrix.withView { try SingularVectors(of: $0, rank: vectors.rank) }
    for (a, b) in zip(vectors.singularValues, whole.singularValues) { #expect(abs(a - b) < 1e-5 * b) }
    #expect(difference(product.elements(), LowRankProduct(vectors).elements()) < 1e-6)
  }

  @Test func leavesOutWhatIsNotThere() throws {
    let one = product(20, 20, 1)
    let twice = LowRankProduct(sumOf: [one, one])
    #expect(twice.rank == 2)
    #expect(try #require(twice.singularVectors()).rank == 1)
  }

  @Test func sumsAreExact() {
    let (a, b) = (product(12, 15, 3, seed: 1), product(12, 15, 2, seed: 8))
    let sum = LowRankProduct(sumOf: [a, b])
    #expect(sum.rank == 5)
    #expect(difference(zip(a.elements(), b.elements()).map(+), sum.elements()) < 1e-6)
  }

  /// Powers of two round nothing.
  @Test(arguments: [Float(1e-12), 1, 1e20]) func balancingChangesNoBit(_ size: Float) {
    var product = product(12, 15, 3)
    product = LowRankProduct(
      rows: 12, columns: 15, rank: 3, left: product.left.map { $0 * size }, right: product.right, scale: 1)
    let balanced = product.balanced()
    #expect(balanced.elements() == product.elements())
    let largest = (balanced.left.map(\.magnitude).max()!, balanced.right.map(\.magnitude).max()!)
    #expect(largest.0 / largest.1 < 8 && largest.1 / largest.0 < 8)
  }

  @Test(arguments: [Float.nan, .infinity]) func refusesWhatIsNotFinite(_ value: Float) {
    #expect(
      LowRankProduct(rows: 1, columns: 2, rank: 1, left: [value], right: [1, 2], scale: 1).singularVectors() == nil)
    #expect(
      LowRankProduct(rows: 1, columns: 2, rank: 1, left: [1], right: [1, 2], scale: value).singularVectors() == nil)
  }
}
