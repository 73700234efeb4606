import TMPackByteIO
import TMPackJSON

/// `modules.json` of a folder of sentence-transformers: the networks that a text goes through, one after the other.
///
/// `[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {…, "path": "2_Dense"}]`:
/// the path is that of the module's folder, empty for the folder itself.
struct ModuleList: Sendable {
  static let fileName = "modules.json"
  /// Of a router: `{"types": {"query_0_Transformer": "sentence_transformers.models.Transformer", …}, …}` names the folders of its
  /// modules beside it.
  static let routerFileName = "router_config.json"

  /// Paths of the modules' folders, without the folder itself, in the order of the file.
  private(set) var folders: [String]
  /// Whether one of the modules is the folder itself.
  private let hasRoot: Bool

  /// Nil for what is no such list: other programs have files of this name, too.
  ///
  /// - Throws: `malformed` for a path that leads out of the folder.
  init?(parsing text: UnsafeRawBufferPointer) throws(StorageError) {
    guard case .array(let modules)? = try? JSONValue(parsing: text) else { return nil }
    var folders: [String] = []
    var hasRoot = false
    for module in modules {
      guard case .object(let members) = module, case .string(var path)? = members["path"] else { return nil }
      while path.hasSuffix("/") { path.removeLast() }
      if path.isEmpty { hasRoot = true } else { folders.append(try CarriedFileName(path).text) }
    }
    (self.folders, self.hasRoot) = (folders, hasRoot)
  }

  /// Adds the modules of a router that is the folder itself.
  ///
  /// - Throws: `malformed` for a path that leads out of the folder.
  mutating func addRoutes(parsing text: UnsafeRawBufferPointer) throws(StorageError) {
    guard hasRoot, case .object(let members)? = try? JSONValue(parsing: text),
      case .object(let types)? = members["types"]
    else { return }
    for module in types.members { folders.append(try CarriedFileName(module.name).text) }
  }

  /// Of a model's folder; nil where it has no such list.
  init?(in folder: String, _ names: [String]) throws(StorageError) {
    func withText<Result>(
      of name: String, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
      guard names.contains(name) else { return nil }
      let path = FileTree.join(folder, name)
      let file = try ReadableFile(path, mode: .read)
      guard file.size <= Limits.carriedFileBytes else { return nil }
      return try located(file: path) { () throws(StorageError) in
        try file.withBytes(at: 0, count: Int(file.size), body)
      }
    }
    let own = try withText(of: Self.fileName) { text throws(StorageError) in try ModuleList(parsing: text) }
    guard var list = own ?? nil else { return nil }
    _ = try withText(of: Self.routerFileName) { text throws(StorageError) in try list.addRoutes(parsing: text) }
    self = list
  }
}
