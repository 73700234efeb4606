import TMPackByteIO
import TMPackDigests

/// Ed25519 keys as files have them: PEM, as `openssl genpkey -algorithm ed25519` writes it, or OpenSSH's, as `ssh-keygen -t
/// ed25519` does (TMP-12-6).
package enum KeyFile {
  private static let mostBytes = 64 << 10
  /// DER in front of the 32 bytes of a key: RFC 8410.
  private static let privatePrefixes: [[UInt8]] = [
    [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20],
    // With the public key behind it: RFC 5958.
    [0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20],
  ]
  private static let publicPrefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]
  private static let sshMagic = Array("openssh-key-v1".utf8) + [0]
  private static let sshType = "ssh-ed25519"

  /// - Throws: `malformed`; `unsupportedFeature` for another algorithm or a passphrase; what the system says.
  package static func privateKey(_ path: String) throws(StorageError) -> Ed25519.PrivateKey {
    try located(file: path) { () throws(StorageError) in
      let text = try text(path)
      if let der = body(of: text, "PRIVATE KEY") {
        guard let prefix = privatePrefixes.first(where: { der.starts(with: $0) }),
          let key = Ed25519.PrivateKey(seed: Array(der.dropFirst(prefix.count).prefix(Ed25519.keyBytes)))
        else { throw otherAlgorithm }
        return key
      }
      if let bytes = body(of: text, "OPENSSH PRIVATE KEY") { return try sshPrivateKey(bytes) }
      if text.contains("ENCRYPTED PRIVATE KEY") { throw protected }
      throw StorageError(.malformed, "is no private key in PEM or OpenSSH's form")
    }
  }

  /// The keys of a file: one in PEM, or one on each line in OpenSSH's form.
  ///
  /// - Throws: as `privateKey`.
  package static func publicKeys(_ path: String) throws(StorageError) -> [Ed25519.PublicKey] {
    try located(file: path) { () throws(StorageError) in
      let text = try text(path)
      if text.contains("PRIVATE KEY-----") {
        throw StorageError(.invalidArgument, "is a private key; give the public one, and keep this one to yourself")
      }
      if let der = body(of: text, "PUBLIC KEY") {
        guard der.starts(with: publicPrefix),
          let key = Ed25519.PublicKey(bytes: Array(der.dropFirst(publicPrefix.count)))
        else { throw otherAlgorithm }
        return [key]
      }
      var keys: [Ed25519.PublicKey] = []
      for line in text.split(whereSeparator: \.isNewline) { if let key = try sshPublicKey(line) { keys.append(key) } }
      guard !keys.isEmpty else { throw StorageError(.malformed, "is no public key in PEM or OpenSSH's form") }
      return keys
    }
  }

  private static let otherAlgorithm = StorageError(.unsupportedFeature, "is not a key of Ed25519")
  private static let protected = StorageError(
    .unsupportedFeature, "is protected by a passphrase; write a copy without one, and remove it afterwards")

  private static func text(_ path: String) throws(StorageError) -> String {
    let file = try ReadableFile.ofText(path, atMost: mostBytes, "the size of a key")
    try Limits.check(file.size, atMost: mostBytes, "the size of a key")
    return String(decoding: try file.bytes(at: 0, count: Int(file.size)), as: UTF8.self)
  }

  /// The bytes between PEM's lines of that label; nil where there are none.
  private static func body(of text: String, _ label: String) -> [UInt8]? {
    let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmed }
    guard let start = lines.firstIndex(of: "-----BEGIN \(label)-----"),
      let end = lines[start...].firstIndex(of: "-----END \(label)-----")
    else { return nil }
    return Base64.bytes(lines[(start + 1)..<end].joined().utf8)
  }

  // MARK: OpenSSH

  private static func sshPublicKey(_ line: Substring) throws(StorageError) -> Ed25519.PublicKey? {
    let words = line.split(separator: " ")
    // In lists of signers a name comes first.
    guard let place = words.firstIndex(where: { $0 == sshType }), place + 1 < words.count else {
      if line.trimmed.isEmpty || line.hasPrefix("#") { return nil }
      throw words.contains { $0.hasPrefix("ssh-") || $0.hasPrefix("ecdsa-") }
        ? otherAlgorithm : StorageError(.malformed, "is no public key in PEM or OpenSSH's form")
    }
    guard let bytes = Base64.bytes(words[place + 1].utf8) else {
      throw StorageError(.malformed, "has a key that is not in base64")
    }
    var fields = Fields(bytes)
    guard fields.text() == sshType, let key = fields.string().flatMap({ Ed25519.PublicKey(bytes: $0) }) else {
      throw StorageError(.malformed, "has a key that is cut off")
    }
    return key
  }

  private static func sshPrivateKey(_ bytes: [UInt8]) throws(StorageError) -> Ed25519.PrivateKey {
    let broken = StorageError(.malformed, "is a damaged private key of OpenSSH")
    guard bytes.starts(with: sshMagic) else { throw broken }
    var fields = Fields(Array(bytes.dropFirst(sshMagic.count)))
    guard let cipher = fields.text(), fields.text() != nil, fields.string() != nil, fields.number() == 1,
      fields.string() != nil, let secret = fields.string()
    else { throw broken }
    guard cipher == "none" else { throw protected }
    var inner = Fields(secret)
    guard let check = inner.number(), inner.number() == check, let type = inner.text() else { throw broken }
    guard type == sshType else { throw otherAlgorithm }
    guard let publicBytes = inner.string(), let pair = inner.string(), pair.count == 2 * Ed25519.keyBytes,
      let key = Ed25519.PrivateKey(seed: Array(pair.prefix(Ed25519.keyBytes))), key.publicKey.bytes == publicBytes
    else { throw broken }
    return key
  }

  /// RFC 4251's fields: numbers of four bytes, and strings behind their lengths.
  private struct Fields {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    mutating func number() -> Int? {
      guard rest.count >= 4 else { return nil }
      defer { rest = rest.dropFirst(4) }
      return rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    }

    mutating func string() -> [UInt8]? {
      guard let count = number(), count <= rest.count else { return nil }
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }

    mutating func text() -> String? { string().map { String(decoding: $0, as: UTF8.self) } }
  }
}

extension StringProtocol {
  fileprivate var trimmed: String {
    var text = self[...]
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text.drop { $0.isWhitespace })
  }
}
