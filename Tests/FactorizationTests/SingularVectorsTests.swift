import TMPackByteIO
import TMPackFactorization
import TMPackFactors
import Testing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct SingularVectorsTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let rows: Int
    let columns: Int
    let rank: Int
    let weights: [Float]
    let noise: Float
    var testDescription: String { "\(rows)×\(columns) r\(rank), \(weights.count) components, noise \(noise)" }

    static let decaying = (0..<40).map { 1 / Float($0 + 1) }
    static let all: [Case] = [
      Case(rows: 1, columns: 1, rank: 1, weights: [], noise: 1),
      Case(rows: 1, columns: 900, rank: 1, weights: [], noise: 1),
      Case(rows: 900, columns: 1, rank: 1, weights: [], noise: 1),
      Case(rows: 64, columns: 256, rank: 16, weights: [], noise: 1),
      Case(rows: 64, columns: 256, rank: 64, weights: decaying, noise: 0.1),
      Case(rows: 300, columns: 200, rank: 20, weights: decaying, noise: 0.1),
      Case(rows: 300, columns: 200, rank: 199, weights: [], noise: 1),
      // Rank-deficient, and so strongly that noise is all of the rest.
      Case(rows: 120, columns: 80, rank: 30, weights: [1, 1, 1], noise: 0),
      Case(rows: 300, columns: 400, rank: 12, weights: [1, 1, 1, 0.001], noise: 0),
      // Through the range finder: flat, decaying, steep over a flat tail, rank-deficient.
      Case(rows: 420, columns: 300, rank: 8, weights: [], noise: 1),
      Case(rows: 300, columns: 420, rank: 20, weights: decaying, noise: 0.01),
      Case(rows: 300, columns: 420, rank: 20, weights: [1000, 100, 10, 1], noise: 0.01),
      Case(rows: 400, columns: 300, rank: 16, weights: [3, 2, 1], noise: 0),
      Case(rows: 90, columns: 80, rank: 4, weights: [], noise: 1),
      Case(rows: 130, columns: 128, rank: 12, weights: decaying, noise: 0.1),
      // Long: through the Gram matrix again, which the range finder beside it does not take.
      Case(rows: 2000, columns: 100, rank: 5, weights: decaying, noise: 0.1),
    ]
  }

  @Test(arguments: Case.all) func isWithinTenThousandthOfTheOptimum(_ c: Case) throws {
    let matrix = Matrix.spectrum(c.rows, c.columns, c.weights, noise: c.noise)
    let vectors = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: c.rank) }
    #expect(matrix.error(of: vectors) <= matrix.bestError(rank: c.rank) + 1e-4)
    expectInvariants(vectors)
  }

  @Test func isWithinAFiftiethOfAPercentWhenLarge() throws {
    for weights in [[], Case.decaying] {
      let matrix = Matrix.spectrum(1200, 1100, weights, noise: 0.1)
      let vectors = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 32) }
      #expect(matrix.error(of: vectors) <= matrix.bestError(rank: 32) * 1.0002)
      expectInvariants(vectors)
    }
  }

  @Test(arguments: [Float(1e30), 1e-30, 0x1p-140, 3e38]) func toleratesAnyMagnitude(_ magnitude: Float) throws {
    for (rows, columns) in [(40, 30), (300, 400)] {
      var matrix = Matrix.spectrum(rows, columns, [4, 2, 1], noise: 0.1)
      let largest = matrix.values.map(\.magnitude).max()!
      matrix.values = matrix.values.map { $0 / largest * magnitude }
      let vectors = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 5) }
      #expect(matrix.error(of: vectors) <= matrix.bestError(rank: 5) + 1e-4)
      expectInvariants(vectors)
    }
  }

  @Test func leavesOutWhatTheMatrixDoesNotHave() throws {
    let zero = Matrix(values: .init(repeating: 0, count: 300 * 400), rows: 300, columns: 400)
    let none = try zero.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 8) }
    #expect(none.singularValues == [0])
    expectInvariants(none)

    let constant = Matrix(values: .init(repeating: -2, count: 300 * 400), rows: 300, columns: 400)
    let one = try constant.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 8) }
    #expect(one.rank == 1)
    #expect(abs(one.singularValues[0] - 2 * Double(300 * 400).squareRoot()) < 0.01)
    expectInvariants(one)

    var single = zero
    single.values[7 * 400 + 11] = 3
    let entry = try single.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 8) }
    #expect(entry.rank == 1 && entry.left[7] == 1 && entry.right[11] == 1)
  }

  @Test func toleratesEqualSingularValues() throws {
    for side in [40, 300] {
      var matrix = Matrix(values: .init(repeating: 0, count: side * side), rows: side, columns: side)
      // A permutation with signs: every singular value is 1.
      for i in 0..<side { matrix.values[i * side + (i * 7 + 3) % side] = i % 3 == 0 ? -1 : 1 }
      let vectors = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 10) }
      #expect(vectors.rank == 10 && vectors.singularValues.allSatisfy { abs($0 - 1) < 1e-5 })
      expectInvariants(vectors)
    }
  }

  @Test func toleratesMatricesOfFewEntries() throws {
    var random = RandomBits(seed: 31)
    for count in [2, 5, 9, 40, 400] {
      var matrix = Matrix(values: .init(repeating: 0, count: 300 * 310), rows: 300, columns: 310)
      for value in noise(count, seed: UInt64(count)) { matrix.values[Int(random.next() % (300 * 310))] = value }
      let vectors = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 10) }
      #expect(matrix.error(of: vectors) <= matrix.bestError(rank: 10) + 1e-4)
      expectInvariants(vectors)
    }
  }

  /// A few dominant directions converge at once, and say nothing of the flat rest that decides the error.
  @Test func convergesBehindDominantDirections() {
    for seed in UInt64(1)...4 {
      for (count, rank) in [(2, 4), (20, 4), (20, 16), (20, 20)] {
        for power in 0...2 {
          let weights = (1...count).map {
            1 / (0..<power).reduce(Float($0)) { product, _ in product * Float(count) / 4 }
          }
          let matrix = Matrix.spectrum(300, 420, weights, noise: 1, seed: 100 * seed)
          let (gram, range) = matrix.withView {
            (SingularVectors(gramOf: $0, rank: rank), SingularVectors(rangeOf: $0, rank: rank, largest: 1))
          }
          let best = matrix.error(of: gram)
          #expect(matrix.error(of: range) <= min(best + 1e-4, best * 1.0002))
        }
      }
    }
  }

  /// Many, since whether float32's rounding hides a fault depends on the sign of its error, and so on the processor.
  @Test func recoversMatricesWhoseRankRunsOut() {
    for seed in UInt64(1)...30 {
      for count in [3, 14, 20] {
        let matrix = Matrix.spectrum(280, 260, (0..<count).map { 1 / Float($0 + 1) }, noise: 0, seed: 10 * seed)
        let vectors = matrix.withView { SingularVectors(rangeOf: $0, rank: 16, largest: 1) }
        if count <= 16 {
          #expect(vectors.rank == count)
          #expect(matrix.error(of: vectors) < 5e-6)
        } else {
          let best = matrix.withView { SingularVectors(gramOf: $0, rank: 16) }
          #expect(matrix.error(of: vectors) < matrix.error(of: best) * 1.0001)
        }
      }
    }
  }

  @Test func takesTheFasterRoute() {
    for (rows, columns, rank, isGram) in [
      (384, 384, 16, false), (384, 384, 96, true), (1536, 384, 16, false), (384, 1536, 64, true), (30522, 384, 4, true),
      (768, 3072, 64, false), (4096, 4096, 64, false), (4096, 4096, 2048, true), (64, 64, 4, true),
    ] {
      #expect(
        SingularVectors.takesGram(rows: rows, columns: columns, rank: rank) == isGram, "\(rows) × \(columns), \(rank)")
    }
  }

  @Test func bothRoutesAgree() throws {
    let matrix = Matrix.spectrum(300, 400, [8, 4, 2, 1], noise: 0.01)
    let (gram, range) = matrix.withView {
      (SingularVectors(gramOf: $0, rank: 4), SingularVectors(rangeOf: $0, rank: 4, largest: 1))
    }
    // Signs too.
    #expect(relativeError(gram.left, range.left) < 1e-4)
    #expect(relativeError(gram.right, range.right) < 1e-4)
  }

  @Test func isTheSameOnEveryThread() async throws {
    for (rows, columns, rank) in [(300, 420, 20), (100, 180, 12)] {
      let matrix = Matrix.spectrum(rows, columns, Case.decaying, noise: 0.1)
      let expected = try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: rank) }
      await withTaskGroup(of: SingularVectors?.self) { group in
        for _ in 0..<8 {
          group.addTask {
            try? matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: rank) }
          }
        }
        for await vectors in group { #expect(vectors == expected) }
      }
    }
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity]) func refusesWhatIsNotANumber(_ value: Float) {
    var matrix = Matrix.spectrum(30, 40, [], noise: 1)
    matrix.values[17] = value
    #expect(throws: StorageError(.nonFinite, "")) {
      try matrix.withView { view throws(StorageError) in try SingularVectors(of: view, rank: 2) }
    }
  }

  @Test func blasIsPrepared() {
    BLAS.prepare()
    #expect(!BLAS.coreName.isEmpty && BLAS.configuration.contains("OpenBLAS"))
    #if arch(x86_64)
      // What the user asks for is kept.
      if getenv("OPENBLAS_CORETYPE") == nil, CPU.features.contains("avx2") { #expect(BLAS.coreName != "Prescott") }
    #endif
  }

  private func expectInvariants(_ vectors: SingularVectors) {
    let values = vectors.singularValues
    #expect(values.count >= 1 && vectors.left.count == vectors.rank * vectors.rows)
    #expect(vectors.right.count == vectors.rank * vectors.columns)
    #expect(zip(values, values.dropFirst()).allSatisfy { $0 >= $1 } && values.last! >= 0)
    for k in 0..<vectors.rank {
      let left = vectors.left[k * vectors.rows..<(k + 1) * vectors.rows]
      #expect(left.max()! >= left.map(\.magnitude).max()!, "the largest entry is positive")
      for j in 0...k {
        let wanted: Double = j == k ? 1 : 0
        let other = vectors.left[j * vectors.rows..<(j + 1) * vectors.rows]
        // Below ε σ₁ / σₖ directions are not determined.
        let slack = 1e-5 + 1e-6 * values[0] / max(values[k], values[0] * 1e-7, .leastNormalMagnitude)
        let product = zip(left, other).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        #expect(abs(product - wanted) < slack)
      }
    }
  }
}
