import TMPackArchiveFormat
import TMPackFactorization
import TMPackFactors
import TMPackTensorKit
import Timing

/// The matrices of a task vector, with their leading triplets.
struct Matrix {
  let rows: Int
  let columns: Int
  let values: [Float]
  let vectors: SingularVectors

  init?(_ pair: Pair, rank: Int) throws {
    guard let format = pair.info.dtype.floatFormat, let (rows, columns) = pair.info.shape.matrix,
      min(rows, columns) > 4 * rank
    else { return nil }
    func numbers(_ bytes: TensorBytes) throws -> [Float] {
      try bytes.withBytes { bytes in
        [Float](unsafeUninitializedCapacity: rows * columns) { numbers, count in
          count = rows * columns
          format.widen(bytes, into: UnsafeMutableBufferPointer(rebasing: numbers[0..<count]))
        }
      }
    }
    values = zip(try numbers(pair.expert), try numbers(pair.base)).map { $0 - $1 }
    vectors = try values.withUnsafeBufferPointer {
      try SingularVectors(of: MatrixView($0, rows: rows, columns: columns), rank: rank)
    }
    (self.rows, self.columns) = (rows, columns)
  }

  var shape: Shape { get throws { try Shape([rows, columns]) } }
  /// The root of the mean square.
  var rms: Double { (values.reduce(0) { $0 + Double($1) * Double($1) } / Double(values.count)).squareRoot() }
}

/// A way to store a matrix with an error.
struct FactorCodec {
  let name: String
  /// How many numbers are coded for a matrix.
  let numbers: (Matrix) -> Int
  /// Given the triplets, which are not part of the cost.
  let make: (Matrix) throws -> Factor

  private static func every(_ matrix: Matrix) -> Int { matrix.values.count }
  private static func products(_ rank: Int) -> (Matrix) -> Int { { rank * ($0.rows + $0.columns) } }

  /// - Parameter rank: of a plan for low rank.
  private static func plan(_ name: String, _ plan: FactorPlan, rank: Int? = nil) -> FactorCodec {
    FactorCodec(name: name, numbers: rank.map(products) ?? every) { matrix in
      try matrix.values.withUnsafeBufferPointer {
        try plan.encode($0, shape: matrix.shape, known: rank == nil ? nil : matrix.vectors)
      }
    }
  }

  private static func lowRank(_ rank: Int, _ quantizer: Quantizer) -> FactorCodec {
    FactorCodec(name: "rank \(rank), \(quantizer.rawValue), range-coded", numbers: products(rank)) { matrix in
      let point = RateSetting(.balanced, quality: Double(rank))
        .point(singularValues: matrix.vectors.singularValues, rows: matrix.rows, columns: matrix.columns)
      return .quantized(
        .lowRank(
          QuantizedLowRankFactor(quantizing: matrix.vectors, rank: rank, step: point.step, quantizer: quantizer)!))
    }
  }

  /// - Parameter share: the step by the RMS.
  private static func entrywise(_ share: Double, _ text: String) -> FactorCodec {
    FactorCodec(name: "entry-wise, step \(text), range-coded", numbers: every) { matrix in
      matrix.values.withUnsafeBufferPointer {
        .quantized(
          .dense(
            QuantizedDenseFactor(quantizing: $0, rows: matrix.rows, columns: matrix.columns, step: share * matrix.rms)!)
        )
      }
    }
  }

  static func all(rank: Int) throws -> [FactorCodec] {
    return [
      plan("rank \(rank), f16", try FactorPlan(.lowRank(rank: rank), dtype: .f16), rank: rank),
      plan("rank \(rank), int8", try FactorPlan(.lowRank(rank: rank), dtype: .int8), rank: rank),
      plan("rank \(rank), int4", try FactorPlan(.lowRank(rank: rank), dtype: .int4), rank: rank),
      lowRank(rank, .uniform), lowRank(rank, .trellis), entrywise(2, "2 RMS"), entrywise(0.5, "RMS/2"),
      plan("ternary 0.1, range-coded", try FactorPlan(.ternary(density: 0.1), dtype: .int8)),
      plan("signs, range-coded", try FactorPlan(.signs, dtype: .int8)),
      plan("sparse 0.1, int8", try FactorPlan(.sparse(density: 0.1), dtype: .int8)),
      plan("dense, int8", try FactorPlan(.dense, dtype: .int8)),
    ]
  }

  func cost(of matrices: [Matrix], rounds: Int) throws -> (cost: Cost, error: Double) {
    var cost = Cost()
    var (energy, left) = (0.0, 0.0)
    for matrix in matrices {
      var factor: Factor?
      var payloads: [EncodedPayload] = []
      cost.encoding += try Clock.process.seconds(rounds: rounds) {
        factor = try make(matrix)
        payloads = factor!.encodedPayloads
      }
      cost.stored += payloads.reduce(0) { $0 + $1.storedSize }
      var sum = [Float](repeating: 0, count: matrix.values.count)
      cost.decoding += try Clock.process.seconds(rounds: rounds) {
        for payload in payloads { _ = try payload.decoded() }
        _ = WeightedFactor(try factor!.decoded(), weight: 1)
      }
      sum.withUnsafeMutableBufferPointer { factor!.accumulate(weight: 1, into: $0) }
      for (value, decoded) in zip(matrix.values, sum) {
        energy += Double(value) * Double(value)
        left += Double(value - decoded) * Double(value - decoded)
      }
    }
    return (cost, (left / energy).squareRoot())
  }
}

extension Factor {
  /// As `pack` makes them, but each with frames of its own.
  fileprivate var encodedPayloads: [EncodedPayload] {
    func encoded(_ bytes: [UInt8], _ width: Int) -> EncodedPayload {
      EncodedPayload(bytes, elementWidth: width, isShared: true, level: PayloadCoding.defaultLevel)
    }
    switch self {
    case .lowRank(let factor):
      let width = factor.dtype.planeWidth
      return [encoded(factor.left, width), encoded(factor.right, width), encoded(factor.scales, 4)]
    case .lowRankStack(let factor):
      let width = factor.dtype.planeWidth
      return [encoded(factor.left, width), encoded(factor.right, width), encoded(factor.scales, 4)]
    case .sparse(let factor): return [encoded(factor.positions, 1), encoded(factor.values, factor.dtype.planeWidth)]
    case .dense(let factor): return [encoded(factor.values, factor.dtype.planeWidth)]
    case .quantized(let factor): return [encoded(factor.payload, 1)]
    case .masked(let factor): return [encoded(factor.mask, 1), encoded(factor.vector, 1)]
    }
  }
}

extension EncodedPayload {
  fileprivate func decoded() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size)
    try bytes.withUnsafeMutableBytes { try decode(into: $0) }
    return bytes
  }
}
