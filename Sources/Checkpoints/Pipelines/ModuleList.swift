import TMPackByteIO
import TMPackJSON

/// `modules.json` of a folder of sentence-transformers: the networks that a text goes through, one after the other.
///
/// `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {…, "path": "2_Dense"}]`:
/// the path is that of the module's folder, empty for the folder itself.
struct ModuleList: Sendable {
  static let fileName = "modules.json"

  /// Paths of the modules' folders, without the folder itself, in the order of the file.
  let folders: [String]

  /// Nil for what is no such list: other programs have files of this name, too.
  ///
  /// - Throws: `malformed` for a path that leads out of the folder.
  init?(parsing text: UnsafeRawBufferPointer) throws(StorageError) {
    guard case .array(let modules)? = try? JSONValue(parsing: text) else { return nil }
    var folders: [String] = []
    for module in modules {
      guard case .object(let members) = module, case .string(var path)? = members["path"] else { return nil }
      while path.hasSuffix("/") { path.removeLast() }
      if !path.isEmpty { folders.append(try CarriedFileName(path).text) }
    }
    self.folders = folders
  }

  init?(contentsOf path: String) throws(StorageError) {
    let file = try ReadableFile(path, mode: .read)
    guard file.size <= Limits.carriedFileBytes else { return nil }
    let list = try located(file: path) { () throws(StorageError) in
      try file.withBytes(at: 0, count: Int(file.size)) { text throws(StorageError) in try ModuleList(parsing: text) }
    }
    guard let list else { return nil }
    self = list
  }
}
