import TMPackArchiveFormat
import TMPackByteIO

/// How logits become weights.
public struct RoutingOptions: Sendable, Hashable {
  /// When the shared model alone is taken.
  public enum Fallback: Sendable, Hashable {
    /// As the router was fitted: above the entropy that it stores, if it does.
    case stored
    /// Above this normalised entropy, between 0 and 1.
    case above(Double)
    case never
  }

  /// What logits are divided by; nil takes the router's own.
  public let temperature: Double?
  /// How many experts keep a weight, those of the greatest; nil keeps all.
  public let top: Int?
  /// Experts that are less probable get weight 0.
  public let threshold: Double
  public let fallback: Fallback

  /// The router's own settings, all experts.
  public static let standard = RoutingOptions(checked: nil, nil, 0, .stored)

  private init(checked temperature: Double?, _ top: Int?, _ threshold: Double, _ fallback: Fallback) {
    self.temperature = temperature
    self.top = top
    self.threshold = threshold
    self.fallback = fallback
  }

  /// - Throws: `invalidArgument` for a temperature below 10⁻⁶ or not finite, fewer than one expert, or a threshold or an
  ///   entropy outside 0 to 1.
  public init(
    temperature: Double? = nil, top: Int? = nil, threshold: Double = 0, fallback: Fallback = .stored
  ) throws(StorageError) {
    if let temperature, !(temperature >= RouterManifest.leastTemperature && temperature.isFinite) {
      throw StorageError(.invalidArgument, "the temperature must be \(RouterManifest.leastTemperature) at least")
    }
    if let top, top < 1 { throw StorageError(.invalidArgument, "one expert at least must keep its weight") }
    guard (0...1).contains(threshold) else {
      throw StorageError(.invalidArgument, "the threshold must lie between 0 and 1")
    }
    if case .above(let entropy) = fallback, !(0...1).contains(entropy) {
      throw StorageError(.invalidArgument, "the entropy of the fallback must lie between 0 and 1")
    }
    self.init(checked: temperature, top, threshold, fallback)
  }
}

/// What a router says of one group of inputs.
public struct Routing: Sendable {
  /// The rows of the group.
  public let rows: Range<Int>
  /// Of all classes, in their order; their sum is 1.
  public let probabilities: [Double]
  /// Normalised: 0 for certain, 1 for saying nothing.
  public let entropy: Double
  /// Whether the entropy was above the fallback's: all weights are 0 then, which is the shared model.
  public let fellBack: Bool
  /// One for each class, in their order. They sum up to 1, or are all 0.
  public let weights: RouterWeights
}

extension Routing {
  /// The class of the greatest probability; of equal ones the earlier.
  package var mostProbable: Int {
    probabilities.indices.max { (probabilities[$0], $1) < (probabilities[$1], $0) } ?? 0
  }
}

extension RoutingOptions {
  /// TMP-11-11: what is kept of the probabilities, divided by its sum, in binary32.
  public func weights(_ probabilities: [Double]) -> [Float] {
    var kept = probabilities.map { $0 >= threshold ? $0 : 0 }
    if let top, top < kept.count {
      // Of equal ones the earlier class.
      let order = kept.indices.sorted { (kept[$1], $0) < (kept[$0], $1) }
      for index in order[top...] { kept[index] = 0 }
    }
    let sum = kept.reduce(0, +)
    return kept.map { sum > 0 ? Float($0 / sum) : 0 }
  }
}
