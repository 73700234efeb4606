import ByteIO
import Digests
import TensorKit
import Zstandard

/// A frame's bytes as they will stand in the file; where is not known yet.
struct EncodedFrame: Sendable {
  let stored: [UInt8]
  let digest: Digest
  let rawSize: Int
  let codec: FrameRecord.Codec
  let filter: FrameFilter

  /// Filters and compresses `raw` in the way of `coding` that makes it smallest; keeps it as it is when none makes it smaller.
  ///
  /// - Parameter boundaries: places in `raw` where its statistics change.
  init(_ raw: UnsafeRawBufferPointer, _ coding: PayloadCoding, boundaries: [Int] = [], level: Int) {
    var best: (stored: [UInt8], filter: FrameFilter)?
    for attempt in coding.attempts {
      guard let filtered = attempt.filter.applied(to: raw) else { continue }
      let cuts = attempt.filter.cuts(boundaries, rawSize: raw.count)
      let compressed = filtered.withUnsafeBytes {
        Zstandard.compress($0, level: attempt.level ?? level, cuts: cuts, minimumMatch: attempt.minimumMatch)
      }
      if compressed.count < (best?.stored.count ?? raw.count) { best = (compressed, attempt.filter) }
    }
    codec = best == nil ? .raw : .zstd
    filter = best?.filter ?? .none
    stored = best?.stored ?? [UInt8](raw)
    rawSize = raw.count
    digest = Digest(of: stored)
  }
}

/// The bytes of one payload, compressed and ready to be placed: the work that can be done on any thread.
public struct EncodedPayload: Sendable {
  /// Raw bytes of a frame that is not the last of its payload.
  static let frameSize = 1 << 20
  /// Payloads up to this size share frames (TMP-5-8).
  package static let pooledSize = 64 << 10

  enum Content: Sendable {
    case frames([EncodedFrame])
    case pooled([UInt8], boundaries: [Int])
  }
  let content: Content
  let coding: PayloadCoding
  public let size: Int

  /// What it takes in the file; of one that will share a frame, at most.
  package var storedSize: Int {
    switch content {
    case .frames(let frames): frames.reduce(0) { $0 + $1.stored.count }
    case .pooled(let bytes, _): bytes.count
    }
  }

  /// - Parameters:
  ///   - boundaries: increasing places in `bytes` where their statistics change, whole elements apart.
  ///   - level: zstd's, for codings that have none of their own.
  public init(_ bytes: UnsafeRawBufferPointer, _ coding: PayloadCoding, boundaries: [Int] = [], level: Int) {
    size = bytes.count
    self.coding = coding
    if bytes.count <= Self.pooledSize {
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

  /// - Parameter elementWidth: bytes of an element.
  public init(_ bytes: UnsafeRawBufferPointer, elementWidth: Int, level: Int) {
    self.init(bytes, .elements(width: elementWidth), level: level)
  }

  public init(_ bytes: [UInt8], elementWidth: Int, level: Int) {
    self = bytes.withUnsafeBytes { EncodedPayload($0, elementWidth: elementWidth, level: level) }
  }
}

extension [Int] {
  /// The elements of a sorted array above `low` and below `high`. O(log n).
  fileprivate func between(_ low: Int, _ high: Int) -> ArraySlice<Int> {
    let first = partitioningIndex { $0 > low }
    return self[first..<Swift.max(first, partitioningIndex { $0 >= high })]
  }
}
