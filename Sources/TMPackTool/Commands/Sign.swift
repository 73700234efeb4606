import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackJSON
import TMPackReading

struct Sign: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign",
    abstract: "Sign an archive, one of its experts, or a checkpoint, with an Ed25519 key.",
    discussion: """
      Examples:
        tmpack sign zoo.tmpack --key team.pem
        tmpack sign zoo.tmpack --key ~/.ssh/id_ed25519 --expert math
        tmpack sign model/ --key team.pem
        tmpack verify zoo.tmpack --signer team.pub

      The signature goes to NAME.sig, beside those of other signers; signing again replaces one's own. An archive is signed \
      with its generation: what is added later needs a new signature. One expert's stays good whatever is added.
      Keys: openssl genpkey -algorithm ed25519, or ssh-keygen -t ed25519, without a passphrase.
      """)

  @Argument(help: ArgumentHelp("An archive or a checkpoint.", valueName: "path"))
  var path: String

  @Option(help: ArgumentHelp("The private key: PEM or OpenSSH.", valueName: "path"))
  var key: String

  @Option(help: ArgumentHelp("Sign this expert of the archive alone.", valueName: "name"))
  var expert: String?

  @Option(help: ArgumentHelp("The file of signatures (default: NAME.sig).", valueName: "path"))
  var signatures: String?

  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let key = try KeyFile.privateKey(key)
    let output = signatures ?? SignatureFile.defaultPath(of: path)
    var file = SignatureFile()
    if FileTree.kind(of: output) != nil { file = try SignatureFile(contentsOf: output) }
    let statement = try self.statement()
    file.add(try SignatureEntry(statement, by: key))
    try file.write(to: output)
    if reporting.json {
      return Console.result([
        "signed": .string(path), "signatures": .string(output), "signatures_count": JSONValue(file.entries.count),
        "key": .string(Base64.text(key.publicKey.bytes)), "statement": .string(statement.description),
      ])
    }
    Console.result("\(output): \(counted(file.entries.count, "signature")); signed \(statement)")
  }

  private func statement() throws -> SignedStatement {
    if try ArchivePath.isArchive(path) {
      // What is damaged is not to be vouched for.
      let archive = try Archive(path, mode: work.io)
      let report = try reporting.withProgress { show in
        try Verification(archive, pipeline: work.pipeline).run(.full, progress: show)
      }
      if let fault = report.faults.first { throw fault }
      return try SignedStatement(of: archive, expert: expert)
    }
    guard expert == nil else {
      throw StorageError(.invalidArgument, "is no archive, and has no experts to sign", file: path)
    }
    let checkpoint = try Checkpoint.open(path, mode: work.io)
    let digests = try digested(checkpoint, checkingNumbers: false, work, reporting)
    try checkpoint.checkUnchanged()
    return .checkpoint(tensors: digests.tensorsDigest)
  }
}

/// Whose signatures there must be, and what else is known of what is verified.
struct TrustOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Refuse what this public key has not signed: PEM, or lines of OpenSSH. Repeat for several signers, who must all have signed.",
      valueName: "path"))
  var signer: [String] = []

  @Option(help: ArgumentHelp("The file of signatures (default: NAME.sig).", valueName: "path"))
  var signatures: String?

  @Option(help: ArgumentHelp("With --signer: of this expert alone.", valueName: "name"))
  var signedExpert: String?

  @Option(help: ArgumentHelp("Refuse an archive with another root digest.", valueName: "digest"))
  var expectRoot: String?

  @Option(help: ArgumentHelp("Refuse an older generation of an archive than this one.", valueName: "n"))
  var minGeneration: UInt64?

  var isGiven: Bool { !signer.isEmpty }

  func validate() throws {
    if signer.isEmpty, signatures != nil || signedExpert != nil {
      throw ValidationError("--signatures and --signed-expert belong to --signer.")
    }
    if let expectRoot, ContentDigest(hexadecimal: expectRoot) == nil {
      throw ValidationError("--expect-root takes the 64 hexadecimal digits of a root digest.")
    }
  }

  /// Throws unless an archive is the one expected.
  func check(_ archive: Archive) throws(StorageError) {
    if let expectRoot, archive.rootDigest.hexadecimal != expectRoot {
      throw StorageError(
        .signatureMismatch, "its root is \(archive.rootDigest), not \(expectRoot)", file: archive.path)
    }
    let generation = archive.file.slot.generation
    if let minGeneration, generation < minGeneration {
      throw StorageError(
        .signatureMismatch, "is generation \(generation), older than \(minGeneration)", file: archive.path)
    }
    if isGiven { try check(SignedStatement(of: archive, expert: signedExpert), of: archive.path) }
  }

  /// Throws unless all signers have signed a statement (TMP-12-5).
  func check(_ statement: SignedStatement, of path: String) throws(StorageError) {
    let list = signatures ?? SignatureFile.defaultPath(of: path)
    guard FileTree.kind(of: list) != nil else {
      throw StorageError(.signatureMismatch, "is not signed: there is no \(list)", file: path)
    }
    let file = try SignatureFile(contentsOf: list)
    for signer in signer {
      let keys = try KeyFile.publicKeys(signer)
      for key in keys {
        try located(file: list) { () throws(StorageError) in
          try file.check(statement, by: key, named: keys.count > 1 ? "\(signer) (\(Base64.text(key.bytes)))" : signer)
        }
      }
    }
  }
}

enum ArchivePath {
  // TMP-3-1
  private static let magic: [UInt8] = [0x89, 0x54, 0x4D, 0x50, 0x0D, 0x0A, 0x1A, 0x0A]

  /// Whether a path leads to an archive, by its first bytes; what cannot be read is left to who opens it.
  static func isArchive(_ path: String) throws(StorageError) -> Bool {
    guard FileTree.kind(of: path) == .file else { return false }
    let file = try ReadableFile(path, mode: .read)
    guard file.size >= UInt64(magic.count) else { return false }
    return try file.bytes(at: 0, count: magic.count) == magic
  }

  /// Names of files in a folder that should be archives.
  static func archives(in folder: String) throws(StorageError) -> [String] {
    try FileTree.names(in: folder).filter { $0.hasSuffix(".tmpack") }.sorted()
  }

  /// Says of what is surely no archive what it is, and what was meant perhaps.
  static func check(_ path: String) throws(StorageError) {
    switch FileTree.kind(of: path) {
    case .folder:
      let archives = try archives(in: path)
      let hint =
        archives.isEmpty ? "tmpack pack makes one of models" : "in it are \(archives.prefix(3).joined(separator: ", "))"
      throw StorageError(.invalidArgument, "is a folder, and an archive is one file; \(hint)", file: path)
    case .file where try !isArchive(path) && (try? Checkpoint.open(path, mode: .read)) != nil:
      throw StorageError(
        .unknownFormat, "is a checkpoint, not a tmpack archive; tmpack pack makes one of it and its base", file: path)
    default: break
    }
  }
}
