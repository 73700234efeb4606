import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackJSON

/// What somebody signs (TMP-12-1).
package enum SignedStatement: Sendable {
  /// All of an archive, and which of its states that is.
  case archive(root: ContentDigest, generation: UInt64)
  /// One expert, by the digests of its section and of the shared model's: whatever else the archive has, now or later.
  case expert(name: String, section: ContentDigest, shared: ContentDigest)
  /// The tensors of a checkpoint, in whatever files.
  case checkpoint(tensors: ContentDigest)

  /// - Throws: `unknownName`.
  package init(of archive: Archive, expert name: String?) throws(StorageError) {
    guard let name else {
      self = .archive(root: archive.rootDigest, generation: archive.file.slot.generation)
      return
    }
    let expert = archive.experts[try archive.file.expertIndex(named: name)]
    self = .expert(
      name: expert.name, section: expert.section.extent.digest, shared: archive.file.index.shared.extent.digest)
  }

  fileprivate var json: JSONValue {
    switch self {
    case .archive(let root, let generation):
      ["generation": JSONValue(generation), "kind": "archive", "root": .string(root.hexadecimal)]
    case .expert(let name, let section, let shared):
      [
        "expert": .string(name), "kind": "expert", "section": .string(section.hexadecimal),
        "shared": .string(shared.hexadecimal),
      ]
    case .checkpoint(let tensors): ["kind": "checkpoint", "tensors": .string(tensors.hexadecimal)]
    }
  }

  /// The bytes that are signed (TMP-12-2).
  package var message: [UInt8] { Array("tmpack-signature-1\n".utf8) + json.canonicalText }

  fileprivate init(json: JSONValue) throws(StorageError) {
    let object = try json.asObject("a statement")
    func digest(_ name: String) throws(StorageError) -> ContentDigest {
      guard let digest = ContentDigest(hexadecimal: try object.required(name, of: "a statement").asString(name)) else {
        throw StorageError(.malformed, "a statement's \(name) is no digest")
      }
      return digest
    }
    switch try object.required("kind", of: "a statement").asString("the kind of a statement") {
    case "archive":
      try object.allowOnly(["generation", "kind", "root"], in: "a statement")
      let generation = try object.required("generation", of: "a statement").asCount("the generation")
      self = .archive(root: try digest("root"), generation: UInt64(generation))
    case "expert":
      try object.allowOnly(["expert", "kind", "section", "shared"], in: "a statement")
      let name = try object.required("expert", of: "a statement").asString("the expert")
      self = .expert(name: name, section: try digest("section"), shared: try digest("shared"))
    case "checkpoint":
      try object.allowOnly(["kind", "tensors"], in: "a statement")
      self = .checkpoint(tensors: try digest("tensors"))
    case let kind: throw StorageError(.unsupportedFeature, "has a statement of the kind \"\(kind)\"")
    }
  }
}

/// A statement with a signature. Whether the signature is good is not known yet.
package struct SignatureEntry: Sendable, Equatable {
  package let statement: SignedStatement
  package let key: Ed25519.PublicKey
  private let signature: [UInt8]

  /// - Throws: `inputOutput` when the system's library fails.
  package init(_ statement: SignedStatement, by key: Ed25519.PrivateKey) throws(StorageError) {
    guard let signature = key.sign(statement.message) else {
      throw StorageError(.inputOutput, "the system's library cannot sign with Ed25519")
    }
    (self.statement, self.key, self.signature) = (statement, key.publicKey, signature)
  }

  package var isGood: Bool { key.verifies(signature, of: statement.message) }

  fileprivate init(json: JSONValue) throws(StorageError) {
    let object = try json.asObject("a signature")
    try object.allowOnly(["key", "signature", "statement"], in: "a signature")
    func bytes(_ name: String) throws(StorageError) -> [UInt8] {
      guard let bytes = Base64.bytes(try object.required(name, of: "a signature").asString(name).utf8) else {
        throw StorageError(.malformed, "a signature's \(name) is not in base64")
      }
      return bytes
    }
    guard let key = Ed25519.PublicKey(bytes: try bytes("key")) else {
      throw StorageError(.malformed, "a signature's key has not 32 bytes")
    }
    self.key = key
    signature = try bytes("signature")
    statement = try SignedStatement(json: try object.required("statement", of: "a signature"))
  }

  fileprivate var json: JSONValue {
    ["key": .string(Base64.text(key.bytes)), "signature": .string(Base64.text(signature)), "statement": statement.json]
  }
}

