import TMPackByteIO
import TMPackDigests
import TMPackParallel
import TMPackTensorKit

/// The way of the tensors from a source into one file: made on several threads, written in order.
///
/// Large tensors that lie in a file as they are to be written, or that the source makes in spans, go by in parts: the
/// threads read them and take their checksums while others are written, and a tensor of any size is never whole in memory.
struct TensorStream {
  private enum Job: Sendable {
    /// Whole tensors of the plan.
    case tensors(Range<Int>)
    case part(Part)
    /// What all parts of a tensor need that come later.
    case opening(tensor: Int, SpannedTensor)

    /// Whether it is done ahead of the parts that need it, and nobody waits for it before.
    var isAhead: Bool {
      if case .opening = self { true } else { false }
    }
  }

  /// Some bytes of a tensor, as they are written.
  private struct Part: Sendable {
    enum Origin: Sendable {
      case stored(StoredTensor)
      case made(SpannedTensor)
    }
    let tensor: Int
    let origin: Origin
    let range: Range<Int>
    /// Bytes of all parts of the tensor.
    let total: Int

    var isFirst: Bool { range.lowerBound == 0 }
    var isLast: Bool { range.upperBound == total }
    /// What has to be said of the checksum of all parts.
    var check: (@Sendable (UInt32) throws(StorageError) -> Void)? {
      if case .stored(let stored) = origin { stored.check } else { nil }
    }
  }

  /// Bytes of a part that is copied; so many fit into a core's cache until they are written.
  private static let partBytes = 512 << 10
  /// Spans beside those of the threads that may wait to be written: so many, of so many bytes together.
  private static let (mostAhead, mostBytesAhead) = (12, 32 << 20)
  /// What is not worth a job of its own.
  private static let smallBytes = 256 << 10
  /// Of whole tensors in one job.
  private static let mostTensors = 1024

  private let source: any TensorSource
  private let plan: any CheckpointFilePlan
  private let jobs: [Job]
  /// Of tensors that are made in spans, by index.
  private let spanCounts: [Int: Int]

  init(_ source: any TensorSource, _ plan: any CheckpointFilePlan) throws(StorageError) {
    self.source = source
    self.plan = plan
    var jobs: [Job] = []
    var spanCounts: [Int: Int] = [:]
    var start = 0
    var bytes = 0
    func endGroup(before index: Int) {
      if start < index { jobs.append(.tensors(start..<index)) }
      (start, bytes) = (index, 0)
    }
    for (index, info) in plan.tensors.enumerated() {
      if let (origin, total, length) = try Self.origin(of: index, info, source, plan) {
        endGroup(before: index)
        for offset in stride(from: 0, to: total, by: length) {
          let range = offset..<min(offset + length, total)
          jobs.append(.part(Part(tensor: index, origin: origin, range: range, total: total)))
        }
        if case .made = origin { spanCounts[index] = (total - 1) / length + 1 }
        start = index + 1
        continue
      }
      if info.byteCount > Self.partBytes - bytes || index - start == Self.mostTensors { endGroup(before: index) }
      bytes = min(Self.partBytes, bytes + min(Self.partBytes, info.byteCount))
    }
    endGroup(before: plan.tensors.count)
    self.jobs = Self.lookingAhead(jobs)
    self.spanCounts = spanCounts
  }

  /// Each tensor that is made in parts is opened before the parts of the one before the last, so that no thread waits for it.
  private static func lookingAhead(_ jobs: [Job]) -> [Job] {
    func opening(for job: Job) -> Job? {
      guard case .part(let part) = job, part.isFirst, case .made(let spanned) = part.origin else { return nil }
      return .opening(tensor: part.tensor, spanned)
    }
    var ahead = jobs.compactMap(opening)[...]
    var ordered = Array(ahead.prefix(2))
    ahead = ahead.dropFirst(2)
    for job in jobs {
      if opening(for: job) != nil, let next = ahead.popFirst() { ordered.append(next) }
      ordered.append(job)
    }
    return ordered
  }

  /// How a tensor goes by in parts, its bytes, and those of a part; nil for one that goes by as a whole.
  private static func origin(
    of index: Int, _ info: TensorInfo, _ source: any TensorSource, _ plan: any CheckpointFilePlan
  ) throws(StorageError) -> (Part.Origin, total: Int, length: Int)? {
    let mustBeCopied = !plan.takes(index, as: .plain)
    guard mustBeCopied || info.byteCount >= smallBytes else { return nil }
    if let stored = try source.stored(info), plan.takes(index, as: stored.encoding), stored.range.count > 0 {
      return (.stored(stored), stored.range.count, partBytes)
    }
    if !mustBeCopied, let spanned = try source.spanned(info) {
      return (.made(spanned), info.byteCount, spanned.length)
    }
    return nil
  }

