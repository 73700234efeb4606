import TMPackByteIO
import TMPackParallel

extension ContentDigest {
  /// The digests of several runs of bytes.
  package static func ofEach(_ messages: [UnsafeRawBufferPointer], by method: DigestMethod = .best) -> [ContentDigest] {
    guard method == .lanes else { return messages.map { ContentDigest(of: $0) } }
    do throws(StorageError) {
      return try DigestLanes.digests(of: messages.map(\.count)) { message, offset, _ in
        UnsafeRawBufferPointer(rebasing: messages[message][offset...])
      }
    } catch {
      preconditionFailure("memory cannot fail")
    }
  }

  /// The digests of several ranges of files, read in pieces.
  package static func ofEach(
    _ ranges: [FileRange], by method: DigestMethod = .best
  ) throws(StorageError) -> [ContentDigest] {
    // What is elsewhere is better asked for in few, large pieces.
    guard method == .lanes, !ranges.contains(where: \.file.isFetched) else {
      return try ranges.map { range throws(StorageError) in try range.digest() }
    }
    return try DigestLanes.digests(of: ranges.map(\.count)) { message, offset, room throws(StorageError) in
      let range = ranges[message]
      let piece = UnsafeMutableRawBufferPointer(rebasing: room[..<min(room.count, range.count - offset)])
      try range.copy(from: offset, into: piece)
      return UnsafeRawBufferPointer(piece)
    }
  }
}

extension FileRange {
  private static let pieceBytes = 4 << 20

  /// Read in pieces of 4 MiB.
  package func digest() throws(StorageError) -> ContentDigest {
    var digest = RunningDigest()
    var start = 0
    while start < count {
      let next = min(Self.pieceBytes, count - start)
      try file.withBytes(at: offset + UInt64(start), count: next) { digest.update($0) }
      start += next
    }
    return digest.finish()
  }
}

extension OrderedPipeline {
  /// Bytes that one thread takes at a time, of ranges that are small: enough that lanes are full until the end.
  private static let batchBytes: UInt64 = 256 << 20

  /// Calls `consume` with the digest of each range, in their order.
  ///
  /// Memory: as `ContentDigest.ofEach`, for each thread.
  /// - Throws: what reading throws; what `consume` throws.
  package func digest(
    _ ranges: [FileRange], consume: (Int, ContentDigest) throws(StorageError) -> Void
  ) throws(StorageError) {
    let batches = batches(of: ranges)
    try run(batches.count) { index throws(StorageError) in
      try ContentDigest.ofEach(Array(ranges[batches[index]]))
    } consume: { index, digests throws(StorageError) in
      for (number, digest) in zip(batches[index], digests) { try consume(number, digest) }
    }
  }

  /// As many for each thread, of about as many bytes, and of large ranges as many as there are lanes.
  private func batches(of ranges: [FileRange]) -> [Range<Int>] {
    let total = ranges.reduce(0) { $0 + UInt64($1.count) }
    let rounds = total / (UInt64(threads) * Self.batchBytes) + 1
    let fewestBytes = total / (rounds * UInt64(threads))
    let fewestRanges = min(DigestLanes.laneCount, (ranges.count + threads - 1) / threads)
    var batches: [Range<Int>] = []
    var (start, bytes) = (0, UInt64(0))
    for (index, range) in ranges.enumerated() {
      bytes += UInt64(range.count)
      let isFull = bytes >= fewestBytes && index + 1 - start >= fewestRanges
      guard isFull || index == ranges.count - 1 else { continue }
      batches.append(start..<index + 1)
      (start, bytes) = (index + 1, 0)
    }
    return batches
  }
}
