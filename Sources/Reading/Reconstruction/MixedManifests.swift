import TMPackArchiveFormat
import TMPackByteIO
import TMPackTensorKit

/// The manifests of the shared model and of the experts of a mix, and the rules by which they give its tensors (TMP-7).
struct MixedManifests: Sendable {
  let shared: SharedManifest
  private let selection: [WeightedExpert]
  private let manifests: [ExpertManifest]
  private let ties: MixTies
  private let isExact: Bool

  /// - Parameters:
  ///   - selection: by position, weights not 0.
  ///   - manifests: of the selection.
  ///   - isExact: of one expert of weight 1 with corrections, give its own tensors.
  init(_ shared: SharedManifest, _ selection: [WeightedExpert], _ manifests: [ExpertManifest], isExact: Bool) {
    self.shared = shared
    self.selection = selection
    self.manifests = manifests
    self.isExact = isExact
    ties = MixTies(shared: shared, manifests: manifests)
  }

  /// The tensors of which some expert has none, or one that need not be of the shared tensor's dtype and shape.
  var namesUnlikeShared: Set<ExactString> {
    Set(manifests.lazy.flatMap { $0.absent + $0.unlikeShared }.map { ExactString($0) })
  }

  /// nil where the mix has no tensor of that name.
  func recipe(named name: String) throws(StorageError) -> Mix.Recipe? {
    if let base = shared.entry(named: name) { try recipe(base) } else { try recipe(freshTensor: name) }
  }

  /// TMP-7-2 to TMP-7-4 and TMP-7-10 for a tensor of the shared model; nil when no expert of the selection has it.
  private func recipe(_ base: SharedEntry) throws(StorageError) -> Mix.Recipe? {
    guard !selection.isEmpty else { return .shared(base) }
    let name = base.info.name
    // Which entry counts for the tensor: its own, or that of the tensor that an expert has in its place (TMP-7-15).
    let names = selection.indices.map { manifests[$0].lacks(name) ? ties.partner(of: base, inExpert: $0) : name }
    guard selection.indices.contains(where: { !manifests[$0].lacks(name) }) else { return nil }
    let holders = selection.indices.filter { names[$0] != nil }
    guard let decider = firstHeaviest(holders) else { return nil }
    func entry(_ index: Int) -> ExpertEntry? { manifests[index].entry(named: names[index]!) }
    let isFloat = base.info.dtype.floatFormat != nil
    let aloneAtOne = selection.count == 1 && selection[decider].weight == 1
    let addends = holders.compactMap { index in entry(index).map { (expert: selection[index], entry: $0) } }
      .filter { addend in
        switch addend.entry.factor.kind {
        case .replaced, .quantizedOwn, .common: false
        case .difference: isFloat
        default: true
        }
      }
    guard let own = entry(decider) else { return addends.isEmpty ? .shared(base) : .sum(base, addends) }
    var recipe = addends.isEmpty ? Mix.Recipe.shared(base) : .sum(base, addends)
    switch own.factor.kind {
    case .replaced: return try .exact(selection[decider], own, info: Self.ownInfo(own))
    case .difference where !isFloat || aloneAtOne: recipe = .exact(selection[decider], own, info: base.info)
    default:
      if isExact, aloneAtOne, own.correction != nil { recipe = .corrected(base, selection[decider], own) }
    }
    guard own.extra != nil else { return recipe }
    let info = try TensorInfo(name: name, dtype: base.info.dtype, shape: own.info(against: base.info).shape)
    return .extended(recipe, selection[decider], own, info: info)
  }

  /// A tensor that the shared model lacks: its entry stands by itself (TMP-6-7).
  private func recipe(freshTensor name: String) throws(StorageError) -> Mix.Recipe? {
    let holders = selection.indices.filter { manifests[$0].holds(name) }
    guard let decider = firstHeaviest(holders), let entry = manifests[decider].entry(named: name) else {
      return nil
    }
    let info = try Self.ownInfo(entry)
    if let base = ties.shared(equalTo: entry, info, inExpert: decider) {  // TMP-7-16
      return try recipe(base)
    }
    return .exact(selection[decider], entry, info: info)
  }

  private static func ownInfo(_ entry: ExpertEntry) throws(StorageError) -> TensorInfo {
    guard let own = entry.factor.own else { preconditionFailure("not a tensor that stands by itself") }
    return try TensorInfo(name: entry.name, dtype: own.dtype, shape: own.shape)
  }

  /// The decider (TMP-7-3).
  private func firstHeaviest(_ indices: [Int]) -> Int? {
    indices.max { (selection[$0].weight, $1) < (selection[$1].weight, $0) }
  }
}
