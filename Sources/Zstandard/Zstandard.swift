import TMPackByteIO
import TMPackCZstd

/// Independent zstd frames of a known raw size, as the archive stores them (TMP-5-5).
package enum Zstandard {
  /// The version of the library in use, such as "1.5.4".
  package static var version: String { String(cString: ZSTD_versionString()) }

  /// 8 MiB: what any decoder accepts by default.
  static let maximumWindowLog = 23

  /// How a compressor looks for repetitions.
  package enum Search: Sendable, Hashable {
    /// As a level of the library does, 1 to 22.
    case level(Int)
    /// For long ones only. In noise a short one costs more than it saves.
    case long
    /// For some of them: where there are long repetitions or many, it finds enough to tell.
    case quick
    /// Not at all: every byte gets a code. The fastest, to compress and to decompress, and for noise the smallest.
    case none
  }

  /// Compresses `raw` into one frame with content size and checksum. The same bytes for the same input, parameters and library.
  ///
  /// - Parameter cuts: increasing places inside `raw`. A block ends at each, so that what follows gets codes of its own.
  package static func compress(_ raw: UnsafeRawBufferPointer, _ search: Search, cuts: [Int] = []) -> [UInt8] {
    let context = ZSTD_createCCtx()!
    defer { ZSTD_freeCCtx(context) }
    func isSet(_ parameter: ZSTD_cParameter, _ value: Int) -> Bool {
      ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, Int32(value))) == 0
    }
    func set(_ parameter: ZSTD_cParameter, _ value: Int) { precondition(isSet(parameter, value)) }
    func setLongMatches() {
      set(ZSTD_c_compressionLevel, 1)
      set(ZSTD_c_minMatch, 7)
    }
    switch search {
    case .level(let level): set(ZSTD_c_compressionLevel, level)
    case .long: setLongMatches()
    case .quick, .none:
      // Negative levels skip ahead, the lowest over nearly everything. They would not code bytes either, without the parameter
      // that zstd's documentation calls `literalCompressionMode` and may take away.
      if isSet(ZSTD_c_experimentalParam5, 1) {
        set(ZSTD_c_compressionLevel, search == .quick ? -50 : Int(ZSTD_minCLevel()))
      } else {
        setLongMatches()
      }
    }
    set(ZSTD_c_checksumFlag, 1)
    set(ZSTD_c_contentSizeFlag, 1)
    // Only the highest levels want more than 8 MiB; naming the log for others would change their choice.
    if raw.count > 1 << maximumWindowLog { set(ZSTD_c_windowLog, maximumWindowLog) }
    // Beyond the library's bound, a block that ends early costs its header.
    return [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(raw.count) + 16 * (cuts.count + 1)) {
      buffer, count in
      if cuts.isEmpty {
        count = ZSTD_compress2(context, buffer.baseAddress, buffer.count, raw.baseAddress, raw.count)
        precondition(ZSTD_isError(count) == 0, "the bound suffices")
      } else {
        count = compress(context, raw, cuts: cuts, into: buffer)
      }
    }
  }

  private static func compress(
    _ context: OpaquePointer, _ raw: UnsafeRawBufferPointer, cuts: [Int], into buffer: UnsafeMutableBufferPointer<UInt8>
  ) -> Int {
    precondition(ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, UInt64(raw.count))) == 0)
    var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
    var start = 0
    for end in cuts + [raw.count] where end > start || end == raw.count {
      let part = UnsafeRawBufferPointer(rebasing: raw[start..<end])
      var input = ZSTD_inBuffer(src: part.baseAddress, size: part.count, pos: 0)
      let directive = end == raw.count ? ZSTD_e_end : ZSTD_e_flush
      while true {
        let left = ZSTD_compressStream2(context, &output, &input, directive)
        precondition(ZSTD_isError(left) == 0 && (left == 0 || output.pos < output.size), "the bound suffices")
        if left == 0 { break }
      }
      if end == raw.count { break }
      start = end
    }
    return output.pos
  }

  /// The raw bytes that a frame says it has.
  ///
  /// - Throws: `malformed` for one of another kind, or without a content size.
  package static func contentSize(of stored: UnsafeRawBufferPointer) throws(StorageError) -> UInt64 {
    guard let size = try ZstandardFrameHeader(parsing: stored).contentSize else {
      throw StorageError(.malformed, "zstd: declares no content size")
    }
    return size
  }

  /// Decompresses exactly one frame that fills `raw` exactly.
  ///
  /// - Throws: `malformed` for a frame of another kind or size, or one that is damaged. Nothing is written beyond `raw`.
  package static func decompress(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer)
    throws(StorageError)
  {
    try check(stored, rawSize: raw.count)
    let decompressor = Decompressors.take()
    defer { Decompressors.give(decompressor) }
    try decompressor.decompress(stored, into: raw)
  }

  /// Decompresses exactly one frame of `size` bytes and lends them to `body`, in memory that is used again.
  ///
  /// - Throws: as `decompress`.
  package static func withDecompressed(
    _ stored: UnsafeRawBufferPointer, size: Int, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    try check(stored, rawSize: size)
    let decompressor = Decompressors.take()
    defer { Decompressors.give(decompressor) }
    let room = decompressor.room(size)
    try decompressor.decompress(stored, into: room)
    try body(UnsafeRawBufferPointer(room))
  }

  /// Decompresses frames that others made, whatever they say of their size.
  ///
  /// - Parameter limit: bytes that may come out.
  /// - Throws: `limitExceeded` for more; `malformed`, `digestMismatch`.
  /// - Complexity: memory for what comes out, twice while it grows.
  package static func decompress(
    foreign stored: UnsafeRawBufferPointer, atMost limit: Int
  ) throws(StorageError) -> [UInt8] {
    let context = ZSTD_createDCtx()!
    defer { ZSTD_freeDCtx(context) }
    var raw: [UInt8] = []
    var part = [UInt8](repeating: 0, count: ZSTD_DStreamOutSize())
    var input = ZSTD_inBuffer(src: stored.baseAddress, size: stored.count, pos: 0)
    var isWhole = false
    while true {
      let (code, count) = part.withUnsafeMutableBytes { memory in
        var output = ZSTD_outBuffer(dst: memory.baseAddress, size: memory.count, pos: 0)
        return (ZSTD_decompressStream(context, &output, &input), output.pos)
      }
      guard ZSTD_isError(code) == 0 else {
        let isChecksum = ZSTD_getErrorCode(code) == ZSTD_error_checksum_wrong
        throw StorageError(
          isChecksum ? .digestMismatch : .malformed, "zstd: \(String(cString: ZSTD_getErrorName(code)))")
      }
      raw += part[..<count]
      try Limits.check(raw.count, atMost: limit, "the size of what is decompressed")
      isWhole = code == 0
      if input.pos == input.size, count < part.count { break }
    }
    guard isWhole else { throw StorageError(.truncated, "zstd: the frame ends too early") }
    return raw
  }

  private static func check(_ stored: UnsafeRawBufferPointer, rawSize: Int) throws(StorageError) {
    try ZstandardFrameHeader(parsing: stored).check(rawSize: rawSize)
    let frameSize = ZSTD_findFrameCompressedSize(stored.baseAddress, stored.count)
    guard ZSTD_isError(frameSize) == 0, frameSize == stored.count else {
      throw StorageError(.malformed, "zstd: the stored bytes are not exactly one frame")
    }
  }
}

