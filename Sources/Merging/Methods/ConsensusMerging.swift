import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

/// Consensus Merging: what is of use to one expert only, or to none, is left out of the multi-task vector (Wang et al., 2024,
/// arXiv 2405.07813, sections 4 and 5).
///
/// The multi-task vector τ is the sum of the task vectors, or that of TIES with sums in place of means, as in the authors'
/// code. Expert t selects an element where |τₜ| ≥ λₜ |τ − τₜ|: its TALL mask. Elements that at least k experts select
/// stay; the result is θ₀ + λ times them. A tensor that fewer than k experts hold stays the base's.
/// Memory: the chunks of the other methods twice, for TIES.
struct ConsensusMerging: MergingMethod {
  private enum MultiTaskVector: String, CaseIterable {
    case taskArithmetic = "task-arithmetic"
    case ties
  }

  package static let kind = MergingMethodKind(
    "consensus", "Keeps of the sum what several experts need: TALL masks.",
    paper: "Wang et al. 2024, arXiv 2405.07813",
    settings: [
      .lambda(default: 0.3),
      MergeSetting("k", .integer(0...65_536), default: "2", "how many experts must select an element"),
      MergeSetting(
        "tall_lambda", .number(0...Double.greatestFiniteMagnitude), default: "0.4", perExpert: true,
        "the greater, the fewer elements an expert selects"),
      MergeSetting(
        "multi_task", .choice(MultiTaskVector.allCases.map(\.rawValue)),
        default: MultiTaskVector.taskArithmetic.rawValue,
        "what the masks are applied to"),
      .density(default: 0.2, "for ties: share of a task vector's elements that stay"), .scope,
    ]
  ) { settings throws(StorageError) in ConsensusMerging(settings) }

  private let scale: Double
  private let neededExperts: Int
  private let maskFactors: PerExpert<Double>
  /// Of TIES.
  private var trim: MagnitudeTrim?
  package let record: SharedMethod

  private init(_ settings: MergeSettings) {
    scale = settings.number("lambda")
    neededExperts = settings.integer("k")
    maskFactors = settings.numbers("tall_lambda")
    let vector: MultiTaskVector = settings.value("multi_task")
    if vector == .ties {
      trim = MagnitudeTrim(densities: settings.numbers("density"), scope: settings.value("scope"))
    }
    record = settings.record
  }

  package func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> any MergingMethod
  {
    var prepared = self
    prepared.trim = try trim?.prepared(for: sources, pipeline: pipeline)
    return prepared
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let thresholds = try trim?.thresholds(of: group)
    let ones = [Double](repeating: 1, count: group.members.count)
    let factors = group.names.map { maskFactors[$0] }
    try group.forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
      if let thresholds {
        let whole = chunk.members.map { Array($0) }
        chunk.trim(below: thresholds)
        chunk.setResultToDisjointMerge(ones, election: .sum, isNormalized: false)
        for (part, values) in zip(chunk.members, whole) { _ = part.update(fromContentsOf: values) }
      } else {
        chunk.result.setToWeightedSum(of: chunk.members, ones)
      }
      mask(chunk, factors)
      chunk.addBase(scaledBy: scale)
      try merged.writeResult(of: chunk)
    }
  }

  private func mask(_ chunk: TensorGroup.Chunk, _ factors: [Double]) {
    let result = chunk.result
    chunk.members.withUnsafeBufferPointer { members in
      factors.withUnsafeBufferPointer { factors in
        for i in 0..<chunk.count {
          var selecting = 0
          for k in members.indices {
            let own = members[k][i]
            selecting += TALLMask.selects(own, of: result[i], factor: factors[k]) ? 1 : 0
          }
          if selecting < neededExperts { result[i] = 0 }
        }
      }
    }
  }
}
