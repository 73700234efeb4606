import TMPackCLAPACKE
import TMPackCOpenBLAS
import TMPackFactorization
import TMPackFactors

/// Random numbers with a roughly normal distribution.
func noise(_ count: Int, seed: UInt64) -> [Float] {
  var random = RandomBits(seed: seed)
  return (0..<count).map { _ in
    (0..<4).reduce(Float(0)) { sum, _ in sum + Float(Int64(bitPattern: random.next()) >> 40) * 0x1p-23 }
  }
}

/// A row-major matrix, with its shape.
struct Matrix {
  var values: [Float]
  let rows: Int
  let columns: Int

  func withView<Result, Failure: Error>(_ body: (MatrixView) throws(Failure) -> Result) throws(Failure) -> Result {
    try values.withUnsafeBufferPointer { buffer throws(Failure) in
      try body(MatrixView(buffer, rows: rows, columns: columns))
    }
  }

  /// A product of Gaussian factors with the given weights of its components, plus `level` times noise.
  static func spectrum(_ rows: Int, _ columns: Int, _ weights: [Float], noise level: Float, seed: UInt64 = 1) -> Self {
    var values = noise(rows * columns, seed: seed).map { $0 * level }
    if !weights.isEmpty {
      let left = noise(rows * weights.count, seed: seed + 1)
      var right = noise(columns * weights.count, seed: seed + 2)
      for k in weights.indices { for j in 0..<columns { right[k * columns + j] *= weights[k] } }
      let (m, n, r) = (Int32(rows), Int32(columns), Int32(weights.count))
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, r, 1, left, r, right, n, 1, &values, n)
    }
    return Self(values: values, rows: rows, columns: columns)
  }

  var energy: Double { values.reduce(0) { $0 + Double($1) * Double($1) } }

  /// ‖A − A_r‖ / ‖A‖ of the best A_r, by a float64 SVD of everything.
  func bestError(rank: Int) -> Double {
    let s = min(rows, columns)
    var copy = values.map(Double.init)
    var singular = [Double](repeating: 0, count: s)
    let info = LAPACKE_dgesdd(
      LAPACK_ROW_MAJOR, CChar(UInt8(ascii: "N")), Int32(rows), Int32(columns), &copy, Int32(columns), &singular,
      nil, Int32(rows), nil, Int32(columns))
    precondition(info == 0)
    let total = singular.reduce(0) { $0 + $1 * $1 }
    return total == 0 ? 0 : (singular.dropFirst(rank).reduce(0) { $0 + $1 * $1 } / total).squareRoot()
  }

  /// ‖A − Σ σ u vᵀ‖ / ‖A‖, in float64.
  func error(of vectors: SingularVectors) -> Double {
    var rest = values.map(Double.init)
    let left = (0..<vectors.rank).flatMap { k in
      vectors.left[k * rows..<(k + 1) * rows].map { Double($0) * vectors.singularValues[k] }
    }
    let right = vectors.right.map(Double.init)
    let (m, n, r) = (Int32(rows), Int32(columns), Int32(vectors.rank))
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, r, -1, left, m, right, n, 1, &rest, n)
    return energy == 0 ? 0 : (rest.reduce(0) { $0 + $1 * $1 } / energy).squareRoot()
  }
}

/// ‖x − y‖ / ‖x‖.
func relativeError(_ x: [Float], _ y: [Float]) -> Double {
  var lost = 0.0
  var total = 0.0
  for (a, b) in zip(x, y) {
    lost += (Double(a) - Double(b)) * (Double(a) - Double(b))
    total += Double(a) * Double(a)
  }
  return total == 0 ? 0 : (lost / total).squareRoot()
}

extension Factor {
  /// `base` + `weight` · the tensor.
  func added<Scalar: FactorAccumulator>(to base: [Scalar], weight: Float, isa: InstructionSet = .best) -> [Scalar] {
    var acc = base
    acc.withUnsafeMutableBufferPointer { accumulate(weight: weight, into: $0, using: isa) }
    return acc
  }
}
