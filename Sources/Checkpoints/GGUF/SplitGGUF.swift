import TMPackByteIO
import TMPackTensorKit

/// A GGUF model in several files, as llama-gguf-split makes them: `NAME-00001-of-00003.gguf` and so on, each with `split.no` from 0 and
/// `split.count`. The first has the metadata.
struct SplitGGUF {
  let source: any TensorSource
  /// Paths, in their order.
  let files: [String]

  /// What a part's name says: what stands in front, its number from 1, and how many there are.
  private struct Part {
    let stem: Substring
    let number: Int
    let count: Int

    init?(_ name: String) {
      let suffix = ".gguf"
      guard name.hasSuffix(suffix) else { return nil }
      let parts = name.dropLast(suffix.count).split(separator: "-", omittingEmptySubsequences: false)
      guard parts.count > 3, parts[parts.count - 2] == "of", let number = Self.number(parts[parts.count - 3]),
        let count = Self.number(parts[parts.count - 1]), 1...count ~= number
      else { return nil }
      stem = name[..<parts[parts.count - 3].startIndex]
      self.number = number
      self.count = count
    }

    private static func number(_ text: Substring) -> Int? {
      guard text.utf8.count == 5, text.utf8.allSatisfy({ 48...57 ~= $0 }) else { return nil }
      return Int(text)
    }
  }

  /// The first part, where names are those of all parts of one model.
  static func first(amongst names: [String]) -> String? {
    let parts = names.compactMap { name in Part(name).map { (name, $0) } }
    guard parts.count == names.count, let (_, any) = parts.first,
      parts.allSatisfy({ $0.1.stem == any.stem && $0.1.count == any.count })
    else { return nil }
    return parts.first { $0.1.number == 1 }?.0
  }

  /// - Parameter path: of any part.
  /// - Returns: nil for a file that is named otherwise, or does not say that it is a part.
  /// - Throws: `notFound` for a part that is missing; `malformed` for one of another model; what `GGUFFile` throws.
  init?(_ path: String, mode: InputMode) throws(StorageError) {
    guard let part = Part(FileTree.lastComponent(path)), part.count > 1 else { return nil }
    let folder = String(path.dropLast(FileTree.lastComponent(path).count))
    var sources: [GGUFFile] = []
    var files: [String] = []
    func digits(_ number: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: 5 - text.utf8.count) + text
    }
    for number in [part.number] + (1...part.count).filter({ $0 != part.number }) {
      let path = "\(folder)\(part.stem)\(digits(number))-of-\(digits(part.count)).gguf"
      let file = try ReadableFile(path, mode: mode)
      if number == part.number {
        let prefix = try file.bytes(at: 0, count: Int(min(4, file.size)))
        guard prefix == GGUFHeader.magic else { return nil }
      }
      let source = try GGUFFile(file, acceptingParts: true)
      let count = source.typedMetadata[GGUFKey.splitCount]?.text ?? "1"
      if number == part.number, count == "1" || count == "0" { return nil }
      guard count == "\(part.count)", source.typedMetadata[GGUFKey.splitNumber]?.text == "\(number - 1)" else {
        throw StorageError(
          .malformed, "is not part \(number) of \(part.count), as its name says", file: path)
      }
      sources.append(source)
      files.append(path)
    }
    let order = files.indices.sorted { files[$0].precedesInBytes(files[$1]) }
    self.files = order.map { files[$0] }
    var metadata = sources[order[0]].typedMetadata
    let total = metadata[GGUFKey.splitTensors]?.text
    for key in [GGUFKey.splitCount, GGUFKey.splitNumber, GGUFKey.splitTensors] { metadata[key] = nil }
    let joined = try JoinedSource(order.map { sources[$0] })
    if let total, total != "\(joined.tensors.count)" {
      throw StorageError(
        .malformed, "the parts have \(joined.tensors.count) tensors, the first says \(total)", file: self.files[0])
    }
    source = DescribedSource(joined, metadata: metadata)
  }
}
