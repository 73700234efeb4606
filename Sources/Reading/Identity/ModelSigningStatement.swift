import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackJSON
import TMPackParallel

/// What OpenSSF model signing signs of a file or folder: an in-toto statement with the digest of every file, of the predicate
/// `https://model_signing/signature/v1.0` by the method `files`.
///
/// Signed as a DSSE envelope in a Sigstore bundle, it is what `model_signing verify` checks.
package struct ModelSigningStatement: Sendable {
  /// What is no part of a model: as model-signing leaves out by itself.
  private static let ignored = [".git", ".gitattributes", ".github", ".gitignore"]
  /// Folders within folders.
  private static let mostLevels = 64

  /// In the order of their names, component by component.
  package let files: [(name: String, digest: ContentDigest)]
  private let model: String

  /// Reads every file once.
  ///
  /// - Throws: `unsupportedFeature` for a symbolic link, which a statement cannot tell from what it leads to.
  package init(
    of path: String, pipeline: OrderedPipeline = .automatic, progress: (UInt64, UInt64) -> Void = { _, _ in }
  ) throws(StorageError) {
    model = FileTree.lastComponent(path)
    var names: [[String]] = []
    if FileTree.kind(of: path) == .folder {
      try Self.collect(path, [], into: &names)
      names.sort { $0.lexicographicallyPrecedes($1) { $0.precedesInBytes($1) } }
    } else {
      names = [[]]
    }
    let paths = names.map { $0.reduce(path, FileTree.join) }
    var total: UInt64 = 0
    for path in paths { total += try ReadableFile(path, mode: .read).size }
    var done: UInt64 = 0
    var files: [(name: String, digest: ContentDigest)] = []
    let sources = try paths.map { path throws(StorageError) in try ReadableFile(path, mode: .read) }
    try pipeline.digest(sources.map { FileRange($0) }) { index, digest in
      files.append((names[index].isEmpty ? "." : names[index].joined(separator: "/"), digest))
      done += sources[index].size
      progress(done, total)
    }
    self.files = files
  }

  private static func collect(
    _ folder: String, _ parents: [String], into names: inout [[String]]
  ) throws(StorageError) {
    try Limits.check(parents.count, atMost: mostLevels, "the depth of folders")
    for name in try FileTree.names(in: folder) where !(parents.isEmpty && ignored.contains(name)) {
      let path = FileTree.join(folder, name)
      switch FileTree.kind(of: path, followingLinks: false) {
      case .folder: try collect(path, parents + [name], into: &names)
      case .file: names.append(parents + [name])
      case .link:
        throw StorageError(
          .unsupportedFeature, "is a symbolic link, which a statement for model-signing cannot hold", file: path)
      case .other, nil: throw StorageError(.invalidArgument, "is not a regular file", file: path)
      }
    }
  }

  /// Of all digests, in their order: names the model.
  package var rootDigest: ContentDigest { ContentDigest(of: files.flatMap(\.digest.bytes)) }

  /// One line of canonical JSON.
  package var text: [UInt8] {
    let json: JSONValue = [
      "_type": "https://in-toto.io/Statement/v1",
      "subject": [["name": .string(model), "digest": ["sha256": .string(rootDigest.hexadecimal)]]],
      "predicateType": "https://model_signing/signature/v1.0",
      "predicate": [
        "serialization": [
          "method": "files", "hash_type": "sha256", "allow_symlinks": false,
          "ignore_paths": .array(Self.ignored.map { .string($0) }),
        ],
        "resources": .array(
          files.map {
            ["name": .string($0.name), "algorithm": "sha256", "digest": .string($0.digest.hexadecimal)]
          }),
      ],
    ]
    return json.canonicalText + [UInt8(ascii: "\n")]
  }
}
