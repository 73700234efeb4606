import ByteIO
import Models
import TensorKit

/// What packing would give and take, predicted from the checkpoints' headers and a sample of their tensors.
///
/// Sizes are bytes, times seconds, errors ‖v − decoded‖ ÷ ‖v‖. What depends on the sample is an `Estimate`.
public struct PackPlan: Sendable {
  /// One setting, and what it would give for an expert.
  public struct Point: Sendable, Hashable {
    public enum Setting: Sendable, Hashable {
      /// Quantised factors of so many components (`RateControl`, `balanced`), of the tensors that get the standard
      /// treatment.
      case components(Int)
      /// Those kept bit for bit.
      case lossless
    }
    public let setting: Setting
    /// What the expert takes in the archive.
    public let bytes: Estimate
    /// nil when nothing is approximated.
    public let error: Estimate?
  }

  /// What the settings that were given would give for an expert.
  public struct Outcome: Sendable, Hashable {
    public let bytes: Estimate
    public let error: Estimate?
    /// The `RateControl.Target.quality` that meets the target; nil without one, and where none does.
    public let quality: Double?
  }

  public struct Expert: Sendable {
    public let name: String
    public let tensors: Int
    public let findings: PlanFindings
    /// How many tensors were looked at closely, and their elements as a share of all.
    public let sampledTensors: Int
    public let sampledShare: Double
    /// From coarse to fine.
    public let frontier: [Point]
    /// nil when packing would be refused.
    public let outcome: Outcome?
  }

  public struct Cost: Sendable, Hashable {
    /// An estimate of the largest resident memory, from above, pages of mapped input files included.
    public let peakMemory: UInt64
    /// Of these, pages of input files, which the system takes back when it needs them.
    public let mappedMemory: UInt64
    /// With as many threads as the plan was made with, on this machine as busy as it was.
    public let seconds: Double
    /// Weight files to be read.
    public let inputBytes: UInt64
    /// Disk taken beside the archive while packing.
    public let scratchBytes: UInt64
    /// A shared model that is written as a checkpoint of its own.
    public let sharedModelBytes: UInt64
    /// Of the file system of the output; nil when none was given.
    public let freeDisk: UInt64?
  }

  /// Whether the target can be met, as far as the sample tells.
  public enum Verdict: Sendable, Hashable {
    /// No target was given, or it can be met.
    case possible
    /// Packing would surely be refused, with this reason.
    case refused(String)
    /// The target seems out of reach, for this reason.
    case unlikely(String)
  }

  public let experts: [Expert]
  /// Experts of which more than a head has no partner in the shared model, and would be stored whole.
  package let unmatched: [UnmatchedParameters]
  /// Of the shared model in the archive; of a detached one, its table alone.
  public let sharedBytes: Estimate
  /// nil when packing would be refused.
  public let archiveBytes: Estimate?
  /// Dtypes of the base or the given shared model, with the number of tensors, the most frequent first.
  public let sharedDTypes: [(dtype: DType, tensors: Int)]
  /// Tied tensors of it: each name with that of the first.
  public let sharedTies: [String: String]
  public let verdict: Verdict
  public let cost: Cost

  /// Whether the file system has room for the archive, the scratch space and the shared model; nil when that is not
  /// known.
  public var fitsOnDisk: Bool? {
    guard let free = cost.freeDisk, let archiveBytes else { return nil }
    return Double(free) > archiveBytes.range.upperBound + Double(cost.scratchBytes) + Double(cost.sharedModelBytes)
  }
}

/// What is worth knowing of an expert before it is packed.
public struct PlanFindings: Sendable {
  /// A tensor whose shape is not the shared one's.
  public struct Resized: Sendable, Hashable {
    public let name: String
    public let shape: Shape
    public let sharedShape: Shape
  }

  /// A tensor that cannot be approximated.
  public struct NonFinite: Sendable, Hashable {
    public let tensor: String
    public let message: String
  }

  /// Tensors that equal the reference, the base or the given shared model.
  public struct Unchanged: Sendable, Hashable {
    /// Compared whole.
    public internal(set) var certain: [String] = []
    /// Equal in the pieces that were compared, and not read otherwise.
    public internal(set) var likely: [String] = []
  }

  public internal(set) var unchanged = Unchanged()
  public internal(set) var absentFromExpert: [String] = []
  public internal(set) var absentFromShared: [String] = []
  public internal(set) var resized: [Resized] = []
  public internal(set) var otherDType: [String] = []
  /// Kept exactly, since they are not of a float dtype that is approximated.
  public internal(set) var notFloat: [String] = []
  /// Each name with that of the first of those that are one.
  public internal(set) var ties: [String: String] = [:]
  /// With the number of tensors, the most frequent first.
  public internal(set) var dtypes: [(dtype: DType, tensors: Int)] = []
  /// Met in the sample.
  public internal(set) var nonFinite: [NonFinite] = []
}
