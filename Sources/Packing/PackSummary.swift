import TMPackArchiveFormat
import TMPackDigests
import TMPackModels

/// What a packing run has made.
public struct PackSummary: Sendable {
  /// Something that a user should know about how an expert was stored.
  public struct Note: Sendable, Hashable {
    public enum Reason: String, Sendable, CaseIterable {
      case absentFromBase = "absent from the shared model, stored whole"
      case quantizedOwn = "absent from the shared model, quantised entry by entry"
      case extraRows = "with more rows than the shared model's, which are kept exactly"
      case otherShape = "of another shape, stored whole"
      case otherDType = "of another dtype, stored whole"
      case integer = "not floating-point, stored exactly"
      case unmeasured = "not among the statistics, approximated without them"
      case longSide = "of a side too long for the statistics, approximated without them"
      case absentFromExpert = "of the shared model that the expert lacks"
    }
    public let expert: String
    public let reason: Reason
    public let count: Int
    /// The first such tensor.
    public let example: String
  }

  public let archiveBytes: UInt64
  /// Bytes of the weight files of the experts packed in this run.
  public let inputBytes: UInt64
  public let rootDigest: ContentDigest
  /// All experts of the archive, in declaration order.
  package let experts: [ExpertReference]
  /// Experts of which more than a head has no partner in the shared model, and is stored whole.
  package let unmatched: [UnmatchedParameters]
  /// How far the experts of this run are from the model that they are said to be made from.
  package let changes: [ModelChange]
  public let notes: [Note]
  /// Numbers of the merged shared model that are infinite, though those of the models are not: too large for their dtype.
  public let overflows: Int
  /// Jobs that were not done because their results were there; nil for a packing without a journal.
  public let reusedJobs: Int?

  /// Size of the input checkpoints over that of the archive.
  public var ratio: Double { Double(inputBytes) / Double(archiveBytes) }
}

/// Counts why tensors were not packed as factors.
struct NoteCounter {
  private var counts: [PackSummary.Note.Reason: (count: Int, example: String)] = [:]

  public mutating func add(_ reason: PackSummary.Note.Reason, _ tensor: String) {
    counts[reason, default: (0, tensor)].count += 1
  }

  public func notes(expert: String) -> [PackSummary.Note] {
    PackSummary.Note.Reason.allCases.compactMap { reason in
      counts[reason].map { PackSummary.Note(expert: expert, reason: reason, count: $0.count, example: $0.example) }
    }
  }
}
