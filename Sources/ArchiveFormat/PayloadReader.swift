import ByteIO

/// Reads the payloads of an archive's sections: of a finished one, or of one that is still being written.
///
/// Safe to use from several threads.
public struct PayloadReader: Sendable {
  let file: ReadableFile
  private let shared: SharedFrames

  init(file: ReadableFile, shared: SharedFrames = SharedFrames()) {
    self.file = file
    self.shared = shared
  }

  /// Fills `destination` with a payload (TMP-5-8), or with a part of it.
  ///
  /// Memory: one frame or two, of at most 4 MiB, beside `destination`; and up to 16 MiB of frames that small payloads share.
  /// - Parameters:
  ///   - range: bytes of the payload; nil for all. Frames at its ends are decoded whole.
  ///   - checkingDigests: also check zstd frames by digest, not only by checksum.
  public func read<Manifest>(
    _ payload: PayloadReference, _ range: Range<Int>? = nil, of section: Section<Manifest>,
    into destination: UnsafeMutableRawBufferPointer, checkingDigests: Bool = false
  ) throws(StorageError) {
    let range = range ?? 0..<payload.size
    precondition(range.lowerBound >= 0 && range.upperBound <= payload.size, "bytes of the payload")
    precondition(destination.count == range.count, "room for exactly those")
    // Where the frame begins, counted from the payload's first byte.
    var start = -payload.skip
    for number in payload.frames {
      let frame = section.frames[number]
      let wanted = range.clamped(to: max(0, start)..<start + frame.rawSize)
      if !wanted.isEmpty {
        let target = UnsafeMutableRawBufferPointer(
          rebasing: destination[wanted.lowerBound - range.lowerBound..<wanted.upperBound - range.lowerBound])
        do throws(StorageError) {
          try read(frame, skipping: wanted.lowerBound - start, into: target, checkingDigest: checkingDigests)
        } catch {
          let place = "frame \(number), bytes \(frame.extent.offset) to \(frame.extent.end - 1)"
          throw StorageError(
            error.code, "\(place): \(error.message)", file: file.path, offset: frame.extent.offset)
        }
      }
      start += frame.rawSize
      if start >= range.upperBound { break }
    }
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
    try file.withBytes(at: frame.extent.offset, count: frame.extent.storedSize) { stored throws(StorageError) in
      try frame.decode(stored, into: raw, checkingDigest: checkingDigest)
    }
  }

  /// A payload in memory. See `read`.
  public func bytes<Manifest>(
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

extension [UInt8] {
  /// `count` bytes, every one of which `fill` sets.
  fileprivate init(
    count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    var failure: StorageError?
    self.init(unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(StorageError) {
        try fill(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[0..<count]))
        initialized = count
      } catch {
        failure = error
        initialized = 0
      }
    }
    if let failure { throw failure }
  }
}
