import TMPackByteIO
import TMPackFactorization
import Testing

@Suite struct FullSVDTests {
  private func random(_ rows: Int, _ columns: Int, seed: UInt64) -> DoubleMatrix {
    var bits = RandomBits(seed: seed)
    return DoubleMatrix(
      (0..<rows * columns).map { _ in Double(Int64(bitPattern: bits.next())) * 0x1p-62 }, rows: rows, columns: columns)
  }

  private func norm(_ matrix: DoubleMatrix) -> Double { matrix.values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

  private func restored(_ svd: FullSVD) throws -> DoubleMatrix {
    var right = try #require(svd.right)
    right.scaleRows(by: svd.singularValues)
    return DoubleMatrix(try #require(svd.left), times: right)
  }

  private func distance(_ a: DoubleMatrix, _ b: DoubleMatrix) -> Double {
    zip(a.values, b.values).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
  }

  private func identityError(_ gram: DoubleMatrix) -> Double {
    var error = 0.0
    for i in 0..<gram.rows {
      for j in 0..<gram.columns { error = max(error, abs(gram.values[i * gram.columns + j] - (i == j ? 1 : 0))) }
    }
    return error
  }

  @Test(arguments: [(1, 1), (1, 7), (9, 1), (5, 5), (40, 17), (17, 40), (300, 12), (12, 300), (130, 128)])
  func theProductIsTheMatrixAndTheVectorsAreOrthonormal(_ rows: Int, _ columns: Int) throws {
    let matrix = random(rows, columns, seed: 3)
    let svd = try FullSVD(matrix)
    let unit = Double(max(rows, columns)) * 0x1p-52
    #expect(svd.rank == min(rows, columns))
    #expect(svd.singularValues == svd.singularValues.sorted(by: >))
    #expect(distance(try restored(svd), matrix) <= 10 * unit * norm(matrix))
    let (left, right) = (try #require(svd.left), try #require(svd.right))
    #expect(identityError(DoubleMatrix(left, times: left, transposing: .first)) <= 10 * unit)
    #expect(identityError(DoubleMatrix(right, times: right, transposing: .second)) <= 10 * unit)
  }

  @Test func directionsInRoundingNoiseAreLeftOut() throws {
    let matrix = DoubleMatrix(random(30, 4, seed: 5), times: random(4, 50, seed: 6))
    let svd = try FullSVD(matrix)
    #expect(svd.rank == 4 && svd.shortSide == 30)
    #expect(distance(try restored(svd), matrix) <= 1e-13 * norm(matrix))
    #expect(try FullSVD(DoubleMatrix(zerosOfRows: 3, columns: 5)).rank == 0)
    #expect(try FullSVD(DoubleMatrix(zerosOfRows: 3, columns: 5)).orthogonalFactor() == nil)
  }

  @Test func leadingTripletsAreTheFirst() throws {
    let svd = try FullSVD(random(8, 6, seed: 7))
    let two = svd.leading(2)
    #expect(two.singularValues == Array(svd.singularValues.prefix(2)))
    #expect(two.left == svd.left?.columns(0..<2) && two.right == svd.right?.rows(0..<2))
    #expect(svd.leading(0).rank == 0 && svd.leading(9).rank == 6)
  }

  @Test(arguments: [Double.nan, .infinity]) func aNumberThatIsNoneIsAnError(_ value: Double) {
    var matrix = random(4, 5, seed: 8)
    matrix.values[11] = value
    #expect(throws: StorageError(.nonFinite, "")) { try FullSVD(matrix) }
  }

  @Test func aShortSideAboveTheLimitIsAnError() {
    let side = Limits.decomposedSide + 1
    #expect(throws: StorageError(.limitExceeded, "")) {
      try DoubleMatrix.checkDecomposable(rows: side, columns: side + 1)
    }
  }

  @Test(arguments: [(5, 5), (40, 17), (17, 40), (1, 9), (64, 64)])
  func thePolarFactorIsThatOfAllTriplets(_ rows: Int, _ columns: Int) throws {
    // Within what a Gram matrix shows, and beyond.
    for least in [0.1, 1e-3, 1e-9] {
      var svd = try FullSVD(random(rows, columns, seed: 9))
      let count = svd.rank
      var scaled = try #require(svd.right)
      var values = [Double](repeating: 1, count: count)
      for k in values.indices { values[k] = 1 / Double(k + 1) }
      if count > 1 { values[count - 1] = min(values[count - 1], least) }
      scaled.scaleRows(by: values)
      let matrix = DoubleMatrix(try #require(svd.left), times: scaled)
      svd = try FullSVD(matrix)
      let polar = try PolarFactor(matrix)
      let expected = try #require(svd.orthogonalFactor())
      #expect(distance(try #require(polar.factor), expected) <= 1e-8 * norm(expected), "\(least)")
      #expect(abs(polar.nuclearNorm - svd.nuclearNorm) <= 1e-10 * svd.nuclearNorm)
    }
    #expect(try PolarFactor(DoubleMatrix(zerosOfRows: rows, columns: columns)).factor == nil)
  }

  @Test(arguments: [(60, 41), (41, 60)]) func fewLeadingTripletsAreThoseOfAll(_ rows: Int, _ columns: Int) throws {
    let matrix = random(rows, columns, seed: 10)
    let (few, all) = (try FullSVD(leading: 6, of: matrix), try FullSVD(matrix).leading(6))
    #expect(zip(few.singularValues, all.singularValues).allSatisfy { abs($0 - $1) <= 1e-12 * $1 })
    #expect(distance(try restored(few), try restored(all)) <= 1e-10 * norm(matrix))
  }
}
