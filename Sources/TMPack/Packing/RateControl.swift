import ByteIO
import Factorization

/// One knob for the size or the error of quantised factors; ranks and steps of all tensors follow from it.
public struct RateControl: Sendable, Hashable {
  /// What is spent the bits on, at a given size.
  public enum Objective: String, Sendable, CaseIterable {
    /// Components everywhere: keeps the experts' task scores best.
    case balanced
    /// The least error of the exclusive vectors: one step for all components (reverse water-filling).
    case leastError = "least-error"
  }

  public enum Target: Sendable, Hashable {
    /// A setting as it is: `balanced`, components in every matrix; `leastError`, one over the step.
    case quality(Double)
    /// Stored bytes of each exclusive part.
    case bytesPerExpert(UInt64)
    /// Bytes of the whole archive.
    case archiveBytes(UInt64)
    /// Relative error of each expert's exclusive vector, over the tensors that are quantised.
    case error(Double)
  }

  /// Which forms compete for a tensor.
  public enum Codec: String, Sendable, CaseIterable {
    case lowRank = "low-rank"
    case entrywise
  }

  public let target: Target
  public let objective: Objective
  public let codecs: Set<Codec>

  /// - Throws: `invalidArgument` for a target that is not positive, or an error of 1 or more.
  public init(
    _ target: Target, objective: Objective = .balanced, codecs: Set<Codec> = Set(Codec.allCases)
  ) throws(StorageError) {
    switch target {
    case .quality(let value) where !(value > 0 && value < 0x1p60):
      throw StorageError(.invalidArgument, "the quality must be a positive number")
    case .bytesPerExpert(0), .archiveBytes(0): throw StorageError(.invalidArgument, "the budget must be positive")
    case .error(let error) where !(error > 0 && error < 1):
      throw StorageError(.invalidArgument, "the error must be above 0 and below 1")
    default: break
    }
    self.target = target
    self.objective = objective
    self.codecs = codecs
  }

  /// The quality, if it was given as such.
  var fixedQuality: Double? { if case .quality(let quality) = target { quality } else { nil } }

  func setting(quality: Double) -> RateSetting {
    RateSetting(objective == .balanced ? .balanced : .leastError, quality: quality)
  }

  var quantizedCodecs: Set<QuantizedFactor.Codec> { Set(codecs.map { $0 == .lowRank ? .lowRank : .dense }) }
}

/// Finds the quality at which something that grows with it comes just below a bound.
struct QualitySearch {
  /// The accepted range, as shares of the bound.
  let window: ClosedRange<Double>
  /// Where the search aims within it.
  private var aim: Double { (window.lowerBound + window.upperBound) / 2 }
  private static let mostProbes = 24
  private static let range = 0x1p-60...0x1p60

  /// - Parameters:
  ///   - start: a first guess.
  ///   - measure: non-decreasing in the quality; positive.
  /// - Returns: the best quality whose measure is at most the window's upper end times `bound`; nil when none was found.
  func run(
    bound: Double, start: Double, measure: (Double) throws(StorageError) -> Double
  ) throws(StorageError) -> Double? {
    var low: (quality: Double, value: Double)?
    var high: (quality: Double, value: Double)?
    var quality = start
    var saturated = 0
    for _ in 0..<Self.mostProbes {
      let value = try measure(quality)
      if value > window.upperBound * bound {
        high = (quality, value)
      } else {
        if let low, value <= low.value * 1.000_001, high == nil { saturated += 1 } else { saturated = 0 }
        low = (quality, value)
        // Good enough, or as good as it gets.
        if value >= window.lowerBound * bound || saturated >= 3 { return quality }
      }
      if let low, let high {
        if high.quality / low.quality < 1.000_01 { return low.quality }
        // Between the ends on logarithmic axes, where size and error are nearly straight lines; never too near to one of them.
        let share = Self.logarithm(aim * bound / low.value) / Self.logarithm(high.value / low.value)
        quality = low.quality * Self.power(high.quality / low.quality, min(max(share, 0.05), 0.95))
      } else {
        let step = min(max(aim * bound / value, 0x1p-4), 0x1p4)
        quality *= step > 1 ? max(step, 1.05) : min(step, 0.95)
      }
      guard Self.range.contains(quality) else { return low?.quality }
    }
    return low?.quality
  }

  // Only steer the search: the bytes depend on them no more than on the start.
  private static func logarithm(_ x: Double) -> Double {
    // ln x = 2 artanh((x − 1) ÷ (x + 1)), after halving the exponent away.
    let exponent = Double(x.exponent)
    let z = (x.significand - 1) / (x.significand + 1)
    var term = z
    var sum = 0.0
    for k in stride(from: 1.0, to: 40, by: 2) {
      sum += term / k
      term *= z * z
    }
    return exponent * 0.693_147_180_559_945_3 + 2 * sum
  }

  private static func power(_ x: Double, _ y: Double) -> Double {
    let e = y * logarithm(x)
    let whole = (e / 0.693_147_180_559_945_3).rounded()
    let rest = e - whole * 0.693_147_180_559_945_3
    var term = 1.0
    var sum = 0.0
    for k in 1...24 {
      sum += term
      term *= rest / Double(k)
    }
    return Double(sign: .plus, exponent: Int(whole), significand: sum)
  }
}
