import TMPackByteIO
import TMPackFactors
import TMPackTensorKit
import TMPackZstandard

extension FuzzTarget {
  /// What is in frames. The first bytes say of what shape it is to be, as an archive's manifest does.
  static let codecs: [FuzzTarget] = [
    FuzzTarget("factor", longest: 1024, readFactor),
    FuzzTarget("zstandard") { bytes throws(StorageError) in
      try bytes.withUnsafeBufferPointer { bytes throws(StorageError) in
        let raw = UnsafeRawBufferPointer(bytes)
        let size = try Zstandard.contentSize(of: raw)
        guard size <= 1 << 16 else { return }
        _ = try [UInt8](count: Int(size)) { target throws(StorageError) in try Zstandard.decompress(raw, into: target) }
      }
    },
    FuzzTarget("magnitudes", longest: 512) { bytes throws(StorageError) in
      var input = FactorInput(bytes)
      let (width, count) = ([2, 4, 8][input.number(3)], input.number(64))
      var lanes = [UInt8](repeating: 0, count: width * count)
      input.rest().withUnsafeBytes { raw in
        lanes.withUnsafeMutableBytes { _ = Magnitudes.decode(raw, width: width, into: $0) }
      }
    },
  ]

  private static func readFactor(_ bytes: [UInt8]) throws(StorageError) {
    var input = FactorInput(bytes)
    let kind = input.number(8)
    let (rows, columns) = (1 + input.number(24), 1 + input.number(24))
    let (rank, quantizer) = (1 + input.number(6), input.number(2) == 0 ? Quantizer.uniform : .trellis)
    let dtype = FactorDType.allCases[input.number(FactorDType.allCases.count)]
    let scale = Float(bitPattern: UInt32(truncatingIfNeeded: input.number(1 << 16) << 16 | input.number(1 << 16)))
    func quantized(_ rank: Int) -> QuantizedStack.Form { QuantizedStack.Form(rank: rank, isDense: rank % 2 == 0) }
    let factor: Factor
    switch kind {
    case 0:
      factor = .quantized(
        .lowRank(
          try QuantizedLowRankFactor(
            payload: input.rest(), rows: rows, columns: columns, rank: rank, quantizer: quantizer)))
    case 1:
      factor = .quantized(.dense(try QuantizedDenseFactor(payload: input.rest(), rows: rows, columns: columns)))
    case 2:
      factor = .quantized(
        .layered(
          try QuantizedLayeredFactor(
            payload: input.rest(), rows: rows, columns: columns, rank: rank, quantizer: quantizer)))
    case 3:
      let mask = input.take(input.number(64))
      factor = .masked(try MaskedFactor(mask: mask, vector: input.rest(), rows: rows, columns: columns))
    case 4:
      let count = input.number(rows * columns + 1)
      let positions = input.take(input.number(128))
      factor = .sparse(
        try SparseFactor(
          positions: positions, values: input.rest(), scale: scale, dtype: dtype, count: count,
          elementCount: rows * columns))
    case 5:
      factor = .dense(try DenseFactor(values: input.rest(), scale: scale, dtype: dtype, count: rows * columns))
    case 6:
      let left = input.take(try dtype.byteCount(of: rows) * rank)
      let right = input.take(try dtype.byteCount(of: columns) * rank)
      factor = .lowRank(
        try LowRankFactor(
          left: left, right: right, scales: input.rest(), dtype: dtype, rows: rows, columns: columns, rank: rank))
    default:
      let count = 1 + input.number(4)
      let dimensions = [[1, 1], [2, 1], [1, 2]][input.number(3)]
      let all = count * dimensions[0] * dimensions[1]
      guard
        let stack = MatrixStack(
          [count, rows, dimensions[0], columns, dimensions[1]], of: all * rows * columns)
      else { return }
      let forms = (0..<all).map { _ in quantized(input.number(4)) }
      factor = .quantized(
        .stack(try QuantizedStack(payload: input.rest(), stack: stack, forms: forms, quantizer: quantizer)))
    }
    var sums = [Float](repeating: 0, count: factor.elementCount)
    sums.withUnsafeMutableBufferPointer { factor.accumulate(weight: 0.5, into: $0) }
  }
}

/// Takes numbers and runs of bytes from the front.
struct FactorInput {
  private var bytes: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  /// At least 0 and below `limit`.
  mutating func number(_ limit: Int) -> Int {
    let wide = limit > 256 ? 2 : 1
    return take(wide).reduce(0) { $0 << 8 | Int($1) } % limit
  }

  mutating func take(_ count: Int) -> [UInt8] {
    defer { bytes = bytes.dropFirst(count) }
    return Array(bytes.prefix(count))
  }

  func rest() -> [UInt8] { Array(bytes) }
}
