import TMPackByteIO
import TMPackCheckpoints
import TMPackMerging
import TMPackTensorKit

extension MergeRecipe {
  /// The recipe's models as they are merged: all in one dtype, the widest, where they are of several.
  ///
  /// - Parameters:
  ///   - base: opened; nil if the recipe names none.
  ///   - experts: the recipe's models, opened, in its order.
  ///   - dtype: of what is merged; nil for the base's.
  /// - Throws: `invalidArgument` for models of several dtypes and no dtype to merge them to; `unsupportedFeature` for
  ///   models with different tokenizers, if the recipe asks for the base's.
  package func inputs(
    base: Checkpoint?, experts: [ExpertInput], dtype: ConversionFormat?
  ) throws(StorageError) -> (base: Checkpoint?, experts: [ExpertInput]) {
    let models = [base].compactMap { $0 } + experts.map(\.checkpoint)
    if needsOneTokenizer { try Self.checkTokenizers(models) }
    guard let first = models.first, let other = Self.otherDType(models) else { return (base, experts) }
    guard dtype != nil else {
      throw StorageError(
        .invalidArgument,
        "the models are of different dtypes, \(other.first.rawValue) and \(other.second.rawValue): which has the merged model?",
        file: first.path
      ).with(.chooseDType)
    }
    let isDouble = models.contains { $0.source.tensors.contains { $0.dtype == .f64 } }
    let format = isDouble ? ConversionFormat.f64 : .f32
    return (
      try base?.converted(to: format),
      try experts.map { expert throws(StorageError) in
        try ExpertInput(
          name: expert.name, checkpoint: expert.checkpoint.converted(to: format), statistics: expert.statistics)
      }
    )
  }

  /// Two dtypes of floats of which models have one tensor.
  private static func otherDType(_ models: [Checkpoint]) -> (first: DType, second: DType)? {
    guard let first = models.first else { return nil }
    for info in first.source.tensors where info.dtype.floatFormat != nil {
      for model in models.dropFirst() {
        guard let own = model.source.tensor(named: info.name), own.dtype != info.dtype, own.dtype.floatFormat != nil
        else { continue }
        return (info.dtype, own.dtype)
      }
    }
    return nil
  }

  private static let tokenizerFiles = [
    "tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "added_tokens.json",
  ]

  /// Refuses models whose tokens are not the first's: their embeddings' rows would have to be mapped.
  private static func checkTokenizers(_ models: [Checkpoint]) throws(StorageError) {
    guard let base = models.first else { return }
    for model in models.dropFirst() {
      for name in tokenizerFiles {
        guard let own = try model.content(of: name), let first = try base.content(of: name), own != first else {
          continue
        }
        throw StorageError(
          .unsupportedFeature,
          "differs from the base's \(name): tokens cannot be mapped from model to model, so 'tokenizer_source: base' is for models that share its tokenizer",
          file: FileTree.join(model.path, name))
      }
    }
  }
}

extension Checkpoint {
  fileprivate func converted(to format: ConversionFormat) throws(StorageError) -> Checkpoint {
    Checkpoint(
      path: path, layout: layout, source: try ConvertedSource(source, to: format), weightFiles: weightFiles,
      carriedFiles: carriedFiles, skippedFiles: skippedFiles, stamps: stamps)
  }

  fileprivate func content(of name: String) throws(StorageError) -> [UInt8]? {
    guard let file = carriedFiles.first(where: { $0.name.text == name }) else { return nil }
    return try file.content.bytes()
  }
}
