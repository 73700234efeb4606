import TMPackByteIO
import TMPackTensorKit

/// What a tensor of an adapter that is written is made of.
enum AdapterPart: Sendable {
  /// The elements as they lie.
  case same(TensorInfo)
  /// One side of an update, or of one for each of a layer's experts, one after another; nil for one that has none.
  case sides([Side?])
  case number(Float)

  /// A, [rank, inputs…], or B, [outputs, rank].
  struct Side: Sendable {
    let info: TensorInfo
    let isA: Bool
    /// At least the side's own; what is more is zeros.
    let rank: Int
    /// What it is multiplied by, in binary32.
    var factor: Float = 1
    /// Whether rows and columns are exchanged.
    let isTransposed: Bool

    private var rows: Int { isA ? rank : info.shape.dimensions[0] }
    private var columns: Int { isA ? info.shape.elementCount / info.shape.dimensions[0] : rank }
    var shape: [Int] { isTransposed ? [columns, rows] : [rows, columns] }
    /// A product is not rounded to fewer digits than it has.
    var dtype: DType { factor == 1 ? info.dtype : .f32 }

    /// Adds it to zeros.
    func place(_ source: any TensorSource, as dtype: DType, into target: UnsafeMutableRawBufferPointer)
      throws(StorageError)
    {
      let width = dtype.bitWidth / 8
      let own = isA ? info.shape.elementCount / info.shape.dimensions[0] : info.shape.dimensions[1]
      try numbers(source, as: dtype).withBytes { raw in
        for row in 0..<(isA ? info.shape.dimensions[0] : rows) {
          if !isTransposed {
            let run = UnsafeRawBufferPointer(rebasing: raw[row * own * width..<(row + 1) * own * width])
            UnsafeMutableRawBufferPointer(rebasing: target[(row * columns * width)...]).copyMemory(from: run)
            continue
          }
          for column in 0..<own {
            let (from, to) = ((row * own + column) * width, (column * rows + row) * width)
            for byte in 0..<width { target[to + byte] = raw[from + byte] }
          }
        }
      }
    }

    private func numbers(_ source: any TensorSource, as dtype: DType) throws(StorageError) -> TensorBytes {
      let bytes = try source.bytes(of: info)
      guard factor != 1 || info.dtype != dtype, let format = info.dtype.floatFormat else { return bytes }
      return try bytes.withBytes { raw throws(StorageError) in
        try TensorBytes(count: info.shape.elementCount * 4) { result throws(StorageError) in
          let values = result.bindMemory(to: Float.self)
          format.widen(raw, into: values)
          for index in values.indices { values[index] *= factor }
          if let place = FloatFormat.f32.firstNonFinite(UnsafeRawBufferPointer(result)) {
            throw StorageError(.nonFinite, "element \(place) is not finite, times the scale", tensor: info.name)
          }
        }
      }
    }
  }
}
