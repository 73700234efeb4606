import TMPackByteIO
import TMPackDigests

/// The binary form of an encoded payload, for journals of packing (Spec/tasks.md): none of it is part of an archive.
///
/// ```
///  0 1 kind of coding   1 1 width   2 8 size   10 1 frames (0) or pooled (1)
///  frames: 4 count, then of each  4 stored size  4 raw size  1 codec  1 filter  1 width  32 digest  stored bytes
///  pooled: 4 count of boundaries, then 4 of each, then the bytes
/// ```
extension EncodedPayload {
  package func write(to writer: inout ByteWriter) {
    writer.integer(coding.number)
    writer.integer(UInt8(coding.width))
    writer.integer(UInt64(size))
    switch content {
    case .frames(let frames):
      writer.integer(UInt8(0))
      writer.integer(UInt32(frames.count))
      for frame in frames { frame.write(to: &writer) }
    case .pooled(let bytes, let boundaries):
      writer.integer(UInt8(1))
      writer.integer(UInt32(boundaries.count))
      for boundary in boundaries { writer.integer(UInt32(boundary)) }
      writer.append(bytes)
    }
  }

  package init(parsing reader: inout ByteReader) throws(StorageError) {
    let number: UInt8 = try reader.integer()
    let width = Int(try reader.integer(UInt8.self))
    guard let coding = PayloadCoding(number: number, width: width) else {
      throw StorageError(.malformed, "a payload has an unknown coding", offset: reader.offset)
    }
    self.coding = coding
    let declared: UInt64 = try reader.integer()
    try Limits.check(declared, atMost: Limits.tensorBytes, "the size of a payload")
    size = Int(declared)
    switch try reader.integer(UInt8.self) {
    case 0:
      let count = Int(try reader.integer(UInt32.self))
      guard size > Self.pooledSharedSize, count == (size - 1) / Self.frameSize + 1 else {
        throw StorageError(.malformed, "a payload of \(size) bytes has \(count) frames", offset: reader.offset)
      }
      var frames: [EncodedFrame] = []
      for index in 0..<count {
        let rawSize = min(Self.frameSize, size - index * Self.frameSize)
        frames.append(try EncodedFrame(parsing: &reader, rawSize: rawSize))
      }
      content = .frames(frames)
    case 1:
      guard size <= Self.pooledSize else {
        throw StorageError(.malformed, "a payload of \(size) bytes is pooled", offset: reader.offset)
      }
      var boundaries: [Int] = []
      for _ in 0..<(try reader.integer(UInt32.self)) {
        let boundary = Int(try reader.integer(UInt32.self))
        guard boundary > boundaries.last ?? -1, boundary <= size, boundary.isMultiple(of: max(1, width)) else {
          throw StorageError(.malformed, "the boundaries of a payload are not such", offset: reader.offset)
        }
        boundaries.append(boundary)
      }
      content = .pooled([UInt8](try reader.take(size)), boundaries: boundaries)
    default: throw StorageError(.malformed, "a payload is neither of frames nor pooled", offset: reader.offset)
    }
  }
}

extension EncodedFrame {
  fileprivate func write(to writer: inout ByteWriter) {
    writer.integer(UInt32(stored.count))
    writer.integer(UInt32(rawSize))
    writer.integer(codec.rawValue)
    writer.integer(filter.number)
    writer.integer(UInt8(filter.width))
    writer.append(digest.bytes)
    guard let held = stored.held else { preconditionFailure("records are of what is in memory") }
    writer.append(held)
  }

  /// - Parameter expected: the raw size that it must have.
  fileprivate init(parsing reader: inout ByteReader, rawSize expected: Int) throws(StorageError) {
    let storedSize = Int(try reader.integer(UInt32.self))
    rawSize = Int(try reader.integer(UInt32.self))
    let codecNumber: UInt8 = try reader.integer()
    let filterNumber: UInt8 = try reader.integer()
    let width = Int(try reader.integer(UInt8.self))
    digest = ContentDigest(bytes: try reader.take(ContentDigest.byteCount))
    guard let codec = FrameRecord.Codec(rawValue: codecNumber),
      let filter = FrameFilter(number: filterNumber, width: width), rawSize == expected,
      rawSize.isMultiple(of: max(1, width)), storedSize > 0,
      codec == .zstd ? storedSize < rawSize : storedSize == rawSize && filter == .none
    else { throw StorageError(.malformed, "a frame is not such", offset: reader.offset) }
    self.codec = codec
    self.filter = filter
    let bytes = [UInt8](try reader.take(storedSize))
    stored = StoredBytes(bytes)
    checksum = codec == .checked ? bytes.withUnsafeBytes { CRC32.of($0) } : nil
  }
}

extension PayloadCoding {
  fileprivate var number: UInt8 {
    switch self {
    case .elements: 0
    case .floats: 1
    case .differences: 2
    }
  }

  fileprivate var width: Int {
    switch self {
    case .elements(let width), .floats(let width), .differences(let width): width
    }
  }

  fileprivate init?(number: UInt8, width: Int) {
    guard (1...16).contains(width) else { return nil }
    switch number {
    case 0: self = .elements(width: width)
    case 1: self = .floats(width: width)
    case 2: self = .differences(width: width)
    default: return nil
    }
  }
}