/// What decompressing a frame needs.
private final class Decompressor {
  private let context: OpaquePointer
  private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  /// Of memory that is kept: a frame of an archive.
  private static let mostKept = 4 << 20

  init() { context = ZSTD_createDCtx()! }

  deinit {
    ZSTD_freeDCtx(context)
    memory.deallocate()
  }

  func decompress(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let result = ZSTD_decompressDCtx(context, raw.baseAddress, raw.count, stored.baseAddress, stored.count)
    guard ZSTD_isError(result) == 0 else {
      let code: StorageError.Code =
        ZSTD_getErrorCode(result) == ZSTD_error_checksum_wrong ? .digestMismatch : .malformed
      throw StorageError(code, "zstd: \(String(cString: ZSTD_getErrorName(result)))")
    }
    guard result == raw.count else { throw StorageError(.malformed, "zstd: gave \(result) of \(raw.count) bytes") }
  }

  /// The decompressor's own memory, good until the next call.
  func room(_ count: Int) -> UnsafeMutableRawBufferPointer {
    if count > memory.count {
      memory.deallocate()
      memory = .allocate(byteCount: count, alignment: 64)
    }
    return UnsafeMutableRawBufferPointer(rebasing: memory[0..<count])
  }

  var isKept: Bool { memory.count <= Self.mostKept }
}

