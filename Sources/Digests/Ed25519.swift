#if canImport(CryptoKit)
  import CryptoKit
#else
  import TMPackCCrypto
#endif

/// Signatures by Ed25519 (RFC 8032): by the system's library.
package enum Ed25519 {
  package static let keyBytes = 32
  package static let signatureBytes = 64

  /// What signs; never shown.
  package struct PrivateKey: Sendable {
    private let seed: [UInt8]
    package let publicKey: PublicKey

    /// - Parameter seed: 32 bytes.
    /// - Returns: nil for another number of bytes.
    package init?(seed: [UInt8]) {
      guard seed.count == keyBytes, let key = Self.publicKey(of: seed) else { return nil }
      self.seed = seed
      publicKey = key
    }

    #if canImport(CryptoKit)
      private static func publicKey(of seed: [UInt8]) -> PublicKey? {
        (try? Curve25519.Signing.PrivateKey(rawRepresentation: seed)).map {
          PublicKey(bytes: [UInt8]($0.publicKey.rawRepresentation))!
        }
      }

      /// 64 bytes; nil when the library fails.
      package func sign(_ message: [UInt8]) -> [UInt8]? {
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else { return nil }
        return (try? key.signature(for: message)).map { [UInt8]($0) }
      }
    #else
      private static func publicKey(of seed: [UInt8]) -> PublicKey? {
        guard let key = EVP_PKEY_new_raw_private_key(NID_ED25519, nil, seed, seed.count) else { return nil }
        defer { EVP_PKEY_free(key) }
        var bytes = [UInt8](repeating: 0, count: keyBytes)
        var count = bytes.count
        guard EVP_PKEY_get_raw_public_key(key, &bytes, &count) == 1, count == keyBytes else { return nil }
        return PublicKey(bytes: bytes)
      }

      /// 64 bytes; nil when the library fails.
      package func sign(_ message: [UInt8]) -> [UInt8]? {
        guard let key = EVP_PKEY_new_raw_private_key(NID_ED25519, nil, seed, seed.count) else { return nil }
        defer { EVP_PKEY_free(key) }
        guard let context = EVP_MD_CTX_new() else { return nil }
        defer { EVP_MD_CTX_free(context) }
        var signature = [UInt8](repeating: 0, count: signatureBytes)
        var count = signature.count
        guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
          EVP_DigestSign(context, &signature, &count, message, message.count) == 1, count == signatureBytes
        else { return nil }
        return signature
      }
    #endif
  }

  /// What a signature is checked against, and whose it is called.
  package struct PublicKey: Sendable, Hashable {
    /// 32 of them.
    package let bytes: [UInt8]

    /// - Returns: nil for another number of bytes.
    package init?(bytes: [UInt8]) {
      guard bytes.count == keyBytes else { return nil }
      self.bytes = bytes
    }

    package func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
      guard signature.count == signatureBytes else { return false }
      #if canImport(CryptoKit)
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else { return false }
        return key.isValidSignature(signature, for: message)
      #else
        guard let key = EVP_PKEY_new_raw_public_key(NID_ED25519, nil, bytes, bytes.count) else { return false }
        defer { EVP_PKEY_free(key) }
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
          && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
      #endif
    }
  }
}
