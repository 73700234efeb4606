import TMPackByteIO

/// One of several files that each have some rows or columns of every matrix, as Meta's models of more than one part have them:
/// `consolidated.00.pth`, `consolidated.01.pth`.
enum TensorParallelPart {
  private static let stem = "consolidated."

  /// Throws for a file that is such a part: its tensors look whole, and are not.
  ///
  /// - Throws: `unsupportedFeature`.
  static func refuse(_ path: String) throws(StorageError) {
    guard let number = number(of: FileTree.lastComponent(path)) else { return }
    let folder = FileTree.parent(path)
    let parts = try FileTree.names(in: folder).filter { self.number(of: $0) != nil }
    guard number > 0 || parts.count > 1 else { return }
    throw StorageError(
      .unsupportedFeature,
      "is one of the parts of a tensor-parallel checkpoint (\(parts.joined(separator: ", "))), with a share of every matrix; "
        + "take the model in transformers' layout, or join the parts by its authors' script first", file: path)
  }

  /// The part's number, from 0.
  private static func number(of name: String) -> Int? {
    guard name.hasPrefix(stem), let suffix = name.dropFirst(stem.count).firstIndex(of: ".") else { return nil }
    let digits = name[name.index(name.startIndex, offsetBy: stem.count)..<suffix]
    return digits.allSatisfy { ("0"..."9").contains($0) } ? Int(digits) : nil
  }
}
