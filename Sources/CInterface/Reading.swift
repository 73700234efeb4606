import TMPackByteIO
import TMPackCHeader
import TMPackParallel
import TMPackReading
import TMPackTensorKit

@c @implementation
public func tmpk_mix_read(
  _ mix: OpaquePointer?, _ targets: UnsafePointer<tmpk_target>?, _ count: Int,
  _ options: UnsafePointer<tmpk_read_options>?, _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let targets = try list(targets, count, "the list of targets")
    let options = try understood(options, zeros: tmpk_read_options())
    try Limits.check(options.threads, atMost: 1024, "the number of threads")
    try Handles.with(mix, OpenMix.self) { opened throws(StorageError) in
      let places = try targets.map { target throws(StorageError) in
        try Place(
          opened.info(target.tensor), start: target.buffer, byteCount: target.byte_count, label: opened.source.label)
      }
      try Place.checkDisjoint(places)
      let pipeline = options.threads == 0 ? .automatic : OrderedPipeline(threads: Int(options.threads))
      try Filling(opened.source, places).run(pipeline.cancelled(by: Cancellation(options.cancel)))
    }
  }
}

@c @implementation
public func tmpk_mix_read_part(
  _ mix: OpaquePointer?, _ tensor: Int, _ first: UInt64, _ buffer: UnsafeMutableRawPointer?, _ byteCount: UInt64,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    try Handles.with(mix, OpenMix.self) { opened throws(StorageError) in
      let info = try opened.info(tensor)
      let total = UInt64(info.byteCount)
      guard first <= total, byteCount <= total - first else {
        throw StorageError(
          .invalidArgument, "has \(total) bytes, which do not include \(byteCount) from byte \(first) on",
          file: opened.source.label, tensor: info.name)
      }
      guard byteCount > 0 else { return }
      guard let buffer else { throw StorageError(.invalidArgument, "the buffer is NULL") }
      let target = UnsafeMutableRawBufferPointer(start: buffer, count: Int(byteCount))
      try located(file: opened.source.label, tensor: info.name) { () throws(StorageError) in
        guard let spanned = try opened.source.spanned(info) else {
          return try opened.source.bytes(of: info).withBytes {
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(first)..<Int(first) + target.count]))
          }
        }
        try spanned.fill(target, from: Int(first), of: info.byteCount)
      }
    }
  }
}

/// Where a tensor goes.
private struct Place: @unchecked Sendable {
  let info: TensorInfo
  let memory: UnsafeMutableRawBufferPointer

  init(_ info: TensorInfo, start: UnsafeMutableRawPointer?, byteCount: UInt64, label: String) throws(StorageError) {
    guard byteCount == UInt64(info.byteCount) else {
      throw StorageError(
        .invalidArgument, "has \(info.byteCount) bytes, its buffer \(byteCount)", file: label, tensor: info.name)
    }
    guard start != nil || info.byteCount == 0 else {
      throw StorageError(.invalidArgument, "its buffer is NULL", file: label, tensor: info.name)
    }
    self.info = info
    memory = UnsafeMutableRawBufferPointer(start: start, count: info.byteCount)
  }

  private var addresses: (first: UInt, end: UInt) {
    let first = UInt(bitPattern: memory.baseAddress)
    return (first, first &+ UInt(memory.count))
  }

  static func checkDisjoint(_ places: [Place]) throws(StorageError) {
    let sorted = places.filter { !$0.memory.isEmpty }.sorted { $0.addresses.first < $1.addresses.first }
    for (place, next) in zip(sorted, sorted.dropFirst()) where next.addresses.first < place.addresses.end {
      throw StorageError(
        .invalidArgument, "its buffer overlaps that of tensor '\(next.info.name)'", tensor: place.info.name)
    }
  }
}

/// The way of tensors into the caller's memory: large ones in spans, small ones together, on several threads.
private struct Filling {
  private enum Job: Sendable {
    /// Of some places, whole tensors.
    case whole(Range<Int>)
    case span(place: Int, SpannedTensor, Range<Int>)
    /// What all spans of a tensor need, made before they are. Nobody waits for it.
    case opening(place: Int, SpannedTensor)
  }

  /// What is not worth a job of its own.
  private static let smallBytes = 256 << 10

  private let source: any TensorSource
  private let places: [Place]
  private let jobs: [Job]
  private let spanCounts: [Int: Int]

  init(_ source: any TensorSource, _ places: [Place]) throws(StorageError) {
    self.source = source
    let places = places.filter { !$0.memory.isEmpty }
    self.places = places
    var jobs: [Job] = []
    var openings: [Job] = []
    var spanCounts: [Int: Int] = [:]
    var (start, bytes) = (0, 0)
    func endGroup(before index: Int) {
      if start < index { jobs.append(.whole(start..<index)) }
      (start, bytes) = (index, 0)
    }
    for (index, place) in places.enumerated() {
      let count = place.info.byteCount
      if count >= Self.smallBytes, let spanned = try source.spanned(place.info) {
        endGroup(before: index)
        openings.append(.opening(place: index, spanned))
        for first in stride(from: 0, to: count, by: spanned.length) {
          jobs.append(.span(place: index, spanned, first..<min(first + spanned.length, count)))
        }
        spanCounts[index] = (count - 1) / spanned.length + 1
        start = index + 1
        continue
      }
      if bytes + min(count, Self.smallBytes) > Self.smallBytes { endGroup(before: index) }
      bytes += min(count, Self.smallBytes)
    }
    endGroup(before: places.count)
    self.spanCounts = spanCounts
    self.jobs = Self.lookingAhead(jobs, openings)
  }

  /// Each tensor is opened before the spans of the one before the last.
  private static func lookingAhead(_ jobs: [Job], _ openings: [Job]) -> [Job] {
    var ordered = Array(openings.prefix(2))
    var ahead = openings.dropFirst(2)
    for job in jobs {
      if case .span(_, _, let range) = job, range.lowerBound == 0, let next = ahead.popFirst() { ordered.append(next) }
      ordered.append(job)
    }
    return ordered
  }

  func run(_ pipeline: OrderedPipeline) throws(StorageError) {
    let (source, places, jobs) = (source, places, jobs)
    let readers = UseCountedCache<Int, SpannedTensor.Reader>(uses: spanCounts)
    let isAwaited: @Sendable (Int) -> Bool = { if case .opening = jobs[$0] { false } else { true } }
    try pipeline.run(jobs.count, isAwaited: isAwaited) { number throws(StorageError) in
      switch jobs[number] {
      case .whole(let range):
        for place in places[range] {
          try located(file: source.label, tensor: place.info.name) { () throws(StorageError) in
            try source.read(place.info, into: place.memory)
          }
        }
      case .opening(let place, let spanned): try readers.prepare(place, make: spanned.open)
      case .span(let index, let spanned, let range):
        let place = places[index]
        try located(file: source.label, tensor: place.info.name) { () throws(StorageError) in
          let target = UnsafeMutableRawBufferPointer(rebasing: place.memory[range])
          try readers.borrow(index, make: spanned.open)(range.lowerBound, target)
        }
        readers.giveBack(index)
      }
    } consume: { (_, _: Void) in
    }
  }
}
