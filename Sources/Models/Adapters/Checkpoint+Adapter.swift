import ByteIO
import Checkpoints
import TensorKit

extension Checkpoint {
  /// Opens a checkpoint, or an adapter together with the base that it is for.
  ///
  /// ```swift
  /// let base = try Checkpoint.open("llama")
  /// let math = try Checkpoint.open("math-lora", onBase: base.source)  // the merged model
  /// ```
  ///
  /// `base+adapter`, as mergekit writes it, is a base with an adapter where there is no such path.
  ///
  /// - Parameter base: asked for only if `path` is a folder with an adapter and nothing else; nil if there is none.
  /// - Throws: `invalidArgument` for an adapter without a base; what `LoRAAdapter`, `AdaptedSource` and `open` throw.
  public static func open(
    _ text: String, onBase base: @autoclosure () throws(StorageError) -> (any TensorSource)?,
    mode: InputMode = .automatic
  ) throws(StorageError) -> Checkpoint {
    if FileTree.kind(of: text) == nil, let sides = baseAndAdapter(text) {
      let base = try open(sides.base, mode: mode)
      let adapted = try open(sides.adapter, onBase: base.source, mode: mode)
      return Checkpoint(
        path: base.path, layout: base.layout, source: adapted.source,
        weightFiles: base.weightFiles + adapted.weightFiles,
        carriedFiles: base.carriedFiles, skippedFiles: base.skippedFiles)
    }
    let path = try HubCache.path(of: text)
    guard LoRAAdapter.isAdapter(path) else { return try open(path, mode: mode) }
    let adapter = try LoRAAdapter(path, mode: mode)
    guard let base = try base() else {
      let hint = adapter.configuration.baseModelName.map { " (\($0))" } ?? ""
      throw StorageError(
        .invalidArgument, "is an adapter; give the model that it is for\(hint) with --base", file: path)
    }
    try Quantization(of: base).refuse("changed by an adapter")
    return Checkpoint(
      path: path, layout: .folder, source: try AdaptedSource(adapter, on: base), weightFiles: adapter.weightFiles,
      carriedFiles: adapter.carriedFiles, skippedFiles: adapter.skippedFiles)
  }
}
