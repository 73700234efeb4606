import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

/// Fisher-weighted averaging (Matena and Raffel, 2022, arXiv 2111.09832): Σ wₜ Fₜ θₜ / Σ wₜ Fₜ, element by element, with
/// Fₜ the diagonal of the expert's Fisher information, which its statistics hold (`Spec/merging-statistics.md`).
///
/// As in the authors' code, Fₜ is at least `floor`, and wₜ is divided by the norm of the expert's whole diagonal unless
/// `normalize` is false; the floor is theirs for the target model, and here for all. Where no expert has any weight
/// (possible with a floor of 0), and in tensors for which nothing was measured, the mean with the weights wₜ is taken.
/// Tensors of all numbers of dimensions are treated alike.
struct FisherAverage: MergingMethod {
  package static let kind = MergingMethodKind(
    "fisher", "The mean of the experts, each element weighted by its Fisher information.",
    paper: "Matena and Raffel 2022, arXiv 2111.09832",
    settings: [
      MergeSetting("weight", MergeSetting.positiveOrZero, default: "1", perExpert: true, "weight in the mean"),
      MergeSetting("floor", .number(0...1e150), default: "1e-6", "least Fisher information of an element"),
      MergeSetting("normalize", .flag, default: "true", "whether each expert's information is divided by its norm"),
    ], usesBase: false
  ) { settings throws(StorageError) in
    FisherAverage(
      weights: settings.numbers("weight"), floor: settings.number("floor"), isNormalized: settings.flag("normalize"),
      record: settings.record)
  }

  /// w
  package let weights: PerExpert<Double>
  let floor: Double
  let isNormalized: Bool
  package let record: SharedMethod
  /// ‖Fₜ‖ over the whole model, or 1.
  private var norms = PerExpert(1.0)

  private init(weights: PerExpert<Double>, floor: Double, isNormalized: Bool, record: SharedMethod) {
    self.weights = weights
    self.floor = floor
    self.isNormalized = isNormalized
    self.record = record
  }

  package func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> any MergingMethod
  {
    try sources.checkStatistics(suffix: "")
    guard isNormalized else { return self }
    let tensors = sources.base.tensors
    var energies = [Double](repeating: 0, count: sources.experts.count)
    try pipeline.run(tensors.count) { index throws(StorageError) in
      try located(tensor: tensors[index].name) { () throws(StorageError) in
        try sources.group(for: tensors[index])?.fisherEnergies() ?? []
      }
    } consume: { _, found throws(StorageError) in
      for (expert, energy) in found { energies[expert] += energy }
    }
    var method = self
    for (expert, energy) in zip(sources.experts, energies) where energy > 0 {
      method.norms[expert.name] = energy.squareRoot()
    }
    return method
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let plain = group.names.map { self.weights[$0] }
    let weights = group.names.map { self.weights[$0] / norms[$0] }
    guard let information = try group.statistics(shapes: [group.info.shape]) else {
      let mean = try self.weights.weights(of: group, normalized: true)
      return try group.write(sumWeightedBy: mean, from: .zero, into: merged)
    }
    let total = plain.reduce(0, +)
    var (fisher, divisor): ([Double], [Double]) = ([], [])
    try group.forEachChunk { chunk throws(StorageError) in
      fisher = [Double](repeating: 0, count: chunk.count)
      divisor = fisher
      chunk.result.update(repeating: 0)
      for (member, elements) in chunk.members.enumerated() {
        try fisher.withUnsafeMutableBufferPointer { fisher throws(StorageError) in
          try information[member].readFisher(chunk.range, into: fisher, expert: group.members[member].name)
        }
        let weight = weights[member]
        for i in 0..<chunk.count {
          let part = weight * max(fisher[i], floor)
          divisor[i] += part
          chunk.result[i] += part * elements[i]
        }
      }
      for i in 0..<chunk.count {
        if divisor[i] > 0 {
          chunk.result[i] /= divisor[i]
        } else {
          let (share, sum) = total > 0 ? (plain, total) : (plain.map { _ in 1 }, Double(plain.count))
          chunk.result[i] = zip(chunk.members, share).reduce(0) { $0 + $1.1 * $1.0[i] } / sum
        }
      }
      try merged.writeResult(of: chunk)
    }
  }
}

extension StoredElements {
  fileprivate func readFisher(
    _ range: Range<Int>, into values: UnsafeMutableBufferPointer<Double>, expert: String
  ) throws(StorageError) {
    try located(expert: expert) { () throws(StorageError) in
      try read(range, into: values)
      try check(UnsafeBufferPointer(values), atLeast: 0)
    }
  }
}

extension TensorGroup {
  /// ‖F‖² of this tensor for each member that holds it, by its index among all experts.
  fileprivate func fisherEnergies() throws(StorageError) -> [(expert: Int, energy: Double)] {
    guard let information = try statistics(shapes: [info.shape]) else { return [] }
    var energies: [(Int, Double)] = []
    for (member, elements) in zip(members, information) {
      var energy = 0.0
      var values = [Double](repeating: 0, count: min(count, 1 << 16))
      for begin in stride(from: 0, to: count, by: values.count) {
        let range = begin..<min(begin + values.count, count)
        try values.withUnsafeMutableBufferPointer { buffer throws(StorageError) in
          let part = UnsafeMutableBufferPointer(rebasing: buffer[..<range.count])
          try elements.readFisher(range, into: part, expert: member.name)
          energy += dotProduct(UnsafeBufferPointer(part), UnsafeBufferPointer(part))
        }
      }
      energies.append((member.index, energy))
    }
    return energies
  }
}
