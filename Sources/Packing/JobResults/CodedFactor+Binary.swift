import TMPackByteIO
import TMPackFactors
import TMPackJournal
import TMPackTensorKit

extension CodedFactor {
  /// What is left of a record.
  init(parsing reader: inout ByteReader, of info: TensorInfo) throws(StorageError) {
    let kind: UInt8 = try reader.integer()
    if kind == 4 {
      let stack = try reader.stack(of: info)
      (rows, columns) = (stack.rows, stack.columns)
      let quantizer = try reader.rankAndQuantizer().1
      var forms: [QuantizedStack.Form] = []
      for _ in 0..<stack.count {
        let (rank, isDense) = (Int(try reader.integer(UInt32.self)), try reader.integer(UInt8.self) == 1)
        guard rank <= min(rows, columns) else {
          throw StorageError(.malformed, "a factor is not of its tensor", offset: reader.offset)
        }
        forms.append(.init(rank: rank, isDense: isDense))
      }
      form = .stack(.init(stack: stack, quantizer: quantizer, matrices: forms))
    } else {
      (rows, columns) = (try reader.count(), try reader.count())
      guard rows >= 1, columns >= 1, try rows.multiplied(by: columns, "a size") == info.shape.elementCount else {
        throw StorageError(.malformed, "a factor is not of its tensor", offset: reader.offset)
      }
      let (rank, quantizer) = try reader.rankAndQuantizer()
      switch kind {
      case 1: form = .lowRank(rank: rank, quantizer)
      case 2: form = .dense
      case 3: form = .layered(rank: rank, quantizer)
      default: throw StorageError(.malformed, "a factor is of an unknown kind", offset: reader.offset)
      }
    }
    payload = [UInt8](try reader.take(reader.remaining))
  }

  func write(to writer: inout ByteWriter) {
    func write(_ kind: UInt8, _ rank: Int, _ quantizer: Quantizer) {
      writer.integer(kind)
      writer.integer(UInt64(rows))
      writer.integer(UInt64(columns))
      writer.rankAndQuantizer(rank, quantizer)
    }
    switch form {
    case .lowRank(let rank, let quantizer): write(1, rank, quantizer)
    case .dense: write(2, 0, .uniform)
    case .layered(let rank, let quantizer): write(3, rank, quantizer)
    case .stack(let form):
      writer.integer(UInt8(4))
      writer.stack(form.stack)
      writer.rankAndQuantizer(0, form.quantizer)
      for matrix in form.matrices {
        writer.integer(UInt32(matrix.rank))
        writer.integer(UInt8(matrix.isDense ? 1 : 0))
      }
    }
    writer.append(payload)
  }
}
