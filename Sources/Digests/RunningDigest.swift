#if canImport(CryptoKit)
  import CryptoKit
#else
  import TMPackCCrypto
#endif

/// A SHA-256 digest of bytes that come in pieces: by the system's library.
package struct RunningDigest {
  /// The state before the first byte (FIPS 180-4, section 5.3.3).
  static let initialState: [UInt32] = [
    0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
  ]

  #if canImport(CryptoKit)
    private var hash = SHA256()

    package init() {}

    /// Goes on from a state: this library cannot.
    init?(state _: [UInt32], after _: Int) { nil }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bufferPointer: bytes) }

    package func finish() -> ContentDigest { hash.finalize().withUnsafeBytes { ContentDigest(bytes: $0) } }
  #else
    private var state = SHA256_CTX()

    package init() { SHA256_Init(&state) }

    /// Goes on from the state after `count` bytes, whole blocks; nil where the library cannot.
    init?(state words: [UInt32], after count: Int) {
      self.init()
      withUnsafeMutableBytes(of: &state.h) { $0.copyBytes(from: words.withUnsafeBytes { Array($0) }) }
      (state.Nl, state.Nh) = (UInt32(truncatingIfNeeded: count << 3), UInt32(truncatingIfNeeded: count >> 29))
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
      SHA256_Update(&state, bytes.baseAddress, bytes.count)
    }

    package func finish() -> ContentDigest {
      var ended = state
      return withUnsafeTemporaryAllocation(byteCount: ContentDigest.byteCount, alignment: 1) { digest in
        SHA256_Final(digest.baseAddress!.assumingMemoryBound(to: UInt8.self), &ended)
        return ContentDigest(bytes: digest)
      }
    }
  #endif
}
