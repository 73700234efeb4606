import TMPackByteIO
import TMPackDigests
import TMPackZstandard

/// A frame's bytes as they will stand in the file; where is not known yet.
struct EncodedFrame: Sendable {
  var stored: StoredBytes
  let digest: ContentDigest
  let rawSize: Int
  let codec: FrameRecord.Codec
  let filter: FrameFilter
  /// Of a frame that is to be mapped.
  let checksum: CRC32?

  /// Filters and compresses `raw` in the way of `coding` that makes it smallest; keeps it as it is when none makes it smaller.
  ///
  /// - Parameter boundaries: places in `raw` where its statistics may change.
  init(_ raw: UnsafeRawBufferPointer, _ coding: PayloadCoding, boundaries: [Int] = [], level: Int) {
    var best: (bytes: [UInt8], filter: FrameFilter)?
    for candidate in FilteredFrame.candidates(raw, coding.filters, boundaries: boundaries) {
      let compressed = candidate.compressed(coding.searches(level: level))
      if compressed.count < best?.bytes.count ?? raw.count { best = (compressed, candidate.filter) }
    }
    codec = best == nil ? .raw : .zstd
    filter = best?.filter ?? .none
    let bytes = best?.bytes ?? [UInt8](raw)
    stored = StoredBytes(bytes)
    rawSize = raw.count
    digest = ContentDigest(of: bytes)
    checksum = nil
  }

  /// One whose bytes are not held in memory.
  func moved(to scratch: PayloadScratch) throws(StorageError) -> EncodedFrame {
    guard let held = stored.held else { return self }
    var moved = self
    moved.stored = try scratch.keep(held)
    return moved
  }

  /// As it is, to be mapped (TMP-5-12).
  init(mappable raw: UnsafeRawBufferPointer) {
    codec = .checked
    filter = .none
    stored = StoredBytes([UInt8](raw))
    rawSize = raw.count
    digest = ContentDigest(of: raw)
    checksum = CRC32.of(raw)
  }

  /// What it takes to decode it, at some place in a file.
  func record(at extent: Extent) -> FrameRecord {
    FrameRecord(extent: extent, rawSize: rawSize, codec: codec, filter: filter, checksum: checksum)
  }

  /// The same without a file.
  var record: FrameRecord { record(at: Extent(written: 0, storedSize: stored.count, digest: digest)) }
}

/// A frame's bytes between filter and compressor.
private struct FilteredFrame {
  let filter: FrameFilter
  let bytes: [UInt8]
  let cuts: BlockCuts

  /// - Returns: nil when the filter is not allowed for these bytes.
  init?(_ raw: UnsafeRawBufferPointer, _ filter: FrameFilter, boundaries: [Int]) {
    guard let bytes = filter.applied(to: raw) else { return nil }
    self.filter = filter
    self.bytes = bytes
    cuts = bytes.withUnsafeBytes { BlockCuts(filter.cuts(boundaries, rawSize: raw.count), in: $0) }
  }

  /// Frames of the filters that may make it smallest, by an estimate that is good to some per cent.
  static func candidates(_ raw: UnsafeRawBufferPointer, _ filters: [FrameFilter], boundaries: [Int]) -> [FilteredFrame]
  {
    let frames = filters.compactMap { FilteredFrame(raw, $0, boundaries: boundaries) }
    guard let least = frames.map(\.cuts.bits).min() else { return [] }
    return frames.filter { $0.cuts.bits <= 1.02 * least }
  }

  /// Compressed in the first way, and in each other one that follows on the best so far.
  func compressed(_ searches: [Zstandard.Search]) -> [UInt8] {
    bytes.withUnsafeBytes { bytes in
      var best = Zstandard.compress(bytes, searches[0], cuts: cuts.places)
      for search in searches.dropFirst() {
        let next = Zstandard.compress(bytes, search, cuts: cuts.places)
        guard next.count < best.count else { break }
        best = next
      }
      return best
    }
  }
}

