import Synchronization
import TMPackByteIO
import TMPackDigests

/// Results of jobs on disk: what an interrupted packing has finished, or what other processes have.
///
/// Records are appended in the order in which results are consumed, so a journal's bytes do not depend on the number of
/// threads. Every record carries its digest: what a crash has torn is found when it is opened, or when it is read.
/// Memory: some 150 bytes for each record; results are read when they are wanted.
package final class JobJournal: Sendable {
  private struct State {
    /// In this journal. A record that is damaged is as good as none: the job is done again.
    var jobs: [JobKey: StoredJob] = [:]
    var recordCount = 0
    var reused = 0
    var computed = 0
  }
  private let state = Mutex(State())
  private let plan: ContentDigest
  /// What others have done. Of a record that is damaged the error names the job: it is for them to do it again.
  private let parts: [JobKey: StoredJob]
  /// What new results are appended to; nil if they are not kept.
  private let file: GrowingFile?
  private let names: JobNames

  private init(
    _ plan: ContentDigest, _ jobs: [(key: JobKey, stored: StoredJob)], _ file: GrowingFile?,
    parts: [(key: JobKey, stored: StoredJob)], _ names: JobNames
  ) {
    self.plan = plan
    self.file = file
    self.parts = Dictionary(parts, uniquingKeysWith: { $1 })
    self.names = names
    state.withLock { state in
      // Of two records of a job the later counts: the earlier was damaged.
      for (key, stored) in jobs { state.jobs[key] = stored }
      state.recordCount = jobs.count
    }
  }

  /// Takes up the journal at `path`, or begins one. It is locked until the object goes.
  ///
  /// - Parameters:
  ///   - parts: results that others have, which count where the journal has none.
  ///   - kernels: whose results they are: what the BLAS's kernels were written for.
  ///   - replacing: whether a journal of another plan makes way.
  /// - Throws: `outputExists` for a journal of another plan or something else of that name; `inputOutput` when another
  ///   process has it.
  package convenience init(
    resuming path: String, _ share: TaskShare, plan: ContentDigest, parts: [(key: JobKey, stored: StoredJob)] = [],
    kernels: String, replacing: Bool, names: JobNames
  ) throws(StorageError) {
    let file = try GrowingFile(path)
    let header = JournalHeader(share: share, plan: plan, kernels: kernels)
    let found = try Self.contents(of: file, header, replacing: replacing)
    if let found {
      if found.end < file.size { try file.truncate(at: found.end) }
    } else {
      try file.truncate(at: 0)
      try file.append(header.bytes)
    }
    self.init(plan, found?.jobs ?? [], file, parts: parts, names)
  }

  /// The finished parts of others, to be read only.
  package convenience init(parts: [(key: JobKey, stored: StoredJob)], plan: ContentDigest, names: JobNames) {
    self.init(plan, [], nil, parts: parts, names)
  }

  /// What a file that is to be a journal holds; nil if it is to be begun.
  private static func contents(
    of file: GrowingFile, _ header: JournalHeader, replacing: Bool
  ) throws(StorageError) -> JournalContents? {
    if file.size == 0 { return nil }
    do {
      let found = try JournalContents(ReadableFile(file.path))
      if found.header.plan == header.plan, found.header.share == header.share {
        return found
      }
      if replacing { return nil }
    } catch {
      if error.code.family == .inputOutput { throw error }
      // Begun, and torn in the first bytes.
      let prefix = try file.withBytes(at: 0, count: Int(min(file.size, 128))) { [UInt8]($0) }
      if replacing || header.bytes.starts(with: prefix) || prefix.allSatisfy({ $0 == 0 }) { return nil }
      throw StorageError(.outputExists, "is in the way of a journal: it \(error.message)", file: file.path)
    }
    throw StorageError(
      .outputExists,
      "is the journal of another packing: other options or models, or a model has changed since",
      file: file.path
    ).with(.beginAnew)
  }

  /// Where to write an output until it is whole: who has the journal is the only one to do so, and a run that is killed leaves
  /// nothing that the next does not overwrite. nil without a journal of one's own.
  package var temporaryOutput: String? {
    file.map { FileTree.join(FileTree.parent($0.path), ".\(FileTree.lastComponent($0.path)).tmp") }
  }

  // MARK: Results

  package func holds(_ key: JobKey) -> Bool { parts[key] != nil || state.withLock { $0.jobs[key] != nil } }

  /// Jobs whose results were there, and jobs whose results were added.
  package var counts: (reused: Int, computed: Int) { state.withLock { ($0.reused, $0.computed) } }

  /// Whether this journal has the result of a job, as it was written.
  package func hasSound(_ key: JobKey) throws(StorageError) -> Bool {
    guard let stored = state.withLock({ $0.jobs[key] }) else { return false }
    do {
      try stored.withBytes { _ in }
      return true
    } catch {
      guard error.code.family == .format else { throw error }
      forget(key)
      return false
    }
  }

  /// The result of a job; nil when it has to be done.
  ///
  /// - Throws: `digestMismatch` or `malformed`, naming the job, for a part's record that is damaged.
  package func result<Result: JobResult>(
    of key: JobKey, _: Result.Type = Result.self, subject: Result.Subject
  ) throws(StorageError) -> (result: Result, stored: StoredJob)? {
    var found: (Result, StoredJob)? = try ownResult(of: key, subject)
    if found == nil { found = try partResult(of: key, subject) }
    if found != nil { state.withLock { $0.reused += 1 } }
    return found
  }

  private func ownResult<Result: JobResult>(
    of key: JobKey, _ subject: Result.Subject
  ) throws(StorageError) -> (result: Result, stored: StoredJob)? {
    guard let stored = state.withLock({ $0.jobs[key] }) else { return nil }
    do {
      return (try stored.result(of: subject), stored)
    } catch {
      guard error.code.family == .format else { throw error }
      forget(key)
      return nil
    }
  }

  private func partResult<Result: JobResult>(
    of key: JobKey, _ subject: Result.Subject
  ) throws(StorageError) -> (result: Result, stored: StoredJob)? {
    guard let stored = parts[key] else { return nil }
    do {
      return (try stored.result(of: subject), stored)
    } catch {
      guard error.code.family == .format else { throw error }
      throw names.locating(
        StorageError(error.code, "\(error.message); make the part again", file: stored.path, offset: error.offset), key)
    }
  }

  private func forget(_ key: JobKey) {
    state.withLock { $0.jobs[key] = nil }
  }

  /// A result as it will be kept: what can be done on any thread.
  package func record(_ result: some JobResult, of key: JobKey) -> JobRecord {
    var writer = ByteWriter()
    result.write(to: &writer)
    return JobRecord(key: key, header: RecordHeader(.job(key), of: writer.bytes), payload: writer.bytes)
  }

  /// Keeps a result. To be called from one thread, in the order of the jobs.
  ///
  /// - Returns: where it is; nil when results are not kept.
  @discardableResult
  package func append(_ record: JobRecord) throws(StorageError) -> StoredJob? {
    state.withLock { $0.computed += 1 }
    guard let file else { return nil }
    let start = try file.append(record.header.bytes(plan: plan))
    try file.append(record.payload)
    let stored = StoredJob(
      reader: file, path: file.path, offset: start + UInt64(RecordHeader.byteCount), size: record.header.size,
      digest: record.header.digest)
    state.withLock { state in
      state.jobs[record.key] = stored
      state.recordCount += 1
    }
    return stored
  }

  // MARK: The end

  /// Marks a part as complete and gives it its name.
  package func finish(as path: String, replacing: Bool) throws(StorageError) {
    guard let file else { preconditionFailure("parts of others are complete") }
    let count = state.withLock { $0.recordCount }
    try file.append(RecordHeader(.end(count: count), of: []).bytes(plan: plan))
    try file.move(to: path, replacing: replacing)
  }

  /// Bytes of its file.
  package var bytes: UInt64 { file?.size ?? 0 }

  /// Removes a journal that is no longer needed.
  package func remove() throws(StorageError) { try file?.remove() }

  /// Removes it when the output is there: if that fails, it stays.
  package func removeAfterwards() {
    do throws(StorageError) { try remove() } catch { CommitNotes.add(error) }
  }

  /// Removes a journal that holds nothing: of work that was refused.
  package func removeIfEmpty() {
    guard let file, file.size <= UInt64(JournalHeader.byteCount) else { return }
    try? file.remove()
  }
}
