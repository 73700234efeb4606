/// What is done with task vectors once they are sparse: θ₀ + λ times their weighted sum, or their disjoint merge.
struct Fusion: Sendable {
  /// λ
  package let scale: Double
  /// w
  package let weights: PerExpert<Double>
  /// nil where every element counts, whatever its sign.
  let election: SignElection?
  /// Whether sums are divided by the sum of the weights that are in them.
  let isNormalized: Bool
  private let convention: MergeConvention

  /// - Parameter settings: of a kind with `lambda`, `weight`, `normalize` and `convention`.
  init(_ settings: MergeSettings, election: SignElection?) {
    convention = settings.convention
    scale = settings.number("lambda")
    weights = settings.numbers("weight")
    self.election = election
    isNormalized = settings.flag("normalize")
  }

  package func weights(of group: TensorGroup) -> [Double] { group.names.map { weights[$0] } }

  /// Sets `result` to elements of the merged model. The chunk's members are task vectors.
  func setResult(of chunk: TensorGroup.Chunk, _ weights: [Double]) {
    if let election {
      chunk.setResultToDisjointMerge(
        weights, election: election, tiesArePositive: convention == .mergekit, isNormalized: isNormalized)
    } else {
      chunk.result.setToWeightedSum(of: chunk.members, weights)
      let total = weights.reduce(0, +)
      if isNormalized, total.magnitude > (convention == .mergekit ? 1e-8 : 0) {
        chunk.result.divide(by: total)
      }
    }
    chunk.addBase(scaledBy: scale)
  }
}

extension MergeSetting {
  package static func density(default value: Double, _ meaning: String) -> MergeSetting {
    MergeSetting("density", fraction, default: String(describing: value), perExpert: true, meaning)
  }
  package static let sign = MergeSetting(
    "sign", .choice(SignElection.allCases.map(\.rawValue)), default: SignElection.sum.rawValue,
    "what elects a sign: the sum of the elements, or how many experts have it")
  static let scope = MergeSetting(
    "scope", .choice(TrimScope.allCases.map(\.rawValue)), default: TrimScope.model.rawValue,
    "what the density is a share of: the whole model or each tensor")
  static func normalize(default value: Bool) -> MergeSetting {
    MergeSetting(
      "normalize", .flag, default: String(value), "whether sums are divided by the sum of the weights in them")
  }
}

extension MergeSettings {
  /// The choice as the type that it names.
  package func value<Choice: RawRepresentable<String>>(_ name: String) -> Choice {
    guard let value = Choice(rawValue: choice(name)) else { preconditionFailure("the setting lists its type's cases") }
    return value
  }
}
