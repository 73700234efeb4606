/// Whether the weight of a module is [inputs, outputs], as GPT-2's `Conv1D` has it, where its shape does not tell.
///
/// peft goes by the module's class, and writes `fan_in_fan_out` as the last module that it adapted had it: a `Linear`
/// beside a `Conv1D` makes that false. So, in this order: the architecture, other weights of modules that are called the
/// same, and the configuration, unless other weights belie it.
package struct WeightOrientations {
  private let isOfConv1DModel: Bool
  /// By the last component of modules' names; empty for one that has both.
  private let told: [String: Set<Bool>]
  private let assumed: Bool
  private let isAssumptionSound: Bool
  /// Whether the matrices of stacks, the experts' of a model, are [inputs, outputs]; nil where nothing tells.
  let areStacksTransposed: Bool?

  /// Models with `Conv1D`, of transformers 5.24, and what their modules of that class are called.
  private static let conv1DModels: Set<String> = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp"]
  private static let conv1DNames: Set<String> = ["c_attn", "q_attn", "c_proj", "c_fc"]

  /// Models whose experts' matrices are transposed (`is_transposed`), of transformers 5.24.
  private static let transposedExperts: Set<String> = ["gpt_oss", "aria", "aria_text", "openai_privacy_filter"]

  /// - Parameters:
  ///   - updates: modules whose weights' shapes tell.
  ///   - stacks: what the shapes of stacks tell.
  ///   - assumed: what the adapter's configuration says.
  init(in base: AdapterBase, updates: [(module: String, isTransposed: Bool)], stacks: Set<Bool>, assumed: Bool) {
    areStacksTransposed = stacks.count == 1 ? stacks.first : base.modelType.map(Self.areStacksTransposed)
    isOfConv1DModel = base.modelType.map(Self.conv1DModels.contains) ?? false
    var told: [String: Set<Bool>] = [:]
    for update in updates {
      told[AdaptableModules.lastComponent(update.module), default: []].insert(update.isTransposed)
    }
    // A bias is as long as the outputs.
    for info in base.source.tensors {
      let dimensions = info.shape.dimensions
      guard dimensions.count == 2, dimensions[0] != dimensions[1], let module = AdaptableModules.module(of: info.name),
        let bias = base.source.tensor(named: module + ".bias"), bias.shape.dimensions.count == 1
      else { continue }
      let name = AdaptableModules.lastComponent(module)
      if bias.shape.dimensions == [dimensions[1]] { told[name, default: []].insert(true) }
      if bias.shape.dimensions == [dimensions[0]] { told[name, default: []].insert(false) }
    }
    self.told = told
    self.assumed = assumed
    isAssumptionSound = updates.allSatisfy { $0.isTransposed == assumed }
  }

  /// By the architecture alone.
  package static func areStacksTransposed(ofType modelType: String) -> Bool { transposedExperts.contains(modelType) }

  /// Of a square weight; nil where nothing tells.
  func isTransposed(_ module: String) -> Bool? {
    let name = AdaptableModules.lastComponent(module)
    if isOfConv1DModel { return Self.conv1DNames.contains(name) }
    if let told = told[name] { return told.count == 1 ? told.first : nil }
    return isAssumptionSound ? assumed : nil
  }
}
