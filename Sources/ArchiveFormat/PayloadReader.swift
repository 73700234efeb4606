import ByteIO
import Parallel

/// Reads the payloads of an archive's sections: of a finished one, or of one that is still being written.
///
/// Safe to use from several threads.
public struct PayloadReader: Sendable {
  let file: ReadableFile

  /// Fills `destination` with a payload (TMP-5-8).
  ///
  /// The frames are decoded on all threads that are free: see `concurrently`.
  /// Memory: one frame or two a thread, of at most 4 MiB, beside `destination`.
  /// - Parameter checkingDigests: also check zstd frames by digest, not only by checksum.
  public func read<Manifest>(
    _ payload: PayloadReference, of section: Section<Manifest>, into destination: UnsafeMutableRawBufferPointer,
    checkingDigests: Bool = false
  ) throws(StorageError) {
    precondition(destination.count == payload.size, "room for exactly the payload")
    var pieces: [(number: Int, skip: Int, bytes: Range<Int>)] = []
    var done = 0
    var skip = payload.skip
    for number in payload.frames {
      let count = min(section.frames[number].rawSize - skip, payload.size - done)
      pieces.append((number, skip, done..<done + count))
      done += count
      skip = 0
    }
    nonisolated(unsafe) let destination = destination
    let (file, frames) = (file, section.frames)
    try concurrently(pieces.count) { [pieces] index throws(StorageError) in
      let (number, skip, bytes) = pieces[index]
      let frame = frames[number]
      do throws(StorageError) {
        try Self.read(
          frame, from: file, skipping: skip, into: UnsafeMutableRawBufferPointer(rebasing: destination[bytes]),
          checkingDigests)
      } catch {
        let place = "frame \(number), bytes \(frame.extent.offset) to \(frame.extent.end - 1)"
        throw StorageError(
          error.code, "\(place): \(error.message)", file: file.path, offset: frame.extent.offset)
      }
    }
  }

  private static func read(
    _ frame: FrameRecord, from file: ReadableFile, skipping skip: Int, into target: UnsafeMutableRawBufferPointer,
    _ checkingDigest: Bool
  ) throws(StorageError) {
    try file.withBytes(at: frame.extent.offset, count: frame.extent.storedSize) { stored throws(StorageError) in
      if target.count == frame.rawSize {
        try frame.decode(stored, into: target, checkingDigest: checkingDigest)
      } else {
        let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: frame.rawSize, alignment: 64)
        defer { whole.deallocate() }
        try frame.decode(stored, into: whole, checkingDigest: checkingDigest)
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole[skip..<skip + target.count]))
      }
    }
  }

  /// A payload in memory. See `read`.
  public func bytes<Manifest>(
    of payload: PayloadReference, in section: Section<Manifest>, checkingDigests: Bool = false
  ) throws(StorageError) -> [UInt8] {
    var failure: StorageError?
    let bytes = [UInt8](unsafeUninitializedCapacity: payload.size) { buffer, count in
      let target = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[0..<payload.size])
      do throws(StorageError) {
        try read(payload, of: section, into: target, checkingDigests: checkingDigests)
        count = payload.size
      } catch {
        failure = error
        count = 0
      }
    }
    if let failure { throw failure }
    return bytes
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
