import TMPackArchiveFormat
import TMPackByteIO
import TMPackParallel

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// PCB-Merging, parameter competition balancing (Du et al., 2024, arXiv 2410.02396), as in the authors' code: every element of
/// every expert has a score, and the merged task vector is the mean weighted by the scores.
///
/// - Magnitudes are first clipped to the quantiles `clip` and 1 − `clip` of an expert's whole task vector.
/// - Intra-balancing: exp(N · s²), of N experts, where s is the clipped magnitude scaled to 0 … 1.
/// - Inter-balancing: tanh(τₜ · Σ τ), negative where the expert is against the sum.
/// - Drop and rescale: of the products of both, those below the share `ratio` of the greatest become 0, the rest is scaled to
///   0 … 1.
///
/// The result is θ₀ + λ Σ wₜ scoreₜ τₜ ÷ Σ scoreₜ. All quantiles are of the whole model, and found in passes over the files.
/// Vectors and scalars are treated as matrices are.
struct PCBMerging: MergingMethod {
  package static let kind = MergingMethodKind(
    "pcb", "Weighs every element by its size and by its agreement with the others.",
    paper: "Du et al. 2024, arXiv 2410.02396",
    settings: [
      .lambda(default: 1), .weight,
      MergeSetting("ratio", MergeSetting.fraction, default: "0.1", "share of a task vector's elements that stay"),
      MergeSetting("clip", .number(0...0.49), default: "0.0001", "share of magnitudes that are clipped at either end"),
    ]
  ) { settings throws(StorageError) in PCBMerging(settings) }

  /// From where to where numbers are scaled to 0 … 1.
  private struct Span {
    var low = 0.0
    var high = 0.0

    func clamped(_ value: Double) -> Double { max(low, min(high, value)) }
    func place(of value: Double) -> Double { high > low ? (clamped(value) - low) / (high - low) : 0 }
  }

  private let scale: Double
  private let weights: PerExpert<Double>
  private let ratio: Double
  private let clip: Double
  /// N
  private var experts = 0
  /// Of magnitudes and of products, for each expert.
  private var magnitudes: [Span] = []
  private var products: [Span] = []
  package let record: SharedMethod

  private init(_ settings: MergeSettings) {
    scale = settings.number("lambda")
    weights = settings.numbers("weight")
    ratio = settings.number("ratio")
    clip = settings.number("clip")
    record = settings.record
  }

  package func prepared(for sources: MergeSources, pipeline: OrderedPipeline) throws(StorageError) -> any MergingMethod
  {
    var prepared = self
    let counts = try sources.elementCounts()
    prepared.experts = counts.count
    func spans(
      low: (Double) -> Double, high: (Double) -> Double,
      add: @escaping @Sendable (TensorGroup, inout OrderStatistics.Tally) throws(StorageError) -> Void
    ) throws(StorageError) -> [Span] {
      let held = counts.indices.filter { counts[$0] > 0 }
      var statistics = OrderStatistics(
        held.flatMap { expert in
          [low(Double(counts[expert])), high(Double(counts[expert]))].map {
            OrderStatistics.Query(
              sequence: expert, rank: max(0, min(counts[expert] - 1, Int($0))), count: counts[expert])
          }
        })
      try sources.find(&statistics, pipeline, add: add)
      var spans = [Span](repeating: Span(), count: counts.count)
      for (place, expert) in held.enumerated() {
        spans[expert] = Span(low: statistics[2 * place], high: statistics[2 * place + 1])
      }
      return spans
    }
    let clip = clip
    let ratio = ratio
    prepared.magnitudes = try spans(low: { $0 * clip }, high: { $0 * (1 - clip) - 1 }) {
      group, tally throws(StorageError) in try group.addMagnitudes(to: &tally) { _, member in member.index }
    }
    let balanced = prepared
    prepared.products = try spans(low: { $0 * (1 - ratio) }, high: { $0 - 1 }) { group, tally throws(StorageError) in
      try group.forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
        chunk.result.setToWeightedSum(of: chunk.members, [Double](repeating: 1, count: chunk.members.count))
        for (member, part) in zip(group.members, chunk.members) {
          for i in part.indices { part[i] = balanced.product(part[i], sum: chunk.result[i], expert: member.index) }
          tally.add(UnsafeBufferPointer(part), to: member.index)
        }
      }
    }
    return prepared
  }

  /// Intra-balancing times inter-balancing, divided by exp(N), which can be too large for a number and does not matter: what
  /// follows scales it to 0 … 1.
  private func product(_ element: Double, sum: Double, expert: Int) -> Double {
    let place = magnitudes[expert].place(of: element.magnitude)
    return exp(Double(experts) * (place * place - 1)) * tanh(element * sum)
  }

  func merge(_ group: TensorGroup, into merged: MergedTensor) throws(StorageError) {
    let weights = group.names.map { self.weights[$0] }
    let ones = [Double](repeating: 1, count: weights.count)
    try group.forEachFiniteTaskVectorChunk { chunk throws(StorageError) in
      let result = chunk.result
      result.setToWeightedSum(of: chunk.members, ones)
      for i in 0..<chunk.count {
        var total = 0.0
        var divisor = 0.0
        for (position, member) in group.members.enumerated() {
          let own = chunk.members[position][i]
          let span = products[member.index]
          // Against the sum its product is not positive, and most often below all that stay.
          if span.low >= 0, own * result[i] <= 0 { continue }
          let score = span.place(of: product(own, sum: result[i], expert: member.index))
          let clipped = own == 0 ? 0 : Double(signOf: own, magnitudeOf: magnitudes[member.index].clamped(own.magnitude))
          total += weights[position] * clipped * score
          divisor += score
        }
        result[i] = total / max(divisor, 1e-12)
      }
      chunk.addBase(scaledBy: scale)
      try merged.writeResult(of: chunk)
    }
  }
}
