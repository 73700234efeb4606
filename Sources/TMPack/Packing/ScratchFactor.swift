import ByteIO
import Factorization

/// A quantised factor on disk; or none, of a tensor that is better left out.
struct ScratchFactor: Sendable {
  private let stored: Stored?

  fileprivate struct Stored {
    let form: QuantizedFactor.Form
    let rows: Int
    let columns: Int
    /// Of the message.
    let offset: UInt64
    let size: Int
    /// The journal that has it; nil for the scratch file.
    let journal: (any PositionalReader)?
  }

  init(_ factor: CodedFactor?, scratch: ScratchFile) throws(StorageError) {
    stored = try factor.map { factor throws(StorageError) in
      let offset = try factor.payload.withUnsafeBufferPointer { bytes throws(StorageError) in
        try scratch.append(UnsafeRawBufferPointer(bytes))
      }
      return Stored(factor, offset: offset, journal: nil)
    }
  }

  /// - Parameter record: a `ProbedTensor`'s, which ends with the message.
  init(_ factor: CodedFactor?, in record: StoredJob) {
    stored = factor.map {
      Stored($0, offset: record.offset + record.size - UInt64($0.payload.count), journal: record.reader)
    }
  }

  /// nil for a tensor that is left out.
  var form: QuantizedFactor.Form? { stored?.form }

  /// As a reader will have it.
  func loaded(from scratch: ScratchFile) throws(StorageError) -> Factor? {
    guard let stored else { return nil }
    let reader: any PositionalReader = stored.journal ?? scratch
    let payload: [UInt8] = try reader.read(at: stored.offset, count: stored.size)
    let coded = CodedFactor(form: stored.form, rows: stored.rows, columns: stored.columns, payload: payload)
    return .quantized(try coded.decoded())
  }
}

extension ScratchFactor.Stored {
  fileprivate init(_ factor: CodedFactor, offset: UInt64, journal: (any PositionalReader)?) {
    self.init(
      form: factor.form, rows: factor.rows, columns: factor.columns, offset: offset, size: factor.payload.count,
      journal: journal)
  }
}
