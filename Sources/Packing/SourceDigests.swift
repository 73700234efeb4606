import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackJournal
import TMPackParallel
import TMPackReading

/// The records of weight files for provenance. Reads every file once.
package struct SourceDigests: Sendable {
  private let records: [ExactString: SourceRecord]

  /// - Parameter progress: called with the bytes read since the last call.
  package init(
    of checkpoints: [Checkpoint], pipeline: OrderedPipeline, journal: JobJournal? = nil, progress: (UInt64) -> Void
  ) throws(StorageError) {
    let paths = Self.paths(of: checkpoints)
    var records: [ExactString: SourceRecord] = [:]
    try pipeline.runJobs(paths.count, journal, key: { .source($0) }, subject: { paths[$0] }) {
      index throws(StorageError) in
      try Self.record(of: paths[index])
    } consume: { index, record, _ in
      records[ExactString(paths[index])] = record
      progress(record.size)
    }
    self.records = records
  }

  /// The weight files, each once, in the order of their jobs.
  package static func paths(of checkpoints: [Checkpoint]) -> [String] {
    Set(checkpoints.flatMap(\.weightFiles).map(ExactString.init)).map(\.text).sorted()
  }

  package static func record(of path: String) throws(StorageError) -> SourceRecord {
    // Not mapped: the pages of a whole file would count as this process's memory.
    let file = try ReadableFile(path, mode: .read)
    return SourceRecord(name: FileTree.lastComponent(path), size: file.size, digest: try FileRange(file).digest())
  }

  /// - Precondition: the checkpoint is one of those digested.
  package func provenance(of checkpoint: Checkpoint, options: [String: String]) -> Provenance {
    Provenance(
      tool: TMPackVersion.tool, options: options, sources: checkpoint.weightFiles.map { records[ExactString($0)]! })
  }
}

extension Checkpoint {
  /// Bytes of the files that hold its tensors.
  func weightBytes() throws(StorageError) -> UInt64 {
    var sum: UInt64 = 0
    for path in weightFiles { sum += try ReadableFile(path, mode: .read).size }
    return sum
  }
}
