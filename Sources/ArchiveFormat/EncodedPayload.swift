import ByteIO
import Digests
import Zstandard

/// A frame's bytes as they will stand in the file; where is not known yet.
struct EncodedFrame: Sendable {
  let stored: [UInt8]
  let digest: Digest
  let rawSize: Int
  let codec: FrameRecord.Codec
  let filter: FrameFilter

  /// Filters and compresses `raw`; keeps it as it is when that does not make it smaller.
  init(_ raw: UnsafeRawBufferPointer, filter: FrameFilter, level: Int) {
    let compressed: [UInt8]
    switch filter {
    case .none: compressed = Zstandard.compress(raw, level: level)
    case .bytePlanes(let width):
      let planes = UnsafeMutableRawBufferPointer.allocate(byteCount: raw.count, alignment: 64)
      defer { planes.deallocate() }
      BytePlanes.split(raw, width: width, into: planes)
      compressed = Zstandard.compress(UnsafeRawBufferPointer(planes), level: level)
    }
    if compressed.count < raw.count {
      stored = compressed
      codec = .zstd
      self.filter = filter
    } else {
      stored = [UInt8](raw)
      codec = .raw
      self.filter = .none
    }
    rawSize = raw.count
    digest = Digest(of: stored)
  }
}

/// The bytes of one payload, compressed and ready to be placed: the work that can be done on any thread.
public struct EncodedPayload: Sendable {
  /// Raw bytes of a frame that is not the last of its payload.
  static let frameSize = 1 << 20
  /// Payloads up to this size share frames (TMP-5-8).
  static let pooledSize = 64 << 10

  enum Content: Sendable {
    case frames([EncodedFrame])
    case pooled([UInt8], FrameFilter)
  }
  let content: Content
  public let size: Int

  /// What it takes in the file; of one that will share a frame, at most.
  package var storedSize: Int {
    switch content {
    case .frames(let frames): frames.reduce(0) { $0 + $1.stored.count }
    case .pooled(let bytes, _): bytes.count
    }
  }

  /// - Parameters:
  ///   - elementWidth: bytes of an element, which choose the filter.
  ///   - level: zstd's.
  public init(_ bytes: UnsafeRawBufferPointer, elementWidth: Int, level: Int) {
    size = bytes.count
    let filter = FrameFilter(elementWidth: elementWidth)
    if bytes.count <= Self.pooledSize {
      content = .pooled([UInt8](bytes), filter)
      return
    }
    content = .frames(
      stride(from: 0, to: bytes.count, by: Self.frameSize).map { start in
        let end = min(start + Self.frameSize, bytes.count)
        return EncodedFrame(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), filter: filter, level: level)
      })
  }

  public init(_ bytes: [UInt8], elementWidth: Int, level: Int) {
    self = bytes.withUnsafeBytes { EncodedPayload($0, elementWidth: elementWidth, level: level) }
  }
}
