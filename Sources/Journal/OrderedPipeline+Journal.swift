import TMPackByteIO
import TMPackParallel

extension OrderedPipeline {
  /// Runs jobs, or takes from the journal what has been done already; keeps what has not.
  ///
  /// - Parameters:
  ///   - key, subject: of job i.
  ///   - produce: does job i, on any thread.
  ///   - consume: takes job i's result, in order, here; with where the journal has it, if there is one that keeps results.
  package func runJobs<Result: JobResult>(
    _ count: Int, _ journal: JobJournal?, key: @escaping @Sendable (Int) -> JobKey,
    subject: @escaping @Sendable (Int) -> Result.Subject,
    produce: @escaping @Sendable (Int) throws(StorageError) -> Result,
    consume: (Int, Result, StoredJob?) throws(StorageError) -> Void
  ) throws(StorageError) {
    try run(count) { index throws(StorageError) in
      try FinishedJob(journal, key(index), subject(index)) { () throws(StorageError) in
        try produce(index)
      }
    } consume: { index, job throws(StorageError) in
      try consume(index, job.result, try job.kept(in: journal))
    }
  }
}

/// The result of a job, and what the journal has to do with it.
package struct FinishedJob<Result: JobResult>: Sendable {
  package let result: Result
  /// Where it was found.
  private var stored: StoredJob?
  /// How it is to be kept.
  private var record: JobRecord?

  /// Takes the result from the journal, or does the job.
  package init(
    _ journal: JobJournal?, _ key: JobKey, _ subject: Result.Subject,
    produce: () throws(StorageError) -> Result
  ) throws(StorageError) {
    if let (result, stored) = try journal?.result(of: key, Result.self, subject: subject) {
      self.result = result
      self.stored = stored
    } else {
      result = try produce()
      record = journal?.record(result, of: key)
    }
  }

  /// Keeps what is new. To be called from one thread, in the order of the jobs.
  ///
  /// - Returns: where the journal has it, if there is one that keeps results.
  package func kept(in journal: JobJournal?) throws(StorageError) -> StoredJob? {
    guard let record else { return stored }
    return try journal?.append(record)
  }
}
