import TMPackByteIO
import TMPackCheckpoints
import TMPackPacking
import TMPackReading

/// Predicts what a packer would make of checkpoints, before any long work.
///
/// Headers are read whole; of the tensors only a sample, which goes through the packer's own encoders. Tensors whose
/// names differ in numbers only, of one shape, dtype and treatment, make a class, and each class is in the sample.
/// Nothing is written but scratch space, for a budget or an error, beside the output.
///
/// ```swift
/// let plan = try Planner(packer).plan(base: base, experts: experts, output: "zoo.tmpack")
/// for point in plan.experts[0].frontier { print(point.setting, point.bytes.value, point.error?.value ?? 0) }
/// ```
///
/// The predictions are the same in every run and with any number of threads, but for the times.
/// Memory: that of packing the sampled tensors, and up to a few MiB for each setting of the frontier.
package struct Planner: Sendable {
  package static let defaultSampleShare = 0.05
  /// Components of the frontier's quantised settings.
  package static let components = [8, 16, 24, 32, 50, 64]

  package let packer: Packer
  /// Of the tensors of each class, above 0 to 1; two of each at least, and all of small ones.
  package let sampleShare: Double
  /// How the checkpoints were opened.
  package let inputMode: InputMode
  /// Whether the shared model will first be written as a checkpoint of its own, and the archive be detached from it.
  package let writesSharedModel: Bool

  /// - Throws: `invalidArgument` for a share outside of (0, 1].
  package init(
    _ packer: Packer, sampleShare: Double = defaultSampleShare, inputMode: InputMode = .automatic,
    writesSharedModel: Bool = false
  ) throws(StorageError) {
    guard sampleShare > 0, sampleShare <= 1 else {
      throw StorageError(.invalidArgument, "the share of the sample must be above 0 and at most 1")
    }
    self.packer = packer
    self.sampleShare = sampleShare
    self.inputMode = inputMode
    self.writesSharedModel = writesSharedModel
  }

  /// Plans what `Packer.pack` would do with the same arguments.
  ///
  /// - Parameters:
  ///   - output: where the archive would be; nothing is written there. nil when it is not known: then scratch space,
  ///     if any is needed, is taken in the working directory.
  /// - Throws: what `Packer.pack` throws before it reads tensors, and what the readers throw. A NaN or an infinity
  ///   that packing would refuse is a finding, not an error.
  package func plan(
    base: Checkpoint?, experts: [ExpertInput], output: String? = nil,
    progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> PackPlan {
    guard !experts.isEmpty else { throw StorageError(.invalidArgument, "no expert is given") }
    try packer.checkNames(experts.map(\.name))
    guard !packer.rules.makesTALLMasks else {
      throw StorageError(.invalidArgument, "TALL masks cannot be planned: their sizes show only when they are made")
    }
    let reference = try referenceCheckpoint(base)
    let merging = packer.mergesExperts
    for checkpoint in [reference] + experts.map(\.checkpoint) {
      try packer.refuseCodes(of: checkpoint, merging: merging)
    }
    let experts = try experts.map { expert throws(StorageError) in try expert.cut(toRowsOf: reference.source) }
    try packer.checkArchitectures(of: experts, against: reference.source.tensors)
    var run = try PlanningRun(self, reference: reference, experts: experts, output: output, progress: progress)
    return try run.plan()
  }

  private func referenceCheckpoint(_ base: Checkpoint?) throws(StorageError) -> Checkpoint {
    if writesSharedModel, let base { return base }
    return try packer.sharedCheckpoint(base)
  }
}
