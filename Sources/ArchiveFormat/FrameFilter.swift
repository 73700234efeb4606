import TMPackByteIO
import TMPackZstandard

/// What is done to a frame's raw bytes before they are compressed (TMP-5-2).
package enum FrameFilter: Sendable, Hashable {
  case none
  /// TMP-5-7
  case bytePlanes(width: Int)
  /// TMP-5-10
  case rotatedPlanes(width: Int)
  /// TMP-5-11
  case magnitudes(width: Int)

  /// - Returns: nil for a number that does not exist, or a width that it does not have.
  init?(number: UInt8, width: Int) {
    switch (number, width) {
    case (0, 0): self = .none
    case (1, 2), (1, 4), (1, 8): self = .bytePlanes(width: width)
    case (2, 2), (2, 4), (2, 8): self = .rotatedPlanes(width: width)
    case (3, 2), (3, 4), (3, 8): self = .magnitudes(width: width)
    default: return nil
    }
  }

  var number: UInt8 {
    switch self {
    case .none: 0
    case .bytePlanes: 1
    case .rotatedPlanes: 2
    case .magnitudes: 3
    }
  }

  /// As a record has it: 0 for none.
  var width: Int {
    switch self {
    case .none: 0
    case .bytePlanes(let width), .rotatedPlanes(let width), .magnitudes(let width): width
    }
  }

  // MARK: Writing

  /// The filtered bytes; nil when the filter is not allowed for them, because they would be more than the raw ones (TMP-5-11).
  func applied(to raw: UnsafeRawBufferPointer) -> [UInt8]? {
    switch self {
    case .none: return [UInt8](raw)
    case .bytePlanes(let width): return planes(raw, width, rotated: false)
    case .rotatedPlanes(let width): return planes(raw, width, rotated: true)
    case .magnitudes(let width):
      let size = Magnitudes.encodedSize(raw, width: width)
      guard size <= raw.count else { return nil }
      return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        Magnitudes.encode(
          raw, width: width,
          into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[0..<size]))
        count = size
      }
    }
  }

  private func planes(_ raw: UnsafeRawBufferPointer, _ width: Int, rotated: Bool) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: raw.count) { buffer, count in
      let target = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[0..<raw.count])
      BytePlanes.split(raw, width: width, rotated: rotated, into: target)
      count = raw.count
    }
  }

  /// Places in the filtered bytes where the statistics change.
  ///
  /// - Parameters:
  ///   - boundaries: such places in the raw bytes, whole elements apart.
  func cuts(_ boundaries: [Int], rawSize: Int) -> [Int] {
    switch self {
    case .none: return boundaries
    case .bytePlanes(let width), .rotatedPlanes(let width):
      let count = rawSize / width
      return (0..<width).flatMap { plane in boundaries.map { plane * count + $0 / width } + [(plane + 1) * count] }
    case .magnitudes(let width): return boundaries.map { $0 / width } + [rawSize / width]
    }
  }

  // MARK: Reading

  /// Decompresses a frame's stored bytes and undoes the filter.
  ///
  /// Memory: the filtered bytes, which are at most as many as `raw`.
  func decompress(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws(StorageError) {
    switch self {
    case .none: try Zstandard.decompress(stored, into: raw)
    case .bytePlanes(let width), .rotatedPlanes(let width):
      let isRotated = self == .rotatedPlanes(width: width)
      try Zstandard.withDecompressed(stored, size: raw.count) { planes in
        BytePlanes.merge(planes, width: width, rotated: isRotated, into: raw)
      }
    case .magnitudes(let width):
      let size = try Zstandard.contentSize(of: stored)
      guard size <= UInt64(raw.count) else {
        throw StorageError(.malformed, "zstd: declares \(size) filtered bytes for \(raw.count) raw ones")
      }
      try Zstandard.withDecompressed(stored, size: Int(size)) { encoded throws(StorageError) in
        guard Magnitudes.decode(encoded, width: width, into: raw) else {
          throw StorageError(.malformed, "a frame's magnitudes are not such")
        }
      }
    }
  }
}