/// Decompressors that are used again: a new one costs as much as many a frame, and its memory a page fault every 4 KiB.
private enum Decompressors {
  /// What several threads need at once.
  private static let mostIdle = 64
  private nonisolated(unsafe) static var idle: [Decompressor] = []
  private static let lock = ForkSafe(())

  static func take() -> Decompressor { lock.withLock { _ in idle.popLast() } ?? Decompressor() }

  static func give(_ decompressor: Decompressor) {
    guard decompressor.isKept else { return }
    lock.withLock { _ in if idle.count < mostIdle { idle.append(decompressor) } }
  }
}

/// The header of a zstd frame (RFC 8878, section 3.1.1.1), read by hand because the rules of TMP-5-5 are stricter than
/// what the library's stable interface can be asked to enforce.
struct ZstandardFrameHeader {
  let contentSize: UInt64?
  let windowSize: UInt64
  let hasChecksum: Bool
  let hasDictionary: Bool

  init(parsing stored: UnsafeRawBufferPointer) throws(StorageError) {
    var reader = ByteReader(stored)
    guard try reader.integer(UInt32.self) == 0xFD2F_B528 else { throw StorageError(.malformed, "zstd: not a frame") }
    let descriptor = try reader.integer(UInt8.self)
    guard descriptor & 0b1000 == 0 else { throw StorageError(.malformed, "zstd: a reserved bit is set") }
    let isSingleSegment = descriptor & 0b10_0000 != 0
    hasChecksum = descriptor & 0b100 != 0
    hasDictionary = descriptor & 0b11 != 0
    var window: UInt64 = 0
    if !isSingleSegment {
      let byte = UInt64(try reader.integer(UInt8.self))
      let base = UInt64(1) << (10 + (byte >> 3))
      window = base + base / 8 * (byte & 7)
    }
    _ = try reader.take([0, 1, 2, 4][Int(descriptor & 0b11)])
    contentSize =
      switch descriptor >> 6 {
      case 0: isSingleSegment ? UInt64(try reader.integer(UInt8.self)) : nil
      case 1: UInt64(try reader.integer(UInt16.self)) + 256
      case 2: UInt64(try reader.integer(UInt32.self))
      default: try reader.integer(UInt64.self)
      }
    windowSize = isSingleSegment ? contentSize! : window
  }

  func check(rawSize: Int) throws(StorageError) {
    guard contentSize == UInt64(rawSize) else {
      throw StorageError(
        .malformed, "zstd: declares \(contentSize.map(String.init) ?? "no") raw bytes instead of \(rawSize)")
    }
    guard hasChecksum else { throw StorageError(.malformed, "zstd: no content checksum") }
    guard !hasDictionary else { throw StorageError(.malformed, "zstd: needs a dictionary") }
    guard windowSize <= 1 << UInt64(Zstandard.maximumWindowLog) else {
      throw StorageError(.limitExceeded, "zstd: the window is \(windowSize) bytes, above the limit of 8 MiB")
    }
  }
}
