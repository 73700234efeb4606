import TMPackByteIO
import TMPackFactors
import TMPackJournal

/// A quantised factor on disk; or none, of a tensor that is better left out.
struct SpilledFactor: Sendable {
  private let stored: Stored?

  private struct Stored: Sendable {
    let form: QuantizedFactor.Form
    let rows: Int
    let columns: Int
    let payload: SpilledNumbers<UInt8>
  }

  /// - Parameter record: a `ProbedTensor`'s, which ends with the message; nil puts it into `scratch`.
  package init(_ factor: CodedFactor?, in record: StoredJob? = nil, or scratch: ScratchFile) throws(StorageError) {
    stored = try factor.map { factor throws(StorageError) in
      Stored(
        form: factor.form, rows: factor.rows, columns: factor.columns,
        payload: try SpilledNumbers([factor.payload], in: record, or: scratch))
    }
  }

  /// nil for a tensor that is left out.
  package var form: QuantizedFactor.Form? { stored?.form }

  /// As a reader will have it.
  package func loaded() throws(StorageError) -> Factor? {
    guard let stored else { return nil }
    let coded = CodedFactor(
      form: stored.form, rows: stored.rows, columns: stored.columns, payload: try stored.payload.loaded())
    return .quantized(try coded.decoded())
  }
}
