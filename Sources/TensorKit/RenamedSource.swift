import TMPackByteIO

/// A rule for new names: `PATTERN=NAME`. Each `*` of the pattern takes any run of characters, the first ones as short
/// as can be, and the same `*` of the name stands for it; everything else is meant as it stands.
///
/// `module.*=*` takes a prefix away, `layers.*.w=blocks.*.weight` changes two parts at once.
package struct RenamingRule: Sendable, Hashable {
  package let text: String
  /// What stands between the stars.
  private let pattern: [[UInt8]]
  private let name: [[UInt8]]

  /// - Throws: `invalidArgument` without a `=`, or for a name with more stars than its pattern.
  package init(parsing text: String) throws(StorageError) {
    guard let equals = text.firstIndex(of: "=") else {
      throw StorageError(.invalidArgument, "the renaming \"\(text)\" is not PATTERN=NAME")
    }
    func parts(_ text: Substring) -> [[UInt8]] {
      text.split(separator: "*", omittingEmptySubsequences: false).map { Array($0.utf8) }
    }
    pattern = parts(text[..<equals])
    name = parts(text[text.index(after: equals)...])
    self.text = text
    guard name.count <= pattern.count else {
      throw StorageError(.invalidArgument, "the name in \"\(text)\" has more stars than its pattern")
    }
  }

  /// The new name; nil when the pattern does not fit.
  package func newName(of old: String) -> String? {
    var rest = Array(old.utf8)[...]
    guard rest.starts(with: pattern[0]) else { return nil }
    rest = rest.dropFirst(pattern[0].count)
    guard pattern.count > 1 else { return rest.isEmpty ? joined([]) : nil }
    var taken: [ArraySlice<UInt8>] = []
    for part in pattern[1..<pattern.count - 1] {
      guard let place = rest.indices.first(where: { rest[$0...].starts(with: part) }) else { return nil }
      taken.append(rest[..<place])
      rest = rest[(place + part.count)...]
    }
    let last = pattern[pattern.count - 1]
    guard rest.count >= last.count, rest.suffix(last.count).elementsEqual(last) else { return nil }
    taken.append(rest.dropLast(last.count))
    return joined(taken)
  }

  private func joined(_ taken: [ArraySlice<UInt8>]) -> String {
    var bytes = name[0]
    for (part, run) in zip(name.dropFirst(), taken) { bytes += run + part }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Another source with other names for its tensors.
///
/// A member of the metadata whose value is the name of a tensor is an alias of it, as `save_model` of safetensors notes them: both
/// its names become new.
package struct RenamedSource: TensorSource {
  package let tensors: [TensorInfo]
  package let typedMetadata: TypedMetadata
  package let ties: [String: String]
  /// How many names are new.
  package let renamedCount: Int
  private let source: any TensorSource
  /// The source's infos, in the order of `tensors`.
  private let originals: [TensorInfo]

  /// Each tensor is renamed by the first rule that fits its name.
  ///
  /// - Throws: `invalidArgument` when two tensors would have one name, or a rule fits none.
  package init(_ source: any TensorSource, by rules: [RenamingRule]) throws(StorageError) {
    var unused = Set(rules)
    try self.init(source) { old in
      for rule in rules {
        if let new = rule.newName(of: old) {
          unused.remove(rule)
          return new
        }
      }
      return old
    }
    if let rule = rules.first(where: unused.contains) {
      throw StorageError(.invalidArgument, "no tensor is renamed by \"\(rule.text)\"", file: source.label)
    }
  }

  /// Each tensor is called what `newName` makes of its name.
  ///
  /// - Throws: `invalidArgument` when two tensors would have one name.
  package init(_ source: any TensorSource, newName: (String) -> String) throws(StorageError) {
    var renamed: [(info: TensorInfo, original: TensorInfo)] = []
    // By bytes: names in two Unicode spellings are two names.
    var names: [ExactString: String] = [:]
    var count = 0
    for info in source.tensors {
      let name = newName(info.name)
      if !name.hasSameBytes(as: info.name) { count += 1 }
      names[ExactString(info.name)] = name
      renamed.append((try TensorInfo(name: name, dtype: info.dtype, shape: info.shape), info))
    }
    renamed.sort { $0.info.name.precedesInBytes($1.info.name) }
    for (left, right) in zip(renamed, renamed.dropFirst()) where left.info.name.hasSameBytes(as: right.info.name) {
      throw StorageError(
        .invalidArgument, "would be the name of both \(left.original.name) and \(right.original.name)",
        file: source.label, tensor: left.info.name)
    }
    tensors = renamed.map(\.info)
    originals = renamed.map(\.original)
    func new(_ old: String) -> String { names[ExactString(old)] ?? old }
    ties = source.ties.reduce(into: [:]) { ties, tie in ties[new(tie.key)] = new(tie.value) }
    typedMetadata = try TypedMetadata(
      entries: source.typedMetadata.entries.map { entry in
        guard case .string(let name) = entry.value, let own = names[ExactString(name)] else { return entry }
        return .init(key: newName(entry.key), value: .string(own))
      })
    renamedCount = count
    self.source = source
  }

  package var metadata: [String: String] { typedMetadata.strings }
  package var label: String { source.label }
  package var notes: [String] { source.notes }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(original(info), into: destination)
  }

  package func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try source.bytes(of: original(info)) }

  package func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try source.piece(range, of: original(info))
  }

  package func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? { try source.stored(original(info)) }

  package func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? { try source.spanned(original(info)) }

  private func original(_ info: TensorInfo) throws(StorageError) -> TensorInfo { originals[try place(of: info)] }
}
