import Synchronization
import TMPackByteIO
import TMPackModels

/// What decides how models of an archive are mixed, and does not depend on weights: found out once.
///
/// A model is an expert by position, or the shared one, nil. Safe to use from several threads, which may find out a thing twice.
final class MixingFacts: Sendable {
  private struct Known {
    var configurations: [Int?: QuantizationConfigurations] = [:]
    var haveCodes: [Int?: Bool] = [:]
    var areUnlike: [Int?: Bool] = [:]
    var untied = RecentlyUsed<[Int?], UntiedModels?>(limit: MixingFacts.mostSelections)
  }
  private let known = Mutex(Known())

  /// Of which it is remembered whether their models are to be untied.
  private static let mostSelections = 1024

  /// What the files of a model say of codes.
  func configurations(
    ofExpert position: Int?, files: [MixFile], label: String
  ) throws(StorageError) -> QuantizationConfigurations {
    if let there = known.withLock({ $0.configurations[position] }) { return there }
    let found = try QuantizationConfigurations(in: files.map(\.content), label: label)
    known.withLock { $0.configurations[position] = found }
    return found
  }

  /// Whether a model is made numbers like the shared one's before it is mixed, or converted.
  func mustBeDecoded(
    _ model: Int?, isMixed: Bool, of reconstructor: Reconstructor
  ) throws(StorageError) -> Bool {
    if try hasCodes(model, of: reconstructor) { return true }
    return isMixed ? try isUnlike(model, of: reconstructor) : false
  }

  private func hasCodes(_ model: Int?, of reconstructor: Reconstructor) throws(StorageError) -> Bool {
    if let there = known.withLock({ $0.haveCodes[model] }) { return there }
    let found = try reconstructor.model(ofExpert: model).quantization().hasCodes
    known.withLock { $0.haveCodes[model] = found }
    return found
  }

  /// Whether it has tensors in dtypes or with rows that the shared model's have not.
  private func isUnlike(_ model: Int?, of reconstructor: Reconstructor) throws(StorageError) -> Bool {
    if let there = known.withLock({ $0.areUnlike[model] }) { return there }
    let shared = try reconstructor.mix(.shared)
    let own = try reconstructor.model(ofExpert: model)
    var found = WidenedSource.isNeeded(for: own)
    if !found { found = try MatchedDTypes(own, as: shared.tensors) != nil }
    if !found { found = try PaddedRows(own, toRowsOf: shared) != nil }
    known.withLock { $0.areUnlike[model] = found }
    return found
  }

  /// What models that are mixed lack, because they tie what others do not; nil where all agree.
  func untied(_ models: [Int?], of reconstructor: Reconstructor) throws(StorageError) -> UntiedModels? {
    if let there = known.withLock({ $0.untied.value(for: models) }) { return there }
    let found = try UntiedModels(
      models.map { model throws(StorageError) in try reconstructor.model(ofExpert: model) })
    _ = known.withLock { $0.untied.keep(found, for: models, size: 1) }
    return found
  }
}
