import TMPackModels
import TMPackTensorKit

/// What packing would give and take, predicted from the checkpoints' headers and a sample of their tensors.
///
/// Sizes are bytes, times seconds, errors ‖v − decoded‖ ÷ ‖v‖. What depends on the sample is an `Estimate`.
package struct PackPlan: Sendable {
  /// One setting, and what it would give for an expert.
  package struct Point: Sendable, Hashable {
    package enum Setting: Sendable, Hashable {
      /// Quantised factors of so many components (`RateControl`, `balanced`), of the tensors that get the standard
      /// treatment.
      case components(Int)
      /// Those kept bit for bit.
      case lossless
    }
    package let setting: Setting
    /// What the expert takes in the archive.
    package let bytes: Estimate
    /// nil when nothing is approximated.
    package let error: Estimate?
  }

  /// What the settings that were given would give for an expert.
  package struct Outcome: Sendable, Hashable {
    package let bytes: Estimate
    package let error: Estimate?
    /// The `RateControl.Target.quality` that meets the target; nil without one, and where none does.
    package let quality: Double?
  }

  package struct Expert: Sendable {
    package let name: String
    package let tensors: Int
    package let findings: PlanFindings
    /// How many tensors were looked at closely, and their elements as a share of all.
    package let sampledTensors: Int
    package let sampledShare: Double
    /// From coarse to fine.
    package let frontier: [Point]
    /// nil when packing would be refused.
    package let outcome: Outcome?
  }

  package struct Cost: Sendable, Hashable {
    /// An estimate of the largest resident memory, from above, pages of mapped input files included.
    package let peakMemory: UInt64
    /// Of these, pages of input files, which the system takes back when it needs them.
    package let mappedMemory: UInt64
    /// With as many threads as the plan was made with, on this machine as busy as it was.
    package let seconds: Double
    /// Weight files to be read.
    package let inputBytes: UInt64
    /// Disk taken beside the archive while packing.
    package let scratchBytes: UInt64
    /// A shared model that is written as a checkpoint of its own.
    package let sharedModelBytes: UInt64
    /// Of the file system of the output; nil when none was given.
    package let freeDisk: UInt64?
  }

  /// Whether the target can be met, as far as the sample tells.
  package enum Verdict: Sendable, Hashable {
    /// No target was given, or it can be met.
    case possible
    /// Packing would surely be refused, with this reason.
    case refused(String)
    /// The target seems out of reach, for this reason.
    case unlikely(String)
  }

  package let experts: [Expert]
  /// How far the experts are from the base or the given shared model, in their order.
  package let changes: [ModelChange]
  /// Experts of which more than a head has no partner in the shared model, and would be stored whole.
  package let unmatched: [UnmatchedParameters]
  /// Of the shared model in the archive; of a detached one, its table alone.
  package let sharedBytes: Estimate
  /// nil when packing would be refused.
  package let archiveBytes: Estimate?
  /// Dtypes of the base or the given shared model, with the number of tensors, the most frequent first.
  package let sharedDTypes: [(dtype: DType, tensors: Int)]
  /// Tied tensors of it: each name with that of the first.
  package let sharedTies: [String: String]
  package let verdict: Verdict
  package let cost: Cost

  /// Whether the file system has room for the archive, the scratch space and the shared model; nil when that is not
  /// known.
  package var fitsOnDisk: Bool? {
    guard let free = cost.freeDisk, let archiveBytes else { return nil }
    return Double(free) > archiveBytes.range.upperBound + Double(cost.scratchBytes) + Double(cost.sharedModelBytes)
  }
}

/// What is worth knowing of an expert before it is packed.
package struct PlanFindings: Sendable {
  /// A tensor whose shape is not the shared one's.
  package struct Resized: Sendable, Hashable {
    package let name: String
    package let shape: Shape
    package let sharedShape: Shape
  }

  /// A tensor that cannot be approximated.
  package struct NonFinite: Sendable, Hashable {
    package let tensor: String
    package let message: String
  }

  /// Tensors that equal the reference, the base or the given shared model.
  package struct Unchanged: Sendable, Hashable {
    /// Compared whole.
    package internal(set) var certain: [String] = []
    /// Equal in the pieces that were compared, and not read otherwise.
    package internal(set) var likely: [String] = []
  }

  package internal(set) var unchanged = Unchanged()
  package internal(set) var absentFromExpert: [String] = []
  package internal(set) var absentFromShared: [String] = []
  package internal(set) var resized: [Resized] = []
  package internal(set) var otherDType: [String] = []
  /// Kept exactly, since they are not of a float dtype that is approximated.
  package internal(set) var notFloat: [String] = []
  /// Each name with that of the first of those that are one.
  package internal(set) var ties: [String: String] = [:]
  /// With the number of tensors, the most frequent first.
  package internal(set) var dtypes: [(dtype: DType, tensors: Int)] = []
  /// Met in the sample.
  package internal(set) var nonFinite: [NonFinite] = []
}
