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
    guard let digest = text.withUTF8({ Self(hexadecimal: UnsafeRawBufferPointer($0)) }) else { return nil }
    self = digest
  }

  /// The same of their bytes in ASCII.
  package init?(hexadecimal digits: UnsafeRawBufferPointer) {
    guard digits.count == 2 * Self.byteCount else { return nil }
    var areSound = true
    withUnsafeMutableBytes(of: &words) { bytes in
      for place in stride(from: 0, to: Self.byteCount, by: 4) {
        let digits = UInt64(littleEndian: digits.loadUnaligned(fromByteOffset: 2 * place, as: UInt64.self))
        guard let value = Self.value(ofEight: digits) else { return areSound = false }
        bytes.storeBytes(of: value.littleEndian, toByteOffset: place, as: UInt32.self)
      }
    }
    if !areSound { return nil }
  }

  /// Four bytes, the first in the lowest, from eight digits likewise; nil where any is none.
  private static func value(ofEight digits: UInt64) -> UInt32? {
    let ones: UInt64 = 0x0101_0101_0101_0101
    // Of a digit the low half, and 9 more of a letter.
    let values = digits & (ones &* 15) &+ (digits >> 6 & ones) &* 9
    let areLetters = (values &+ ones &* 6) >> 4 & ones
    guard values & (ones &* 0xF0) == 0, digits == values &+ ones &* 0x30 &+ areLetters &* 39 else { return nil }
    let pairs = (values << 4 | values >> 8) & 0x00FF_00FF_00FF_00FF
    let quads = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF
    return UInt32(truncatingIfNeeded: quads | quads >> 16)
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
