import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackJournal
import TMPackMerging
import TMPackModels
import TMPackParallel
import TMPackReading
import TMPackTensorKit

/// Packs fine-tuned checkpoints into an archive: a shared model, and for each expert what makes it different.
///
/// Tensors are packed one a thread and written in order, so the archive's bytes do not depend on the number of threads.
/// Memory: a few times the largest tensor for each thread, whatever the size of the checkpoints.
public struct Packer: Sendable {
  /// Where the shared model comes from.
  package enum SharedModel: Sendable {
    /// Merged from the base and the experts.
    case merged(any MergingMethod)
    /// A checkpoint that was merged elsewhere, or earlier; recorded as made by a method.
    case given(Checkpoint, record: SharedMethod = SharedMethod(.given))
  }

  package let sharedModel: SharedModel
  package let rules: TensorRules
  /// For the tensors that `rules` leave to it.
  package let rate: RateControl?
  /// Whether the shared model's tensors stay outside, bound by digest (TMP-6-4).
  package let isDetached: Bool
  /// Whether they are stored as they are, where they do not stay outside (TMP-5-12).
  package let isMappable: Bool
  /// Whether factors go with what makes them exact, apart (TMP-6-17).
  package let storesCorrections: Bool
  /// zstd's.
  package let level: Int
  package let pipeline: OrderedPipeline
  /// As provenance records them.
  package let options: [String: String]
  /// What provenance records of single experts besides, by their names.
  package let expertOptions: [String: [String: String]]
  /// What has been done already, and where to keep what is done now.
  package var journal: JobJournal?

  package init(
    sharedModel: SharedModel = .merged(TaskArithmetic()), rules: TensorRules, rate: RateControl? = nil,
    isDetached: Bool = false, isMappable: Bool = false, storesCorrections: Bool = false, level: Int = 3,
    pipeline: OrderedPipeline = .automatic, options: [String: String] = [:],
    expertOptions: [String: [String: String]] = [:]
  ) {
    self.sharedModel = sharedModel
    self.rules = rules
    self.rate = rate
    self.isDetached = isDetached
    self.isMappable = isMappable
    self.storesCorrections = storesCorrections
    self.level = level
    self.pipeline = pipeline
    self.options = options
    self.expertOptions = expertOptions
  }

