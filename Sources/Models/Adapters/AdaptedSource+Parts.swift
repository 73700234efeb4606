import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

extension AdaptedSource {
  /// Of what the adapter leaves alone.
  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    guard let own = untouched(info) else { return nil }
    return try base.piece(range, of: own)
  }

  /// Of what the adapter leaves alone, and of stacks of many matrices, whose rows are made by themselves.
  ///
  /// Memory of a reader: E · rank · (rows + columns) floats for E matrices, then a span in the dtype that sums are in.
  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    if let own = untouched(info) { return try base.spanned(own) }
    guard let height = stackHeight(of: info), hasUpdatesAlone(info),
      let format = info.dtype.floatFormat
    else { return nil }
    let first = try products(of: info, matrix: 0)[0]
    let unit = first.columns * format.byteWidth
    let source = self
    return SpannedTensor(length: max(unit, OpenTensor.runBytes / unit * unit), granularity: unit) {
      _ throws(StorageError) in
      let begun = try source.openUnadapted(info)
      let products = try (0..<height).map { number throws(StorageError) in
        try source.products(of: info, matrix: number)
      }
      return { start, target throws(StorageError) in
        try begun.withBytes(start..<start + target.count) { raw in
          let rows = start / unit..<(start + target.count) / unit
          if format == .f64 {
            Self.add(products, rows, to: raw, format, as: Double.self, into: target)
          } else {
            Self.add(products, rows, to: raw, format, as: Float.self, into: target)
          }
        }
      }
    }
  }

  /// The base's tensor that this one is; nil for one that the adapter has something to do with.
  private func untouched(_ info: TensorInfo) -> TensorInfo? {
    changes[ExactString(info.name)] == nil ? base.tensor(named: info.name) : nil
  }

  /// - Parameters:
  ///   - products: of each matrix, those of its updates.
  ///   - rows: of all matrices, one after another; `begun` has their elements.
  private static func add<Scalar: Accumulator>(
    _ products: [[LowRankProduct]], _ rows: Range<Int>, to begun: UnsafeRawBufferPointer, _ format: FloatFormat,
    as _: Scalar.Type, into target: UnsafeMutableRawBufferPointer
  ) {
    let (height, columns) = (products[0][0].rows, products[0][0].columns)
    var sum = [Scalar](repeating: 0, count: rows.count * columns)
    sum.withUnsafeMutableBufferPointer { format.widen(begun, into: $0) }
    for matrix in rows.lowerBound / height...(rows.upperBound - 1) / height {
      let own = rows.clamped(to: matrix * height..<(matrix + 1) * height)
      let place = (own.lowerBound - rows.lowerBound) * columns
      for product in products[matrix] {
        let delta = product.part(
          rows: own.lowerBound - matrix * height..<own.upperBound - matrix * height, columns: 0..<columns
        ).elements()
        for i in 0..<delta.count { sum[place + i] += Scalar(delta[i]) }
      }
    }
    sum.withUnsafeBufferPointer { format.round($0, into: target) }
  }
}
