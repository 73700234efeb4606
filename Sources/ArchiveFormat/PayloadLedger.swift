import TMPackByteIO

/// Keeps account of a section's frames while its payloads come by, in the order of the canonical manifest (TMP-5-8, TMP-5-9, TMP-9-11).
struct PayloadLedger {
  let frames: [FrameRecord]
  /// Raw bytes in front of each frame, so that the work does not grow with the frames that many payloads share.
  private let starts: [Int]
  private var used = 0
  /// What the payloads decode to.
  private(set) var decodedBytes: UInt64 = 0

  init(_ frames: [FrameRecord]) {
    self.frames = frames
    var starts = [0]
    starts.reserveCapacity(frames.count + 1)
    for frame in frames { starts.append(starts.last! + frame.rawSize) }
    self.starts = starts
  }

  /// - Throws: `malformed` for a payload that does not fit its frames, or is not the next to begin any.
  mutating func add(_ payload: PayloadReference) throws(StorageError) {
    decodedBytes = try decodedBytes.adding(UInt64(payload.size), "the payloads' size")
    guard payload.count > 0 else { return }
    guard payload.first <= used, payload.first <= frames.count, payload.count <= frames.count - payload.first,
      payload.first == used || payload.first + payload.count <= used
    else {
      throw StorageError(.malformed, "a payload names frames out of order or beyond the last")
    }
    used = max(used, payload.first + payload.count)
    let rawSize = starts[payload.frames.upperBound] - starts[payload.first]
    let end = try payload.skip.adding(payload.size, "a payload's size")
    guard payload.skip < frames[payload.first].rawSize, end <= rawSize,
      end > rawSize - frames[payload.frames.upperBound - 1].rawSize
    else { throw StorageError(.malformed, "a payload does not fit its frames") }
  }

  /// Adds the symbols of a message, of which each may take next to nothing in the payload, and two bytes in memory.
  mutating func add(symbols: Int) throws(StorageError) {
    let bytes = try UInt64(symbols).multiplied(by: 2, "the size of the symbols")
    decodedBytes = try decodedBytes.adding(bytes, "the payloads' size")
  }

  /// Throws `malformed` where there are frames that no payload has used.
  func finish() throws(StorageError) {
    guard used == frames.count else { throw StorageError(.malformed, "a section has frames that nothing uses") }
  }
}
