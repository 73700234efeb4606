import TMPackDigests
import TestSupport
import Testing

@Suite struct ContentDigestTests {
  @Test func isWrittenAsHexadecimalDigits() {
    var random = SeededGenerator(seed: 51)
    for bytes in [random.bytes(32), [UInt8](repeating: 0, count: 32), (0..<32).map { UInt8($0) << 3 | 7 }] {
      let digest = ContentDigest(bytes: bytes)
      let text = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      #expect(digest.bytes == bytes && digest.hexadecimal == text)
      #expect(ContentDigest(hexadecimal: text) == digest)
      for place in [0, 31, 63] {
        var digits = Array(text)
        for wrong in ["G", "A", "é"] as [Character] {
          digits[place] = wrong
          #expect(ContentDigest(hexadecimal: String(digits)) == nil, "\(wrong) at \(place)")
        }
      }
      #expect(ContentDigest(hexadecimal: String(text.dropLast())) == nil)
      #expect(ContentDigest(hexadecimal: text + "0") == nil)
    }
  }

  /// Each bit counts.
  @Test func equalsItsCopiesOnly() {
    var random = SeededGenerator(seed: 52)
    let bytes = random.bytes(32)
    let digest = ContentDigest(bytes: bytes)
    #expect(Set([digest, ContentDigest(bytes: bytes)]).count == 1)
    for bit in 0..<256 {
      var other = bytes
      other[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(ContentDigest(bytes: other) != digest)
    }
  }
}