  /// Makes an archive.
  ///
  /// - Parameters:
  ///   - base: may be nil when the shared model is given.
  ///   - experts: at least one, of different names.
  ///   - others: outputs that appear together with the archive, or not at all, such as a shared model that it is bound to.
  /// - Throws: `nonFinite` for a NaN or infinity in a tensor to be approximated; `shapeMismatch` for an expert of another
  ///   architecture; `invalidArgument`; what the readers and the writer throw. Nothing is left at `path` then.
  package func pack(
    base: Checkpoint?, experts: [ExpertInput], to path: String, replacing: Bool = false,
    with others: [any StagedOutput] = [], progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> PackSummary {
    let inputs = try checkedInputs(base, experts)
    let (shared, experts) = (inputs.shared, inputs.experts)
    try refuseHopelessBudget(sharing: inputs.shared)
    let changes = try inputs.changes()
    try FileTree.check(path, replacesNoneOf: inputs.paths)
    let writer = try ArchiveWriter(
      creating: path, replacing: replacing, level: level, temporary: journal?.temporaryOutput)
    var meter = ProgressMeter(
      parts: progressParts(
        digested: try inputs.recorded.weightBytes(), sharing: shared.source, reference: shared.source, experts),
      report: progress)
    let digests = try digest(inputs.recorded, &meter)

    meter.stage =
      mergesExperts ? "merging the shared model" : "\(isDetached ? "digesting" : "copying") the shared model"
    let overflows = try writeShared(shared, experts, digests, to: writer, &meter)
    let notes = try writeExperts(
      experts, digests, to: writer, shared: shared.source, isCopied: !mergesExperts, path, &meter)
    return try finish(
      writer, experts: experts, of: inputs.checkpoints, with: others, changes: changes, notes: notes,
      overflows: overflows)
  }

  /// Adds experts to an archive, in place. The shared model and the other experts stay as they are.
  ///
  /// A crash at any instant leaves the archive as it was (TMP-2-9).
  package func add(
    _ experts: [ExpertInput], to archive: Archive, progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> PackSummary {
    guard !experts.isEmpty else { throw StorageError(.invalidArgument, "no expert is given") }
    try checkNames(experts.map(\.name))
    for expert in experts where archive.experts.contains(where: { $0.name.hasSameBytes(as: expert.name) }) {
      throw StorageError(
        .invalidArgument, "has an expert of that name already", file: archive.path, expert: expert.name)
    }
    guard !rules.makesTALLMasks else {
      throw StorageError(
        .invalidArgument,
        "TALL masks are of the experts that are packed together; pack all of them anew, or add with other factors")
    }
    let infos = try archive.sharedManifest().infos
    for expert in experts { try refuseCodes(of: expert.checkpoint, merging: false) }
    let model = try Reconstructor(archive, memoryLimit: 0).mix(.shared)
    let experts = try experts.map { expert throws(StorageError) in try expert.cut(toRowsOf: model) }
    try checkArchitectures(of: experts, against: infos)
    let changes = try experts.map { expert throws(StorageError) in
      try ModelChange(of: expert.checkpoint.source, named: expert.name, against: model)
    }

    let writer = try ArchiveWriter(appendingTo: archive.file, level: level)
    let checkpoints = experts.map(\.checkpoint)
    var meter = ProgressMeter(
      parts: progressParts(digested: try checkpoints.weightBytes(), sharing: nil, reference: model, experts),
      report: progress)
    let digests = try digest(checkpoints, &meter)
    let notes = try writeExperts(
      experts, digests, to: writer, shared: archive.givenSharedModel, isCopied: false, archive.path, &meter)
    return try finish(writer, experts: experts, of: checkpoints, changes: changes, notes: notes)
  }

  // MARK: Checks

  /// The models, once the request is known to be sound.
  package func checkedInputs(_ base: Checkpoint?, _ experts: [ExpertInput]) throws(StorageError) -> PackInputs {
    guard !experts.isEmpty else { throw StorageError(.invalidArgument, "no expert is given") }
    try checkNames(experts.map(\.name))
    try checkTALLMasks()
    let shared = try sharedCheckpoint(base)
    let experts = try experts.map { expert throws(StorageError) in try expert.cut(toRowsOf: shared.source) }
    let inputs = PackInputs(shared: shared, base: base, experts: experts)
    for checkpoint in inputs.recorded { try refuseCodes(of: checkpoint, merging: mergesExperts) }
    try checkArchitectures(of: experts, against: shared.source.tensors)
    return inputs
  }

  /// Refuses weights that are kept as codes where the packing is not exact: a scale that is merged or approximated falsifies
  /// all numbers that it belongs to, and no sum of codes means anything.
  package func refuseCodes(of checkpoint: Checkpoint, merging: Bool) throws(StorageError) {
    let quantization = try checkpoint.quantization()
    if merging { try quantization.refuse("merged", remedy: .shareBase) }
    // Where only the configuration speaks of codes, any tensor may be some.
    let codes =
      quantization.weights.isEmpty
      ? checkpoint.source.tensors.map(\.name) : quantization.weights.names.map(\.text)
    guard codes.contains(where: { rules.treatment(of: $0) != .exact }) else { return }
    try quantization.refuse("approximated", remedy: .keepCodes)
  }

  /// Refuses experts that have most of their parameters alone: they would be stored whole, surely a mistake.
  package func checkArchitectures(of experts: [ExpertInput], against shared: [TensorInfo]) throws(StorageError) {
    for expert in experts {
      // Its numbers would be stored beside the base's codes, under a configuration that knows of codes only.
      if expert.adapted != nil { try Self.refuseCodesOfOne(expert, against: shared) }
      if Self.hasCodesOfNumbers(expert, against: shared) { continue }
      do throws(StorageError) {
        try expert.checkpoint.source.checkArchitecture(as: expert.name, against: shared)
        let unmatched = UnmatchedParameters(of: expert.checkpoint.source, named: expert.name, in: shared)
        if unmatched.isMostOfBoth { throw unmatched.error }
      } catch {
        try Self.refuseCodesOfOne(expert, against: shared)
        throw error
      }
    }
  }

  /// Whether an expert keeps weights as codes that the shared model has as numbers, under the same names: it is stored as it is then,
  /// and decoded where it is mixed.
  private static func hasCodesOfNumbers(_ expert: ExpertInput, against shared: [TensorInfo]) -> Bool {
    let own = CodedWeights(in: expert.checkpoint.source.tensors).weights
    return !own.isEmpty
      && own.allSatisfy { weight in
        shared.index(ofTensor: weight.name).map { shared[$0].dtype.floatFormat != nil } ?? false
      }
  }

  /// Codes and numbers have no bit in common, though they may be of one model.
  private static func refuseCodesOfOne(_ expert: ExpertInput, against shared: [TensorInfo]) throws(StorageError) {
    let (own, theirs) = (CodedWeights(in: expert.checkpoint.source.tensors), CodedWeights(in: shared))
    guard own.isEmpty != theirs.isEmpty, let first = (own.isEmpty ? theirs : own).weights.first else { return }
    let (coded, plain) = own.isEmpty ? ("the base", "the expert") : ("the expert", "the base")
    throw StorageError(
      .unsupportedFeature,
      "is kept as codes by \(coded) (\(first.scheme.rawValue)) and as numbers by \(plain), which have not a bit in common: decode the codes first, or pack with loss, which decodes them",
      file: expert.checkpoint.path, expert: expert.name, tensor: first.name)
  }

  package func checkNames(_ names: [String]) throws(StorageError) {
    var seen: Set<ExactString> = []
    for name in names where !seen.insert(ExactString(name)).inserted {
      throw StorageError(.invalidArgument, "two experts have the name '\(name)'")
    }
  }

  // MARK: The frame of both

  /// Has the system's refusal come before the work.
  package func prepareLinearAlgebra() throws(StorageError) {
    if rules.usesLinearAlgebra { try BLAS.prepare(threads: pipeline.threads) }
  }

  private func digest(_ checkpoints: [Checkpoint], _ meter: inout ProgressMeter) throws(StorageError) -> SourceDigests {
    meter.stage = "digesting the sources"
    var copy = meter
    defer { meter = copy }
    return try SourceDigests(of: checkpoints, pipeline: pipeline, journal: journal) { copy.advance($0) }
  }

  private func finish(
    _ writer: ArchiveWriter, experts: [ExpertInput], of inputs: [Checkpoint], with others: [any StagedOutput] = [],
    changes: [ModelChange], notes: [PackSummary.Note], overflows: Int = 0
  ) throws(StorageError) -> PackSummary {
    // All that can fail comes first: when the archive is there, the work has succeeded.
    let shared = writer.sharedSection?.manifest.infos ?? []
    let inputBytes = try experts.map(\.checkpoint).weightBytes()
    for input in inputs { try input.checkUnchanged() }
    let root = try writer.commit(with: others)
    return PackSummary(
      archiveBytes: writer.position, inputBytes: inputBytes, rootDigest: root,
      experts: writer.experts, unmatched: shared.unmatched(in: experts), changes: changes, notes: notes,
      overflows: overflows,
      reusedJobs: journal?.counts.reused)
  }
}

extension [TensorInfo] {
  /// Of the experts those of which more than a head has no partner among these tensors of a shared model.
  package func unmatched(in experts: [ExpertInput]) -> [UnmatchedParameters] {
    experts.map { UnmatchedParameters(of: $0.checkpoint.source, named: $0.name, in: self) }
      .filter { $0.share > UnmatchedParameters.tolerated }
  }
}

extension [Checkpoint] {
  /// Bytes of all weight files.
  func weightBytes() throws(StorageError) -> UInt64 {
    var sum: UInt64 = 0
    for checkpoint in self { sum += try checkpoint.weightBytes() }
    return sum
  }
}
