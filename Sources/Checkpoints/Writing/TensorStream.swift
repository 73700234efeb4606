import ByteIO
import Parallel
import TensorKit

/// The way of the tensors from a source into one file: made on several threads, written in order.
///
/// Large tensors that lie in a file as they are to be written go by in parts: the threads read them and take their
/// checksums while others are written, and a tensor of any size is never whole in memory.
struct TensorStream {
  private enum Job: Sendable {
    /// Whole tensors of the plan.
    case tensors(Range<Int>)
    /// A part of one.
    case part(of: Int, StoredTensor, Range<Int>)
  }

  /// Bytes of a part; so many fit into a core's cache until they are written.
  private static let partBytes = 512 << 10
  /// What is not worth a job of its own.
  private static let smallBytes = 256 << 10
  /// Of whole tensors in one job.
  private static let mostTensors = 1024

  private let source: any TensorSource
  private let plan: any CheckpointFilePlan
  private let jobs: [Job]

  init(_ source: any TensorSource, _ plan: any CheckpointFilePlan) throws(StorageError) {
    self.source = source
    self.plan = plan
    var jobs: [Job] = []
    var start = 0
    var bytes = 0
    func endGroup(before index: Int) {
      if start < index { jobs.append(.tensors(start..<index)) }
      (start, bytes) = (index, 0)
    }
    for (index, info) in plan.tensors.enumerated() {
      let mustBeCopied = !plan.takes(index, as: .plain)
      if mustBeCopied || info.byteCount >= Self.smallBytes, let stored = try source.stored(info),
        plan.takes(index, as: stored.encoding)
      {
        endGroup(before: index)
        for offset in stride(from: 0, to: stored.range.count, by: Self.partBytes) {
          jobs.append(.part(of: index, stored, offset..<min(offset + Self.partBytes, stored.range.count)))
        }
        start = index + 1
        continue
      }
      if info.byteCount > Self.partBytes - bytes || index - start == Self.mostTensors { endGroup(before: index) }
      bytes = min(Self.partBytes, bytes + min(Self.partBytes, info.byteCount))
    }
    endGroup(before: plan.tensors.count)
    self.jobs = jobs
  }

  private struct Part: Sendable {
    let bytes: TensorBytes
    /// Where the plan or the source needs one.
    let checksum: CRC32
  }

  /// - Parameter wrote: bytes of tensors, as the source gives them.
  func write(to sink: any OverwritableSink, threads: Int, wrote: (Int) -> Void) throws(StorageError) {
    let buffer = BufferedSink(sink)
    var writer = try plan.begin(writingTo: buffer)
    let (source, plan, jobs) = (source, plan, jobs)
    let tensors = plan.tensors
    let memory = PartMemory(partBytes: Self.partBytes)
    var checksum = CRC32()
    try OrderedPipeline(threads: threads).run(jobs.count) { number throws(StorageError) -> [Part] in
      switch jobs[number] {
      case .tensors(let range):
        try range.map { index throws(StorageError) in
          let bytes = try plan.encode(index, source.bytes(of: tensors[index]))
          return try Self.part(bytes, withChecksum: plan.hasChecksums)
        }
      case .part(let index, let stored, let range):
        try located(file: source.label, tensor: tensors[index].name) { () throws(StorageError) in
          let bytes = try memory.bytes(count: range.count) { part throws(StorageError) in
            try stored.range.copy(from: range.lowerBound, into: part)
          }
          return [try Self.part(bytes, withChecksum: plan.hasChecksums || stored.check != nil)]
        }
      }
    } consume: { number, parts throws(StorageError) in
      switch jobs[number] {
      case .tensors(let range):
        for (index, part) in zip(range, parts) {
          try writer.begin(checksum: part.checksum)
          try writer.write(part.bytes)
          try writer.end(checksum: part.checksum)
          wrote(tensors[index].byteCount)
        }
      case .part(let index, let stored, let range):
        if range.lowerBound == 0 {
          try writer.begin(checksum: nil)
          checksum = CRC32()
        }
        try writer.write(parts[0].bytes)
        checksum = checksum.followed(by: parts[0].checksum, count: range.count)
        if range.upperBound == stored.range.count {
          try located(file: source.label, tensor: tensors[index].name) { () throws(StorageError) in
            try stored.check?(checksum.value)
          }
          try writer.end(checksum: checksum)
        }
        let (size, of) = (tensors[index].byteCount, stored.range.count)
        func elements(_ stored: Int) -> Int { Int(Double(stored) / Double(of) * Double(size)) }
        wrote(elements(range.upperBound) - elements(range.lowerBound))
      }
    }
    try writer.finish()
    try buffer.flush()
  }

  private static func part(_ bytes: TensorBytes, withChecksum: Bool) throws(StorageError) -> Part {
    Part(bytes: bytes, checksum: withChecksum ? try bytes.withBytes { CRC32.of($0) } : CRC32())
  }
}
