import TMPackByteIO

/// The records of a journal or part, found by their headers alone.
package struct JournalContents {
  package let header: JournalHeader
  package let path: String
  /// In the order of writing.
  package private(set) var jobs: [(key: JobKey, stored: StoredJob)] = []
  /// Whether the last record says that the part is complete, and nothing follows it.
  package private(set) var isFinished = false
  /// Where the records of jobs end: after it there is nothing, the mark of the end, or what is left of an interrupted write.
  package private(set) var end: UInt64

  /// Reads the headers up to the first that is none, or whose record the file does not hold whole.
  ///
  /// - Throws: what `JournalHeader` throws.
  package init(_ file: ReadableFile) throws(StorageError) {
    path = file.path
    let count = Int(min(file.size, UInt64(JournalHeader.byteCount)))
    header = try located(file: file.path) { () throws(StorageError) in
      try file.withBytes(at: 0, count: count) { raw throws(StorageError) in try JournalHeader(parsing: raw) }
    }
    end = UInt64(JournalHeader.byteCount)
    let plan = header.plan
    while file.size - end >= UInt64(RecordHeader.byteCount) {
      let parsed = try file.withBytes(at: end, count: RecordHeader.byteCount) { RecordHeader(parsing: $0, plan: plan) }
      let start = end + UInt64(RecordHeader.byteCount)
      guard let record = parsed, record.size <= file.size - start else { break }
      switch record.subject {
      case .job(let key):
        let stored = StoredJob(
          reader: file, path: file.path, offset: start, size: record.size, digest: record.digest)
        jobs.append((key, stored))
      case .end(let count):
        isFinished = count == jobs.count && record.size == 0 && start == file.size
        return
      }
      end = start + record.size
    }
  }
}
