import TMPackByteIO

/// Which library saved an adapter.
enum AdapterLayout {
  case peft
  /// mlx-lm.
  case mlx
  /// A folder with the file that `save_lora_weights` of diffusers writes.
  case diffusers
  /// A lone file.
  case file

  /// nil for what is no adapter, or is one beside a whole checkpoint that nothing tells to leave.
  init?(of path: String) {
    switch FileTree.kind(of: path) {
    case .folder:
      func has(_ name: String) -> Bool { FileTree.kind(of: FileTree.join(path, name)) == .file }
      if has(AdapterConfiguration.fileName), LoRAAdapter.weightFileNames.contains(where: has) {
        self = .peft
      } else if has(AdapterConfiguration.fileName), has(MLXAdapter.weightFileName) {
        self = .mlx
      } else if LoRAFile.diffusersNames.contains(where: has), !has(PipelineIndex.fileName),
        !has(ModelConfiguration.fileName)
      {
        self = .diffusers
      } else {
        return nil
      }
    case .file:
      // Nobody keeps a lone adapter otherwise; what cannot be read is said when it is opened as a checkpoint.
      guard ComponentFile.format(of: path) != nil, let source = try? CheckpointFormat.open(path, mode: .automatic),
        LoRAFile.isAdapter(source.tensors)
      else { return nil }
      self = .file
    default: return nil
    }
  }
}
