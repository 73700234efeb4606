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
  /// - Parameter base: asked for only if `path` is a folder with an adapter and nothing else; nil if there is none.
  /// - Throws: `invalidArgument` for an adapter without a base; what `LoRAAdapter`, `AdaptedSource` and `open` throw.
  public static func open(
    _ path: String, onBase base: @autoclosure () throws(StorageError) -> (any TensorSource)?,
    mode: InputMode = .automatic
  ) throws(StorageError) -> Checkpoint {
    guard LoRAAdapter.isAdapter(path) else { return try open(path, mode: mode) }
    let adapter = try LoRAAdapter(path, mode: mode)
    guard let base = try base() else {
      let hint = adapter.configuration.baseModelName.map { " (\($0))" } ?? ""
      throw StorageError(
        .invalidArgument, "is an adapter; give the model that it is for\(hint) with --base", file: path)
    }
    try Quantization(of: base).refuse("changed by an adapter")
    return Checkpoint(
      path: path, layout: .folder, source: try adapted(base, by: adapter), weightFiles: adapter.weightFiles,
      carriedFiles: adapter.carriedFiles, skippedFiles: adapter.skippedFiles)
  }

  /// Under the names of the base on disk, where an adapter's are those in memory.
  private static func adapted(
    _ base: any TensorSource, by adapter: LoRAAdapter
  ) throws(StorageError) -> any TensorSource {
    let names = adapter.updates.map { $0.module + AdaptableModules.weightSuffix }
    guard let view = try base.inMemory(having: names) else { return try AdaptedSource(adapter, on: base) }
    return try AlignedSource(undoing: view, of: AdaptedSource(adapter, on: AlignedSource(base, view)))
  }
}
