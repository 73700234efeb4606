import ByteIO
import Parallel

extension OrderedPipeline {
  /// Runs jobs, or takes from the journal what has been done already; keeps what has not.
  ///
  /// - Parameters:
  ///   - key, subject: of job i.
  ///   - produce: does job i, on any thread.
  ///   - consume: takes job i's result, in order, here; with where the journal has it, if there is one that keeps results.
  func runJobs<Result: JobResult>(
    _ count: Int, _ journal: JobJournal?, key: @escaping @Sendable (Int) -> JobKey,
    subject: @escaping @Sendable (Int) -> Result.Subject,
    produce: @escaping @Sendable (Int) throws(StorageError) -> Result,
    consume: (Int, Result, StoredJob?) throws(StorageError) -> Void
  ) throws(StorageError) {
    try run(count) { index throws(StorageError) -> FinishedJob<Result> in
      guard let journal else { return FinishedJob(result: try produce(index)) }
      if let (result, stored) = try journal.result(of: key(index), Result.self, subject: subject(index)) {
        return FinishedJob(result: result, stored: stored)
      }
      let result = try produce(index)
      return FinishedJob(result: result, record: journal.record(result, of: key(index)))
    } consume: { index, job throws(StorageError) in
      var stored = job.stored
      if let record = job.record { stored = try journal?.append(record) }
      try consume(index, job.result, stored)
    }
  }
}

private struct FinishedJob<Result: Sendable>: Sendable {
  let result: Result
  /// Where it was found.
  var stored: StoredJob?
  /// How it is to be kept.
  var record: JobRecord?
}