  private struct Piece: Sendable {
    let bytes: TensorBytes
    /// Where the plan or the source needs one.
    let checksum: CRC32

    init(_ bytes: TensorBytes, withChecksum: Bool) throws(StorageError) {
      self.bytes = bytes
      checksum = withChecksum ? try bytes.withBytes { CRC32.of($0) } : CRC32()
    }
  }

  /// - Parameter wrote: bytes of tensors, as the source gives them.
  func write(to sink: any OverwritableSink, threads: Int, wrote: (Int) -> Void) throws(StorageError) {
    let buffer = BufferedSink(sink)
    var writer = try plan.begin(writingTo: buffer)
    let (source, plan, jobs) = (source, plan, jobs)
    let tensors = plan.tensors
    let memory = PartMemory(partBytes: longestPart)
    let readers = UseCountedCache<Int, SpannedTensor.Reader>(uses: spanCounts)
    var checksum = CRC32()
    let pipeline = OrderedPipeline(threads: threads, window: threads + 1 + jobsAhead)
    try pipeline.run(jobs.count, isAwaited: { !jobs[$0].isAhead }) { number throws(StorageError) -> [Piece] in
      switch jobs[number] {
      case .tensors(let range):
        return try range.map { index throws(StorageError) in
          let bytes = try source.bytes(of: tensors[index])
          let encoded = try located(file: source.label) { () throws(StorageError) in try plan.encode(index, bytes) }
          return try Piece(encoded, withChecksum: plan.hasChecksums)
        }
      case .opening(let tensor, let spanned):
        try readers.prepare(tensor, make: spanned.open)
        return []
      case .part(let part):
        return try located(file: source.label, tensor: tensors[part.tensor].name) { () throws(StorageError) in
          let bytes = try memory.bytes(count: part.range.count) { target throws(StorageError) in
            switch part.origin {
            case .stored(let stored): try stored.range.copy(from: part.range.lowerBound, into: target)
            case .made(let spanned):
              try readers.borrow(part.tensor, make: spanned.open)(part.range.lowerBound, target)
              readers.giveBack(part.tensor)
            }
          }
          return [try Piece(bytes, withChecksum: plan.hasChecksums || part.check != nil)]
        }
      }
    } consume: { number, pieces throws(StorageError) in
      switch jobs[number] {
      case .tensors(let range):
        for (index, piece) in zip(range, pieces) {
          try writer.begin(checksum: piece.checksum)
          try writer.write(piece.bytes)
          try writer.end(checksum: piece.checksum)
          wrote(tensors[index].byteCount)
        }
      case .opening: break
      case .part(let part):
        if part.isFirst {
          try writer.begin(checksum: nil)
          checksum = CRC32()
        }
        try writer.write(pieces[0].bytes)
        checksum = checksum.followed(by: pieces[0].checksum, count: part.range.count)
        if part.isLast {
          try located(file: source.label, tensor: tensors[part.tensor].name) { () throws(StorageError) in
            try part.check?(checksum.value)
          }
          try writer.end(checksum: checksum)
        }
        let size = tensors[part.tensor].byteCount
        func elements(_ stored: Int) -> Int { Int(Double(stored) / Double(part.total) * Double(size)) }
        wrote(elements(part.range.upperBound) - elements(part.range.lowerBound))
      }
    }
    try writer.finish()
    try buffer.flush()
  }

  /// None where nothing is made: what is only copied is best written at once. Nor where jobs are large.
  private var jobsAhead: Int {
    guard !spanCounts.isEmpty else { return 0 }
    let largest = jobs.reduce(1) { largest, job in
      switch job {
      case .tensors(let range): max(largest, plan.tensors[range].reduce(0) { $0 + $1.byteCount })
      case .part(let part): max(largest, part.range.count)
      case .opening: largest
      }
    }
    return min(Self.mostAhead, Self.mostBytesAhead / largest)
  }

  private var longestPart: Int {
    jobs.reduce(0) { longest, job in
      if case .part(let part) = job { max(longest, part.range.count) } else { longest }
    }
  }
}
