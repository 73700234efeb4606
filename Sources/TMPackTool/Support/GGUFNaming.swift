import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackLlamaCpp
import TMPackTensorKit

/// What the tensors of a GGUF file are called.
enum GGUFNaming: String, ExpressibleByArgument, CaseIterable {
  /// As llama.cpp has it, where it can run the model.
  case llamaCpp = "llama.cpp"
  case keep
}

/// A source as the format of its output wants it, and what there is to say of that.
struct FormattedSource {
  let source: any TensorSource
  let notes: [String]
  /// Whether it is what llama.cpp runs.
  let isRunnable: Bool
  /// Names of the source's tensors that one of these is made of.
  private(set) var originals: @Sendable (String) -> [String] = { [$0] }

  /// Whether a tensor follows a dtype that is asked for.
  func isConverted(_ info: TensorInfo) -> Bool { !isRunnable || !RunnableModel.isKeptInFull(info) }

  /// - Parameters:
  ///   - isWhole: whether it has all tensors of its model.
  ///   - remedy: what to do where llama.cpp cannot run the model.
  init(
    _ source: any TensorSource, for format: WritableFormat, files: [CarriedContent], _ naming: GGUFNaming?,
    isWhole: Bool = true, remedy: String? = nil
  ) throws(StorageError) {
    let hasMetadata = files.contains { $0.name.text == GGUFMetadataFile.name }
    guard format == .gguf, naming != .keep, !hasMetadata, source.typedMetadata["general.architecture"] == nil else {
      self.source = try format.described(source, by: files)
      // One that llama.cpp ran stays so.
      (notes, isRunnable) = ([], format == .gguf && source.tensor(named: "token_embd.weight") != nil)
      return
    }
    if isWhole, let model = try Self.runnable(source, files, remedy) {
      self.source = model.source
      (notes, isRunnable) = (model.notes, true)
      originals = model.originals
      return
    }
    self.source = try format.described(source, by: files)
    isRunnable = false
    notes =
      isWhole
      ? [try RunnableModel.noteOfStorage(files)]
      : ["tensors keep their names, and llama.cpp will not run the file: these are not all of a model"]
  }

  private static func runnable(
    _ source: any TensorSource, _ files: [CarriedContent], _ remedy: String?
  ) throws(StorageError) -> RunnableModel? {
    do { return try RunnableModel(source, files: files) } catch {
      guard let remedy, [.unsupportedFeature, .malformed, .shapeMismatch].contains(error.code) else { throw error }
      throw StorageError(
        error.code, "\(error.message); \(remedy)", file: error.file ?? source.label, offset: error.offset,
        tensor: error.tensor)
    }
  }
}