/// A file of signatures beside what is signed (TMP-12-3).
package struct SignatureFile: Sendable {
  package static let format = "tmpack-signatures"
  private static let version = 1
  private static let mostBytes = 4 << 20
  private static let mostEntries = 10_000

  package private(set) var entries: [SignatureEntry] = []

  package init() {}

  /// Where the signatures of a file or folder are, unless somebody says otherwise.
  package static func defaultPath(of path: String) -> String {
    var trimmed = path[...]
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
    return trimmed + ".sig"
  }

  /// - Throws: `unknownFormat` for another file, `unsupportedVersion`, `malformed`, `limitExceeded`; what the system says.
  package init(contentsOf path: String) throws(StorageError) {
    entries = try located(file: path) { () throws(StorageError) in
      let file = try ReadableFile.ofText(path, atMost: Self.mostBytes, "the size of a file of signatures")
      try Limits.check(file.size, atMost: Self.mostBytes, "the size of a file of signatures")
      guard let value = try? JSONValue(parsing: file.bytes(at: 0, count: Int(file.size))),
        case .object(let object) = value, object["format"] == .string(Self.format)
      else { throw StorageError(.unknownFormat, "is no file of signatures of tmpack sign") }
      let version = try object.required("version", of: "signatures").asCount("the version")
      guard version == Self.version else {
        throw StorageError(
          .unsupportedVersion, "has signatures of version \(version); this build reads \(Self.version)")
      }
      try object.allowOnly(["format", "signatures", "version"], in: "signatures")
      let list = try object.required("signatures", of: "signatures").asArray("the signatures")
      try Limits.check(list.count, atMost: Self.mostEntries, "the number of signatures")
      return try list.map { json throws(StorageError) in try SignatureEntry(json: json) }
    }
  }

  /// Adds a signature; the same signer's of the same kind of statement are replaced (TMP-12-4).
  package mutating func add(_ entry: SignatureEntry) {
    entries.removeAll { $0.key == entry.key && $0.statement.isAbout(entry.statement) }
    entries.append(entry)
  }

  package var text: [UInt8] {
    let json: JSONValue = [
      "format": .string(Self.format), "signatures": .array(entries.map(\.json)), "version": JSONValue(Self.version),
    ]
    return Array(json.prettyText.utf8) + [UInt8(ascii: "\n")]
  }

  package func write(to path: String) throws(StorageError) {
    let file = try AtomicFile(path, replacing: true)
    try file.write(text)
    try file.commit()
  }

  // MARK: Checking

  /// Throws unless a key has signed a statement (TMP-12-5).
  ///
  /// - Throws: `signatureMismatch`, saying what the key has signed instead, if anything.
  package func check(_ statement: SignedStatement, by key: Ed25519.PublicKey, named name: String) throws(StorageError) {
    let own = entries.filter { $0.key == key }
    for entry in own where entry.statement == statement {
      guard entry.isGood else { throw StorageError(.signatureMismatch, "the signature of \(name) is not that key's") }
      return
    }
    guard let other = own.first(where: { $0.statement.isAbout(statement) && $0.isGood }) else {
      throw StorageError(.signatureMismatch, "there is no signature of \(name)")
    }
    throw StorageError(.signatureMismatch, "\(name) has signed \(other.statement), and this is \(statement)")
  }
}

extension SignedStatement: Equatable {
  /// By their bytes: names that only look the same are others.
  package static func == (left: Self, right: Self) -> Bool { left.message == right.message }
}

extension SignedStatement: CustomStringConvertible {
  package var description: String {
    switch self {
    case .archive(let root, let generation): "generation \(generation) with the root \(root)"
    case .expert(let name, let section, _): "the expert '\(name)' with the section \(section)"
    case .checkpoint(let tensors): "tensors with the digest \(tensors)"
    }
  }

  /// Whether both say something of the same thing, the same or not.
  fileprivate func isAbout(_ other: SignedStatement) -> Bool {
    switch (self, other) {
    case (.archive, .archive), (.checkpoint, .checkpoint): true
    case (.expert(let name, _, _), .expert(let otherName, _, _)): name.hasSameBytes(as: otherName)
    default: false
    }
  }
}
