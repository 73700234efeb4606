import ArchiveFormat
import ByteIO
import Checkpoints
import Digests
import Parallel

/// The records of weight files for provenance. Reads every file once.
struct SourceDigests: Sendable {
  private let records: [ExactString: SourceRecord]

  /// - Parameter progress: called with the bytes read since the last call.
  init(of checkpoints: [Checkpoint], pipeline: OrderedPipeline, progress: (UInt64) -> Void) throws(StorageError) {
    let paths = Set(checkpoints.flatMap(\.weightFiles).map(ExactString.init)).map(\.text).sorted()
    var records: [ExactString: SourceRecord] = [:]
    try pipeline.run(paths.count) { index throws(StorageError) in
      // Not mapped: the pages of a whole file would count as this process's memory.
      let file = try ReadableFile(paths[index], mode: .read)
      var digest = RunningDigest()
      var offset: UInt64 = 0
      while offset < file.size {
        let count = Int(min(4 << 20, file.size - offset))
        try file.withBytes(at: offset, count: count) { digest.update($0) }
        offset += UInt64(count)
      }
      return SourceRecord(name: FileTree.lastComponent(paths[index]), size: file.size, digest: digest.finish())
    } consume: { index, record in
      records[ExactString(paths[index])] = record
      progress(record.size)
    }
    self.records = records
  }

  /// - Precondition: the checkpoint is one of those digested.
  func provenance(of checkpoint: Checkpoint, options: [String: String]) -> Provenance {
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
