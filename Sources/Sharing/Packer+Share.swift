import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackJournal
import TMPackMerging
import TMPackModels
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit

/// What a run of a share has done.
package struct ShareSummary: Sendable {
  package let share: TaskShare
  package let path: String
  package let bytes: UInt64
  /// Jobs of the share.
  package let jobs: Int
  /// Of these, done by earlier runs.
  package let reusedJobs: Int
  /// Experts of which more than a head has no partner in the shared model, and is stored whole.
  package let unmatched: [UnmatchedParameters]
}

extension Packer {
  /// Does a share of the work, and leaves its results in a part for `join`.
  ///
  /// What an interrupted run has finished is beside the part, in a file of its name with `.resume` added, and is not done again.
  /// A part that is complete is left as it is. Two processes never work on the same part.
  ///
  /// Memory: as for `pack`; the shared tensors that are worked on are merged in memory.
  /// - Parameters:
  ///   - tasks: made by this packer of these models.
  ///   - replacing: whether something else at `path` may be replaced.
  /// - Throws: what `pack` throws; `outputExists`; `inputOutput` when another process works on the part.
  @discardableResult
  package func run(
    _ share: TaskShare, of tasks: TaskList, base: Checkpoint?, experts: [ExpertInput], to path: String,
    replacing: Bool = false, progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> ShareSummary {
    try checkSharesNothing()
    let inputs = try checkedInputs(base, experts)
    let jobs = tasks.jobs(of: share)
    let unmatched = inputs.shared.source.tensors.unmatched(in: experts)
    func finished() throws(StorageError) -> ShareSummary {
      ShareSummary(
        share: share, path: path, bytes: try ReadableFile(path, mode: .read).size, jobs: jobs.count,
        reusedJobs: jobs.count, unmatched: unmatched)
    }
    let leftover = try leftover(at: path, share, tasks, replacing: replacing)
    if leftover == .complete { return try finished() }
    let journal = try JobJournal(
      resuming: path + ".resume", share, plan: tasks.plan, kernels: BLAS.coreName, replacing: replacing,
      names: tasks.names)
    // Again, now that no one else works on it.
    if try self.leftover(at: path, share, tasks, replacing: replacing) == .complete {
      try journal.remove()
      return try finished()
    }

    let worker = ShareWorker(self, inputs, jobs, journal)
    let bytes = try jobs.map { job throws(StorageError) in try worker.inputBytes(of: job.key) }
    var meter = ProgressMeter(total: bytes.reduce(0, +), report: progress)
    meter.stage = "share \(share)"
    var reused = 0
    do {
      try worker.prepare()
    } catch {
      journal.removeIfEmpty()
      throw error
    }
    try pipeline.run(jobs.count) { index throws(StorageError) in
      try worker.record(of: jobs[index].key)
    } consume: { index, record throws(StorageError) in
      if let record { try journal.append(record) } else { reused += 1 }
      meter.advance(bytes[index])
    }
    for input in inputs.checkpoints { try input.checkUnchanged() }
    try journal.finish(as: path, replacing: replacing || leftover == .damaged)
    return ShareSummary(
      share: share, path: path, bytes: journal.bytes, jobs: jobs.count, reusedJobs: reused,
      unmatched: unmatched)
  }

  private enum Leftover {
    case nothing
    /// A complete part of the same share.
    case complete
    /// A part of the same share, some of whose records are not whole.
    case damaged
  }

  /// What is there already.
  private func leftover(
    at path: String, _ share: TaskShare, _ tasks: TaskList, replacing: Bool
  ) throws(StorageError) -> Leftover {
    guard let kind = FileTree.kind(of: path) else { return .nothing }
    let contents: JournalContents
    do throws(StorageError) {
      guard kind == .file else { throw StorageError(.unknownFormat, "is no file") }
      contents = try JournalContents(ReadableFile(path))
      guard contents.header.plan == tasks.plan, contents.header.share == share else {
        throw StorageError(.unknownFormat, "is another part")
      }
    } catch {
      if error.code.family == .inputOutput { throw error }
      if replacing { return .nothing }
      throw StorageError(.outputExists, "exists and is not part \(share) of this plan", file: path).with(.replace)
    }
    guard contents.isFinished, Set(contents.jobs.map(\.key)) == Set(tasks.jobs(of: share).map(\.key)) else {
      return .damaged
    }
    let jobs = contents.jobs
    do {
      try pipeline.run(jobs.count) { index throws(StorageError) in
        try jobs[index].stored.withBytes { _ in }
      } consume: { _, _ in
      }
    } catch {
      if error.code.family == .format { return .damaged }
      throw error
    }
    return .complete
  }
}

/// Does the jobs of a share.
private struct ShareWorker: Sendable {
  private struct SharedTensor: Sendable {
    let tensor: OpenTensor
    let entry: SharedEntry
  }

