import TMPackByteIO
import TMPackDigests

/// What stands before the bytes of a record of a journal (Spec/tasks.md).
///
/// ```
///  0 4 magic   4 1 kind   5 1 reserved   6 2 round   8 4 expert   12 4 index   16 8 size   24 32 digest   56 8 check
/// ```
/// The check is of the plan's digest and of the bytes before it: a record of another plan is none.
package struct RecordHeader: Sendable {
  package static let byteCount = 64
  private static let checkedBytes = 56
  private static let magic = Array("tmpr".utf8)
  /// The kind of the last record of a finished part.
  private static let endKind: UInt8 = 0xFF

  package enum Subject: Sendable, Hashable {
    case job(JobKey)
    /// The end of a finished part, after so many records.
    case end(count: Int)
  }
  package let subject: Subject
  package let size: UInt64
  /// Of the record's bytes.
  let digest: ContentDigest

  package func bytes(plan: ContentDigest) -> [UInt8] {
    var writer = ByteWriter(capacity: Self.byteCount)
    writer.append(Self.magic)
    switch subject {
    case .job(let key):
      writer.integer(key.kind.rawValue)
      writer.zeros(1)
      writer.integer(UInt16(key.round))
      writer.integer(UInt32(key.expert))
      writer.integer(UInt32(key.index))
    case .end(let count):
      writer.integer(Self.endKind)
      writer.zeros(3)
      writer.integer(UInt32(0))
      writer.integer(UInt32(count))
    }
    writer.integer(size)
    writer.append(digest.bytes)
    writer.append(Self.check(writer.bytes, plan))
    return writer.bytes
  }

  /// - Returns: nil for anything but what `bytes` makes.
  init?(parsing raw: UnsafeRawBufferPointer, plan: ContentDigest) {
    let checked = [UInt8](raw.prefix(Self.checkedBytes))
    guard raw.count == Self.byteCount, checked.starts(with: Self.magic),
      raw[Self.checkedBytes...].elementsEqual(Self.check(checked, plan))
    else { return nil }
    // What carries the right check was written by `bytes`; yet nothing here relies on it.
    let integers: (UInt16, UInt32, UInt32, UInt64) = (
      raw.loadUnaligned(fromByteOffset: 6, as: UInt16.self), raw.loadUnaligned(fromByteOffset: 8, as: UInt32.self),
      raw.loadUnaligned(fromByteOffset: 12, as: UInt32.self), raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
    )
    let (expert, index) = (Int(UInt32(littleEndian: integers.1)), Int(UInt32(littleEndian: integers.2)))
    if raw[4] == Self.endKind {
      subject = .end(count: index)
    } else if let kind = JobKey.Kind(rawValue: raw[4]) {
      let round = Int(UInt16(littleEndian: integers.0))
      subject = .job(JobKey(kind: kind, expert: expert, index: index, round: round))
    } else {
      return nil
    }
    size = UInt64(littleEndian: integers.3)
    digest = ContentDigest(bytes: raw[24..<56])
  }

  init(_ subject: Subject, of payload: [UInt8]) {
    self.subject = subject
    size = UInt64(payload.count)
    digest = ContentDigest(of: payload)
  }

  private static func check(_ bytes: [UInt8], _ plan: ContentDigest) -> ArraySlice<UInt8> {
    ContentDigest(of: plan.bytes + bytes).bytes[..<8]
  }
}

/// A finished job on its way into a journal.
package struct JobRecord: Sendable {
  package let key: JobKey
  package let header: RecordHeader
  package let payload: [UInt8]
}

/// Where a journal or part keeps the result of a job.
package struct StoredJob: Sendable {
  package let reader: any PositionalReader
  package let path: String
  /// Of the result's bytes.
  package let offset: UInt64
  package let size: UInt64
  let digest: ContentDigest

  /// Lends the bytes, if they are the ones that were written.
  ///
  /// - Throws: `digestMismatch`.
  package func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
  ) throws(StorageError) -> Result {
    guard let count = Int(exactly: size) else { throw damage }
    return try reader.withBytes(at: offset, count: count) { raw throws(StorageError) in
      guard ContentDigest(of: raw) == digest else { throw damage }
      return try body(raw)
    }
  }

  /// What the bytes say that a job's result is.
  ///
  /// - Throws: `digestMismatch`, `malformed`.
  package func result<Result: JobResult>(of subject: Result.Subject) throws(StorageError) -> Result {
    try withBytes { raw throws(StorageError) in
      var reader = ByteReader(raw, at: offset)
      let result = try Result(parsing: &reader, of: subject)
      guard reader.remaining == 0 else {
        throw StorageError(.malformed, "a record is longer than its result", offset: reader.offset)
      }
      return result
    }
  }

  private var damage: StorageError {
    StorageError(.digestMismatch, "a record is damaged", file: path, offset: offset)
  }
}
