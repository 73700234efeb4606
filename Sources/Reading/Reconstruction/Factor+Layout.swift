import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

extension Factor {
  /// Decodes a factor of a tensor of that shape, against which its layout was checked with the manifest; nil for one that is
  /// approximated by nothing, or of which no matrix that is asked for has anything.
  ///
  /// - Parameters:
  ///   - elements: what of a stack's is asked for; nil for all of it.
  ///   - read: reads a payload, or some of its bytes.
  init?(
    _ layout: FactorLayout<PayloadReference>, shape: Shape, elements: Range<Int>?,
    payloads read: (PayloadReference, Range<Int>?) throws(StorageError) -> [UInt8]
  ) throws(StorageError) {
    func bytes(_ role: PayloadRole) throws(StorageError) -> [UInt8] { try read(layout[role], nil) }
    // The one scale of a sparse or dense factor (TMP-6-10).
    func scale() throws(StorageError) -> Float {
      try bytes(.scales).withBytes { raw throws(StorageError) in
        var reader = ByteReader(raw)
        return Float(bitPattern: try reader.integer())
      }
    }
    // What is no matrix is one row, where the factor may be of one.
    let (rows, columns) = shape.matrix ?? (1, shape.elementCount)
    switch layout.form {
    case .dropped: return nil
    case .lowRank(let rank, let dtype):
      self = .lowRank(
        try LowRankFactor(
          left: try bytes(.left), right: try bytes(.right), scales: try bytes(.scales), dtype: dtype, rows: rows,
          columns: columns, rank: rank))
    case .lowRankStack(let ranks, let dtype):
      let stack = try ranks.checked(against: shape, hasOthers: false)
      let wanted = elements.map { stack.matrices(touching: $0) } ?? 0..<stack.count
      let before = ranks.ranks[..<wanted.lowerBound].reduce(0, +)
      let components = before..<before + ranks.ranks[wanted].reduce(0, +)
      guard !components.isEmpty else { return nil }
      // Theirs alone, which lie together.
      func part(_ role: PayloadRole, _ width: Int) throws(StorageError) -> [UInt8] {
        try read(layout[role], components.lowerBound * width..<components.upperBound * width)
      }
      self = .lowRankStack(
        try LowRankStack(
          left: try part(.left, dtype.componentBytes(stack.rows)),
          right: try part(.right, dtype.componentBytes(stack.columns)), scales: try part(.scales, 4), dtype: dtype,
          stack: stack, ranks: ranks.ranks.enumerated().map { wanted.contains($0) ? $1 : 0 }))
    case .sparse(let count, let dtype):
      self = .sparse(
        try SparseFactor(
          positions: try bytes(.positions), values: try bytes(.values), scale: try scale(), dtype: dtype, count: count,
          elementCount: shape.elementCount))
    case .dense(let dtype):
      self = .dense(
        try DenseFactor(values: try bytes(.values), scale: try scale(), dtype: dtype, count: shape.elementCount))
    case .quantizedLowRank(let rank, let quantizer):
      self = .quantized(
        .lowRank(
          try QuantizedLowRankFactor(
            payload: try bytes(.payload), rows: rows, columns: columns, rank: rank, quantizer: quantizer)))
    case .quantizedLayered(let rank, let quantizer):
      self = .quantized(
        .layered(
          try QuantizedLayeredFactor(
            payload: try bytes(.payload), rows: rows, columns: columns, rank: rank, quantizer: quantizer)))
    case .quantized:
      self = .quantized(
        .dense(try QuantizedDenseFactor(payload: try bytes(.payload), rows: rows, columns: columns)))
    case .quantizedStack(let ranks, let dense, let quantizer):
      let dense = Set(dense)
      let stack = try ranks.checked(against: shape, hasOthers: !dense.isEmpty)
      let factor = try QuantizedStack(
        payload: try bytes(.payload), stack: stack,
        forms: ranks.ranks.enumerated().map { .init(rank: $1, isDense: dense.contains($0)) }, quantizer: quantizer,
        keeping: elements.map { stack.matrices(touching: $0) })
      guard let factor else { return nil }
      self = .quantized(.stack(factor))
    case .masked:
      self = .masked(
        try MaskedFactor(mask: try bytes(.mask), vector: try bytes(.vector), rows: rows, columns: columns))
    }
  }
}
