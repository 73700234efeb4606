import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackParallel
import TMPackReading
import TMPackTensorKit

extension Packer {
  /// What an expert's tensors of float dtypes become; all others are kept exactly.
  public enum Encoding: Sendable {
    /// Every bit.
    case exact
    /// The leading singular triplets of each matrix, in a dtype.
    case lowRank(rank: Int, dtype: FactorDType)
    /// Quantised, entropy-coded factors of whatever rank and step follow from one number.
    case quantized(RateControl)
  }

  /// ```swift
  /// let packer = try Packer(.lowRank(rank: 16, dtype: .bf16))
  /// let base = try Checkpoint.open("base")
  /// let math = try ExpertInput(name: "math", checkpoint: Checkpoint.open("math"))
  /// let summary = try packer.pack(base: base, experts: [math], to: "zoo.tmpack")
  /// print(summary.archiveBytes, "of", summary.inputBytes)
  /// ```
  ///
  /// - Parameters:
  ///   - encoding: what the experts' tensors become.
  ///   - method: makes the shared model: `task-arithmetic`, `average`, `base`, or another that `tmpack merge` has.
  ///   - settings: the method's; those that are left out have its defaults.
  ///   - isDetached: whether the shared model's tensors stay outside, bound by digest (TMP-6-4).
  ///   - storesCorrections: whether factors go with what makes them exact, apart (TMP-6-17).
  ///   - pipeline: how many threads; the archive's bytes do not depend on it.
  /// - Throws: `unknownName` for a method or a setting that there is not; `invalidArgument` for a value.
  public init(
    _ encoding: Encoding, method: String = "task-arithmetic", settings: [String: String] = [:],
    isDetached: Bool = false, storesCorrections: Bool = false, pipeline: OrderedPipeline = .automatic
  ) throws(StorageError) {
    var given: [MergeSettings.Name: String] = [:]
    for (name, value) in settings { given[MergeSettings.Name(parsing: name)] = value }
    let (treatment, rate): (TensorTreatment, RateControl?) =
      switch encoding {
      case .exact: (.exact, nil)
      case .lowRank(let rank, let dtype): (.factor(try FactorPlan(.lowRank(rank: rank), dtype: dtype)), nil)
      case .quantized(let rate): (.controlled, rate)
      }
    self.init(
      sharedModel: .merged(try MergingMethodKind.named(method).method(given)), rules: TensorRules(treatment),
      rate: rate, isDetached: isDetached, storesCorrections: storesCorrections, pipeline: pipeline)
  }

  /// Makes an archive.
  ///
  /// Memory: a few times the largest tensor for each thread.
  /// - Parameters:
  ///   - base: what the experts were fine-tuned from.
  ///   - experts: at least one, of different names.
  ///   - path: of the archive, which appears whole or not at all.
  ///   - replacing: whether an archive that is there makes way.
  ///   - progress: called on this thread, as bytes of input are dealt with.
  /// - Throws: `baseMismatch` for an expert of another architecture; `inputOutput` for a checkpoint that changed meanwhile;
  ///   what reading and writing throw. Nothing is left at `path` then.
  @discardableResult
  public func pack(
    base: Checkpoint, experts: [ExpertInput], to path: String, replacing: Bool = false,
    progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> PackSummary {
    try pack(base: base, experts: experts, to: path, replacing: replacing, with: [], progress: progress)
  }
}
