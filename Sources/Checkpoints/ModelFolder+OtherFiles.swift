import TMPackByteIO

extension ModelFolder {
  /// What is in the folder and its sub-folders besides the weights: what is carried, and what is not and why.
  ///
  /// - Parameter used: paths in the folder of the files that the checkpoint itself consists of.
  static func otherFiles(
    in folder: String, used: Set<String>
  ) throws(StorageError) -> (carried: [CarriedFile], skipped: [SkippedFile]) {
    var walk = Walk(root: folder, used: used)
    try walk.visit(folder, prefix: "", depth: 1)
    return (
      walk.carried.sorted { $0.name < $1.name },
      walk.skipped.sorted { $0.name.precedesInBytes($1.name) }
    )
  }

  private struct Walk {
    let root: String
    let used: Set<String>
    var carried: [CarriedFile] = []
    var skipped: [SkippedFile] = []

    mutating func visit(_ folder: String, prefix: String, depth: Int) throws(StorageError) {
      for name in try FileTree.names(in: folder) where !used.contains(prefix + name) {
        let path = FileTree.join(folder, name)
        let place = prefix + name
        if FileTree.kind(of: path, followingLinks: false) == .folder, !name.hasPrefix(".") {
          if depth < Limits.carriedFileDepth {
            try visit(path, prefix: place + "/", depth: depth + 1)
          } else {
            skipped.append(SkippedFile(name: place, reason: .tooDeep))
          }
        } else if let reason = try self.reason(toSkip: name, at: path) {
          skipped.append(SkippedFile(name: place, reason: reason))
        } else if let safe = try? CarriedFileName(place) {
          try carry(safe, path)
        } else {
          skipped.append(SkippedFile(name: place, reason: .unusualName))
        }
      }
    }

    private mutating func carry(_ name: CarriedFileName, _ path: String) throws(StorageError) {
      let size = try ReadableFile(path, mode: .read).size
      let reason: SkippedFile.Reason? =
        if size > Limits.carriedFileBytes { .tooLarge } else if carried.count == Limits.carriedFiles { .tooMany } else {
          nil
        }
      if let reason {
        skipped.append(SkippedFile(name: name.text, reason: reason))
      } else {
        carried.append(CarriedFile(name: name, path: path, size: size))
      }
    }

    private func reason(toSkip name: String, at path: String) throws(StorageError) -> SkippedFile.Reason? {
      if name.hasPrefix(".") { return .hidden }
      if WeightFileName.isWeights(name) { return .weights }
      switch FileTree.kind(of: path, followingLinks: false) {
      case .file: return nil
      case .link: return isLinkOfHubCache(path) ? nil : .link
      // What was listed a moment ago is found again, unless its name is no UTF-8.
      case nil: return .unusualName
      case .folder, .other: return .notRegular
      }
    }

    /// The cache of Hugging Face's hub is all links from `snapshots/<revision>/` to `blobs/<digest>`. These are
    /// followed, because that is where most models are. Any other link might bring in a file from anywhere.
    private func isLinkOfHubCache(_ path: String) -> Bool {
      guard let target = FileTree.linkTarget(of: path), FileTree.kind(of: path) == .file else { return false }
      var parts = target.split(separator: "/", omittingEmptySubsequences: false)
      guard let digest = parts.popLast(), parts.popLast() == "blobs", parts.count >= 2 else { return false }
      return parts.allSatisfy { $0 == ".." } && !digest.isEmpty && digest.allSatisfy(\.isHexDigit)
    }
  }
}
