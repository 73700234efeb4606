import TMPackByteIO
import TMPackCheckpoints

extension Checkpoint {
  /// What a model is called when nobody gives it a name: the last component of its path; a file's without its suffix, or
  /// its folder's where all models' files are called so; that of the model, not of the revision, in a cache of hubs; an
  /// adapter's, of `base+adapter`.
  ///
  /// - Parameter path: as `open(_:onBase:mode:)` takes it; nothing needs to be there.
  package static func defaultName(of path: String) -> String {
    if FileTree.kind(of: path) == nil, let (_, adapter) = baseAndAdapter(path) { return defaultName(of: adapter) }
    if let name = HubCache.modelName(ofSnapshot: path) { return name }
    let last = FileTree.lastComponent(path)
    if FileTree.kind(of: path) == .folder { return last }
    if FileTree.kind(of: path) == nil, let at = last.firstIndex(of: "@"), at != last.startIndex {
      return String(last[..<at])
    }
    let stem = last.lastIndex(of: ".").map { String(last[..<$0]) } ?? last
    guard genericStems.contains(stem) else { return stem }
    let folder = FileTree.lastComponent(FileTree.parent(path))
    return folder.isEmpty || folder == "." || folder == ".." || folder == "/" ? stem : folder
  }

  /// What libraries call a file whatever model is in it.
  private static let genericStems: Set<String> = [
    "model", "pytorch_model", "adapter_model", "diffusion_pytorch_model", "pytorch_lora_weights", "consolidated",
    "model_state_dict", "tf_model", "weights",
  ]

  /// The two sides of mergekit's `base+adapter`.
  static func baseAndAdapter(_ text: String) -> (base: String, adapter: String)? {
    let parts = text.split(separator: "+", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    return (String(parts[0]), String(parts[1]))
  }
}