  private let packer: Packer
  private let shared: Checkpoint
  private let source: any TensorSource
  private let experts: [ExpertInput]
  private let paths: [String]
  /// Of each expert.
  private let makers: [NamedFactorMaker]
  private let sharedTensors: UseCountedCache<ExactString, SharedTensor>
  private let journal: JobJournal
  private let jobs: [PackJob]

  init(_ packer: Packer, _ inputs: PackInputs, _ jobs: [PackJob], _ journal: JobJournal) {
    let (shared, experts) = (inputs.shared, inputs.experts)
    self.packer = packer
    self.shared = shared
    self.experts = experts
    self.journal = journal
    self.jobs = jobs
    source = packer.sharedSource(shared, experts)
    paths = inputs.recordedFiles
    makers = experts.map { packer.maker(quality: packer.rate?.fixedQuality, for: $0) }
    sharedTensors = UseCountedCache(
      for: jobs.compactMap { Self.tensorName(of: $0.key, shared, experts).map(ExactString.init) })
  }

  /// What linear algebra needs, and what a merging method must know of whole models, with all threads, unless nothing is left to merge.
  package func prepare() throws(StorageError) {
    try packer.prepareLinearAlgebra()
    guard let merged = source as? MergedOnDemand,
      jobs.contains(where: { $0.key.kind != .source && !journal.holds($0.key) })
    else { return }
    try merged.prepare()
  }

  /// The result of a job; nil when the journal has it already.
  package func record(of key: JobKey) throws(StorageError) -> JobRecord? {
    if try journal.hasSound(key) {
      if let name = Self.tensorName(of: key, shared, experts) { sharedTensors.giveBack(ExactString(name)) }
      return nil
    }
    switch key.kind {
    case .source: return journal.record(try SourceDigests.record(of: paths[key.index]), of: key)
    case .shared:
      let info = shared.source.tensors[key.index]
      defer { sharedTensors.giveBack(ExactString(info.name)) }
      let tensor = try sharedTensor(info)
      let result = try packer.sharedTensor(info, tensor.tensor, base: shared.source, experts)
      return journal.record(result, of: key)
    case .analysis, .packing:
      let expert = experts[key.expert]
      let infos = expert.checkpoint.source.tensors
      let info = infos[key.index]
      defer { sharedTensors.giveBack(ExactString(info.name)) }
      let tensor = try shared.source.tensor(named: info.name).map { base throws(StorageError) in
        try sharedTensor(base)
      }
      let base = tensor?.entry
      let openBase = { () throws(StorageError) -> OpenTensor in tensor!.tensor }
      if key.kind == .packing {
        return journal.record(
          try packer.packed(info, of: expert, makers[key.expert], base: base, openBase: openBase), of: key)
      }
      let demand = packer.tripletDemand(infos, experts.count)
      return journal.record(
        try packer.analysed(info, of: expert, demand, base: base, openBase: openBase), of: key)
    case .probe: preconditionFailure("a search is of all tensors")
    }
  }

  /// To be given back.
  private func sharedTensor(_ info: TensorInfo) throws(StorageError) -> SharedTensor {
    try sharedTensors.borrow(ExactString(info.name)) { () throws(StorageError) in
      let tensor = try source.opened(info)
      return SharedTensor(tensor: tensor, entry: try SharedEntry(detached: info, tensor))
    }
  }

  /// For progress.
  package func inputBytes(of key: JobKey) throws(StorageError) -> UInt64 {
    switch key.kind {
    case .source: try ReadableFile(paths[key.index], mode: .read).size
    case .shared: UInt64(shared.source.tensors[key.index].byteCount)
    case .analysis, .probe, .packing:
      UInt64(experts[key.expert].checkpoint.source.tensors[key.index].byteCount)
    }
  }

  private static func tensorName(of key: JobKey, _ shared: Checkpoint, _ experts: [ExpertInput]) -> String? {
    switch key.kind {
    case .source: nil
    case .shared: shared.source.tensors[key.index].name
    case .analysis, .probe, .packing: experts[key.expert].checkpoint.source.tensors[key.index].name
    }
  }
}
