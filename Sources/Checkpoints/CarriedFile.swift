import TMPackByteIO

/// A file of a model folder that holds no weights and travels with them: `config.json`, a tokenizer, a licence.
public struct CarriedFile: Sendable, Hashable {
  /// Its path in the folder.
  public let name: CarriedFileName
  /// Where it is now, or the file that it was made from.
  public let path: String
  public let size: UInt64
  /// What it is to be where it is not as it lies in the folder.
  private let changed: [UInt8]?

  init(name: CarriedFileName, path: String, size: UInt64) {
    (self.name, self.path, self.size, changed) = (name, path, size, nil)
  }

  /// A file whose content is not that on disk.
  ///
  /// - Parameters:
  ///   - name: in the folder that it goes to.
  ///   - path: of the file that the bytes were made from.
  ///   - bytes: the content.
  public init(name: CarriedFileName, path: String, changedTo bytes: [UInt8]) {
    (self.name, self.path, size, changed) = (name, path, UInt64(bytes.count), bytes)
  }
}

/// A file of a model folder that stays behind.
public struct SkippedFile: Sendable, Hashable {
  public enum Reason: String, Sendable, CaseIterable {
    case hidden = "its name begins with a dot"
    case weights = "it holds weights that are not the checkpoint's"
    case link = "it is a link"
    case notRegular = "it is no regular file"
    case unusualName = "its name is not portable"
    case tooLarge = "it is too large to be carried"
    case tooMany = "there are too many files"
    case tooDeep = "it is nested too deeply"
  }

  /// Its path in the folder.
  public let name: String
  public let reason: Reason
}

extension Checkpoint {
  /// Paths of files of the folder that hold weights and are no part of the checkpoint: what is said of it is not said of them.
  package var otherWeightFiles: [String] {
    skippedFiles.filter { $0.reason == .weights }.map { FileTree.join(path, $0.name) }
  }

  /// What of the folder does not go where the checkpoint goes, and why: a sentence each.
  ///
  /// - Parameter withFiles: whether the carried files go along; otherwise only weights are missed.
  public func skippedNotes(withFiles: Bool = true) -> [String] {
    skippedFiles.filter { withFiles || $0.reason == .weights }.map {
      "\(FileTree.join(path, $0.name)) stays behind: \($0.reason.rawValue)"
    }
  }
}

/// What to write for a carried file; its bytes are asked for when their turn comes.
public struct CarriedContent: Sendable {
  public let name: CarriedFileName
  public let bytes: @Sendable () throws(StorageError) -> [UInt8]

  public init(_ name: CarriedFileName, bytes: @escaping @Sendable () throws(StorageError) -> [UInt8]) {
    self.name = name
    self.bytes = bytes
  }
}

extension CarriedFile {
  /// The file's bytes, read when asked.
  public var content: CarriedContent {
    CarriedContent(name) { [path, size, changed] () throws(StorageError) in
      if let changed { return changed }
      let file = try ReadableFile(path, mode: .read)
      guard file.size == size else {
        throw StorageError(.inputOutput, "changed while it was in use", file: path)
      }
      return try file.bytes(at: 0, count: Int(size))
    }
  }
}
