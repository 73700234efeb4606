import TMPackByteIO
import TMPackFactors

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
    /// Low rank, and what it leaves entry by entry.
    case layered

    /// Those that compete where none is asked for.
    public static let standard: Set<Codec> = [.lowRank, .entrywise]
  }

  public let target: Target
  public let objective: Objective
  public let codecs: Set<Codec>
  /// Whether what is known or found to be a product of few components, as of a LoRA, keeps all of them, in 8 bits each.
  package let keepsProducts: Bool

  /// - Throws: `invalidArgument` for a target that is not positive, or an error of 1 or more.
  public init(
    _ target: Target, objective: Objective = .balanced, codecs: Set<Codec> = Codec.standard
  ) throws(StorageError) {
    try self.init(target, objective: objective, codecs: codecs, keepsProducts: false)
  }

  package init(
    _ target: Target, objective: Objective = .balanced, codecs: Set<Codec> = Codec.standard, keepsProducts: Bool
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
    self.keepsProducts = keepsProducts
  }

  /// The quality, if it was given as such.
  public var fixedQuality: Double? { if case .quality(let quality) = target { quality } else { nil } }

  package func setting(quality: Double) -> RateSetting {
    RateSetting(objective == .balanced ? .balanced : .leastError, quality: quality)
  }

  package var quantizedCodecs: Set<QuantizedFactor.Codec> {
    Set(
      codecs.map {
        switch $0 {
        case .lowRank: .lowRank
        case .entrywise: .dense
        case .layered: .layered
        }
      })
  }
}
