import TMPackByteIO
import TMPackParallel

/// Reads the payloads of an archive's sections: of a finished one, or of one that is still being written.
///
/// Safe to use from several threads.
package struct PayloadReader: Sendable {
  let file: ReadableFile
  private let shared: SharedFrames

  init(file: ReadableFile, shared: SharedFrames = SharedFrames()) {
    self.file = file
    self.shared = shared
  }

  /// Fills `destination` with a payload (TMP-5-8), or with a part of it.
  ///
  /// The frames are decoded on all threads that are free: see `concurrently`.
  /// Memory: one frame or two a thread, of at most 4 MiB, beside `destination`; and up to 16 MiB of frames that small payloads share.
  /// - Parameters:
  ///   - range: bytes of the payload; nil for all. Frames at its ends are decoded whole.
  ///   - checkingDigests: also check zstd frames by digest, not only by checksum.
  package func read<Manifest>(
    _ payload: PayloadReference, _ range: Range<Int>? = nil, of section: Section<Manifest>,
    into destination: UnsafeMutableRawBufferPointer, checkingDigests: Bool = false
  ) throws(StorageError) {
    let range = range ?? 0..<payload.size
    precondition(range.lowerBound >= 0 && range.upperBound <= payload.size, "bytes of the payload")
    precondition(destination.count == range.count, "room for exactly those")
    let pieces = Self.pieces(of: payload, range, section.frames)
    nonisolated(unsafe) let destination = destination
    let (reader, frames) = (self, section.frames)
    try concurrently(pieces.count) { index throws(StorageError) in
      let piece = pieces[index]
      let frame = frames[piece.frame]
      do throws(StorageError) {
        try reader.read(
          frame, skipping: piece.skip, into: UnsafeMutableRawBufferPointer(rebasing: destination[piece.place]),
          checkingDigest: checkingDigests)
      } catch {
        let place = "frame \(piece.frame), bytes \(frame.extent.offset) to \(frame.extent.end - 1)"
        throw StorageError(
          error.code, "\(place): \(error.message)", file: reader.file.path, offset: frame.extent.offset)
      }
    }
  }

  /// What one frame has of a range of a payload.
  private struct Piece: Sendable {
    let frame: Int
    /// Bytes of the frame in front of it.
    let skip: Int
    /// Where it goes, counted from the beginning of the range.
    let place: Range<Int>
  }

  private static func pieces(of payload: PayloadReference, _ range: Range<Int>, _ frames: [FrameRecord]) -> [Piece] {
    var pieces: [Piece] = []
    // Where the frame begins, counted from the payload's first byte.
    var start = -payload.skip
    for number in payload.frames {
      let end = start + frames[number].rawSize
      let wanted = range.clamped(to: max(0, start)..<end)
      if !wanted.isEmpty {
        let place = wanted.lowerBound - range.lowerBound..<wanted.upperBound - range.lowerBound
        pieces.append(Piece(frame: number, skip: wanted.lowerBound - start, place: place))
      }
      start = end
      if start >= range.upperBound { break }
    }
    return pieces
  }

  /// Fills `destination` with the bytes of a frame behind the first `skip`.
  private func read(
    _ frame: FrameRecord, skipping skip: Int, into destination: UnsafeMutableRawBufferPointer, checkingDigest: Bool
  ) throws(StorageError) {
    if destination.count == frame.rawSize {
      try decode(frame, into: destination, checkingDigest: checkingDigest)
      return
    }
    let whole = try shared.bytes(of: frame, isChecked: checkingDigest) { () throws(StorageError) in
      try [UInt8](count: frame.rawSize) { raw throws(StorageError) in
        try decode(frame, into: raw, checkingDigest: checkingDigest)
      }
    }
    whole.withUnsafeBytes {
      destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[skip..<skip + destination.count]))
    }
  }

  private func decode(
    _ frame: FrameRecord, into raw: UnsafeMutableRawBufferPointer, checkingDigest: Bool
  ) throws(StorageError) {
    if frame.canBeReadInPlace, !checkingDigest, !file.isFetched {
      try FileRange(file, at: frame.extent.offset, count: raw.count).copy(from: 0, into: raw)
      return try frame.checkChecksum(of: UnsafeRawBufferPointer(raw))
    }
    try file.withBytes(at: frame.extent.offset, count: frame.extent.storedSize) { stored throws(StorageError) in
      // What is elsewhere may have changed since the index was read.
      try frame.decode(stored, into: raw, checkingDigest: checkingDigest || file.isFetched)
    }
  }

  /// A payload in memory. See `read`.
  package func bytes<Manifest>(
    of payload: PayloadReference, in section: Section<Manifest>, checkingDigests: Bool = false
  ) throws(StorageError) -> [UInt8] {
    try [UInt8](count: payload.size) { target throws(StorageError) in
      try read(payload, of: section, into: target, checkingDigests: checkingDigests)
    }
  }

  /// The stored bytes of a frame, checked by digest.
  func storedBytes(of frame: FrameRecord) throws(StorageError) -> [UInt8] {
    try located(file: file.path) { () throws(StorageError) in
      try file.withBytes(at: frame.extent.offset, count: frame.extent.storedSize) { stored throws(StorageError) in
        try frame.extent.check(stored, "a frame")
        return [UInt8](stored)
      }
    }
  }
}