/// The bytes of one payload, compressed and ready to be placed: the work that can be done on any thread.
package struct EncodedPayload: Sendable {
  /// Raw bytes of a frame that is not the last of its payload.
  static let frameSize = 1 << 20
  /// Payloads up to this size share frames (TMP-5-8).
  package static let pooledSize = 64 << 10
  /// The same of payloads that other sections have, too: frames of their own are stored once (TMP-5-4).
  package static let pooledSharedSize = 1 << 10

  enum Content: Sendable {
    case frames([EncodedFrame])
    case pooled([UInt8], boundaries: [Int])
  }
  let content: Content
  let coding: PayloadCoding
  package let size: Int

  /// What it takes in the file; of one that will share a frame, at most.
  package var storedSize: Int {
    switch content {
    case .frames(let frames): frames.reduce(0) { $0 + $1.stored.count }
    case .pooled(let bytes, _): bytes.count
    }
  }

  /// Whether it goes into a frame with others, so that one that equals it elsewhere does not save its space (TMP-5-8).
  package var sharesFrames: Bool { if case .pooled = content { true } else { false } }

  /// - Parameters:
  ///   - boundaries: increasing places in `bytes` where their statistics may change, whole elements apart.
  ///   - isShared: whether other sections are to have the same payload.
  ///   - level: zstd's, for codings that have none of their own.
  package init(
    _ bytes: UnsafeRawBufferPointer, _ coding: PayloadCoding, boundaries: [Int] = [], isShared: Bool = false, level: Int
  ) {
    size = bytes.count
    self.coding = coding
    if bytes.count <= (isShared ? Self.pooledSharedSize : Self.pooledSize) {
      content = .pooled([UInt8](bytes), boundaries: boundaries)
      return
    }
    content = .frames(
      stride(from: 0, to: bytes.count, by: Self.frameSize).map { start in
        let end = min(start + Self.frameSize, bytes.count)
        return EncodedFrame(
          UnsafeRawBufferPointer(rebasing: bytes[start..<end]), coding,
          boundaries: boundaries.between(start, end).map { $0 - start }, level: level)
      })
  }

  /// The same of bytes that come frame by frame.
  ///
  /// Memory: a frame, and the payload compressed, as far as it is held.
  /// - Parameters:
  ///   - size: of all bytes.
  ///   - isMappable: whether frames are left as they are (TMP-5-12).
  ///   - scratch: takes what is not held of a large payload; nil for all held.
  ///   - lend: calls its second argument with some of the bytes, and with the places in them where their statistics may change.
  package init(
    size: Int, _ coding: PayloadCoding, level: Int, isMappable: Bool = false, scratch: PayloadScratch? = nil,
    lend: (
      Range<Int>, (UnsafeRawBufferPointer, _ boundaries: [Int]) throws(StorageError) -> Void
    ) throws(StorageError) -> Void
  ) throws(StorageError) {
    self.size = size
    self.coding = coding
    if size <= Self.pooledSize {
      var pooled = Content.pooled([], boundaries: [])
      try lend(0..<size) { bytes, boundaries in pooled = .pooled([UInt8](bytes), boundaries: boundaries) }
      content = pooled
      return
    }
    var frames: [EncodedFrame] = []
    var held = 0
    for start in stride(from: 0, to: size, by: Self.frameSize) {
      try lend(start..<min(start + Self.frameSize, size)) { bytes, boundaries throws(StorageError) in
        var frame =
          isMappable ? EncodedFrame(mappable: bytes) : EncodedFrame(bytes, coding, boundaries: boundaries, level: level)
        held += frame.stored.count
        if let scratch, held > PayloadScratch.heldBytes { frame = try frame.moved(to: scratch) }
        frames.append(frame)
      }
    }
    content = .frames(frames)
  }

  /// - Parameter elementWidth: bytes of an element.
  package init(_ bytes: UnsafeRawBufferPointer, elementWidth: Int, isShared: Bool = false, level: Int) {
    self.init(bytes, .elements(width: elementWidth), isShared: isShared, level: level)
  }

  package init(_ bytes: [UInt8], elementWidth: Int, isShared: Bool = false, level: Int) {
    self = bytes.withUnsafeBytes {
      EncodedPayload($0, elementWidth: elementWidth, isShared: isShared, level: level)
    }
  }

  /// The payload again, without a file: decodes its frames as `PayloadReader.read` does.
  ///
  /// - Precondition: `destination` has room for exactly the payload.
  package func decode(into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    precondition(destination.count == size, "room for exactly the payload")
    switch content {
    case .pooled(let bytes, _): destination.copyBytes(from: bytes)
    case .frames(let frames):
      var start = 0
      for frame in frames {
        let target = UnsafeMutableRawBufferPointer(rebasing: destination[start..<start + frame.rawSize])
        try frame.stored.loaded().withBytes { stored throws(StorageError) in
          try frame.record.decode(stored, into: target, checkingDigest: false)
        }
        start += frame.rawSize
      }
    }
  }
}

extension [Int] {
  /// The elements of a sorted array above `low` and below `high`. O(log n).
  fileprivate func between(_ low: Int, _ high: Int) -> ArraySlice<Int> {
    let first = partitioningIndex { $0 > low }
    return self[first..<Swift.max(first, partitioningIndex { $0 >= high })]
  }
}
