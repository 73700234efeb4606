import TMPackByteIO

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The folder in which Hugging Face's libraries keep the models that they fetched: `models--OWNER--NAME` for each, with
/// `refs/REVISION`, a file with a commit's name, and `snapshots/COMMIT`, a folder with the files. Nothing is fetched here.
package enum HubCache {
  /// Where it is, as those libraries look for it; nil where no variable and no home says.
  private static var folder: String? {
    if let own = variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE") { return own }
    if let home = variable("HF_HOME") { return FileTree.join(home, "hub") }
    if let cache = variable("XDG_CACHE_HOME") { return FileTree.join(cache, "huggingface/hub") }
    return variable("HOME").map { FileTree.join($0, ".cache/huggingface/hub") }
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// What a path or a hub's name of a model, `OWNER/NAME` or `OWNER/NAME@REVISION`, stands for: the path if something is
  /// there, or else the snapshot.
  ///
  /// - Throws: `notFound` for what looks like a hub's name, is no path, and is not in the cache.
  package static func path(of text: String) throws(StorageError) -> String {
    guard FileTree.kind(of: text, followingLinks: false) == nil, let (name, revision) = hubName(text) else {
      return text
    }
    let command = "hf download \(name)" + (revision.map { " --revision \($0)" } ?? "")
    guard let folder else {
      throw StorageError(
        .notFound, "is neither a path nor a model in Hugging Face's cache: \(command) fetches it", file: text)
    }
    let model = FileTree.join(folder, "models--" + name.split(separator: "/").joined(separator: "--"))
    let snapshots = FileTree.join(model, "snapshots")
    let wanted = revision ?? "main"
    let reference = FileTree.join(FileTree.join(model, "refs"), wanted)
    let commit = (try? ReadableFile(reference)).flatMap { file -> String? in
      guard file.size <= 256, let bytes = try? file.bytes(at: 0, count: Int(file.size)) else { return nil }
      return String(validating: bytes, as: UTF8.self)
    }
    for candidate in [commit, wanted].compactMap({ $0 }) {
      let word = String(candidate.split(whereSeparator: \.isWhitespace).first ?? "")
      let snapshot = FileTree.join(snapshots, word)
      if isWord(word), FileTree.kind(of: snapshot) == .folder { return snapshot }
    }
    throw StorageError(
      .notFound, "is neither a path nor a model in Hugging Face's cache, \(folder): \(command) fetches it", file: text)
  }

  /// The name of the model whose snapshot a folder is, or a file in one: `models--OWNER--NAME/snapshots/COMMIT`.
  package static func modelName(ofSnapshot path: String) -> String? {
    let parts = path.split(separator: "/")
    guard let place = parts.lastIndex(of: "snapshots"), place > 0, parts.count > place + 1,
      parts[place - 1].hasPrefix("models--")
    else { return nil }
    let name = lastPart(of: parts[place - 1].dropFirst("models--".count))
    return name.isEmpty ? nil : name
  }

  /// What is behind the last `--`.
  private static func lastPart(of text: Substring) -> String {
    var rest = text
    var found = text
    while let range = rest.firstRange(of: "--") {
      rest = rest[range.upperBound...]
      found = rest
    }
    return String(found)
  }

  private static func hubName(_ text: String) -> (name: String, revision: String?)? {
    let sides = text.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
    let parts = sides[0].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard sides.count <= 2, parts.count == 2, parts.allSatisfy(isWord), sides.count == 1 || !sides[1].isEmpty,
      !looksLikeFile(parts[1])
    else { return nil }
    return (sides[0], sides.count == 2 ? sides[1] : nil)
  }

  private static func looksLikeFile(_ name: String) -> Bool {
    [".safetensors", ".bin", ".pt", ".pth", ".gguf", ".npz", ".npy", ".ckpt", ".json", ".tmpack", ".yaml", ".yml"]
      .contains { name.hasSuffix($0) }
  }

  /// Of the letters that names on the hub have.
  private static func isWord(_ text: String) -> Bool {
    !text.isEmpty && !text.hasPrefix(".")
      && text.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
          || [45, 46, 95].contains(byte)
      }
  }
}
