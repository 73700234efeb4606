import TMPackByteIO

/// Whose word counts where mergekit does otherwise than the paper of a method says.
package enum MergeConvention: String, CaseIterable {
  case paper
  case mergekit
}

extension MergeSetting {
  static let conventionName = "convention"

  package static let convention = MergeSetting(
    conventionName, .choice(MergeConvention.allCases.map(\.rawValue)), default: MergeConvention.paper.rawValue,
    "whose word counts where mergekit and the paper differ: see Spec/recipes.md")
}

/// What is done to the elements of a sparse task vector in place of those that were dropped.
enum Rescaling: Sendable {
  case none
  /// Each is divided by the probability that it stays, so that its expectation is what it was.
  case byProbability
  /// All are multiplied by one number, so that the sum of the magnitudes is what it was.
  case toLength

  /// - Parameter settings: of a kind with `rescale` and `convention`.
  init(_ settings: MergeSettings) {
    self = settings.flag("rescale") ? (settings.convention == .mergekit ? .toLength : .byProbability) : .none
  }
}

extension MergeSettings {
  /// - Precondition: the kind has the setting.
  var convention: MergeConvention { value(MergeSetting.conventionName) }
}

extension MergeSetting {
  static let rescaleToLength = MergeSetting(
    "rescale", .flag, default: "false", "whether what stays is scaled to the sum of the magnitudes of all")
}

extension TensorGroup {
  /// For each member, the sum of its task vector's magnitudes over that of what `sparsify` leaves of it; 1 where either
  /// is as good as nothing.
  ///
  /// - Complexity: reads the tensor once.
  func lengthRatios(
    ofMultiple multiple: Int = 1, _ sparsify: (Chunk) -> Void
  ) throws(StorageError) -> [Double] {
    var (before, after) = ([Double](repeating: 0, count: members.count), [Double](repeating: 0, count: members.count))
    try forEachFiniteTaskVectorChunk(ofMultiple: multiple, large: true) { chunk throws(StorageError) in
      for (k, part) in chunk.members.enumerated() { before[k] += part.length }
      sparsify(chunk)
      for (k, part) in chunk.members.enumerated() { after[k] += part.length }
    }
    return zip(before, after).map { $0 < 1e-7 || $1 < 1e-7 ? 1 : $0 / $1 }
  }
}

extension TensorGroup.Chunk {
  /// - Parameter factors: one for each member.
  package func scale(_ factors: [Double]) {
    for (part, factor) in zip(members, factors) where factor != 1 { for i in part.indices { part[i] *= factor } }
  }
}

extension UnsafeMutableBufferPointer<Double> {
  /// ‖x‖₁
  fileprivate var length: Double { reduce(0) { $0 + $1.magnitude } }
}
