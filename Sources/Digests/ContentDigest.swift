/// A SHA-256 digest (TMP-1-2).
public struct ContentDigest: Sendable {
  public static let byteCount = 32

  /// Its bytes, eight in each: no memory of its own, since there are as many digests as tensors and frames.
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  /// 32 bytes.
  public var bytes: [UInt8] { withUnsafeBytes(of: words) { [UInt8]($0) } }

  /// - Precondition: there are 32 bytes.
  public init(bytes: some Collection<UInt8>) {
    precondition(bytes.count == Self.byteCount, "a SHA-256 digest has 32 bytes")
    withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
  }

  /// The digest of some bytes.
  public init(of bytes: UnsafeRawBufferPointer) {
    var hash = RunningDigest()
    hash.update(bytes)
    self = hash.finish()
  }

  public init(of bytes: [UInt8]) { self = bytes.withUnsafeBytes { ContentDigest(of: $0) } }

  /// Parses 64 lowercase hexadecimal digits; nil for anything else.
  public init?(hexadecimal text: String) {
    var text = text
    let isSound = text.withUTF8 { digits in
      guard digits.count == 2 * Self.byteCount else { return false }
      return withUnsafeMutableBytes(of: &words) { bytes in
        for index in bytes.indices {
          guard let high = Self.value(digits[2 * index]), let low = Self.value(digits[2 * index + 1]) else {
            return false
          }
          bytes[index] = high << 4 | low
        }
        return true
      }
    }
    if !isSound { return nil }
  }

  public var hexadecimal: String {
    withUnsafeBytes(of: words) { bytes in
      String(unsafeUninitializedCapacity: 2 * Self.byteCount) { digits in
        for (index, byte) in bytes.enumerated() {
          digits[2 * index] = Self.digit(byte >> 4)
          digits[2 * index + 1] = Self.digit(byte & 15)
        }
        return 2 * Self.byteCount
      }
    }
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}

extension ContentDigest: Hashable {
  public static func == (left: Self, right: Self) -> Bool { left.words == right.words }

  public func hash(into hasher: inout Hasher) { withUnsafeBytes(of: words) { hasher.combine(bytes: $0) } }
}

extension ContentDigest: CustomStringConvertible {
  public var description: String { hexadecimal }
}
