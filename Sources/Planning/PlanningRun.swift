import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackMerging
import TMPackModels
import TMPackPacking
import TMPackReading
import TMPackTensorKit

/// One plan in the making.
struct PlanningRun {
  let planner: Planner
  package var packer: Packer { planner.packer }
  /// The base or the given shared model.
  package let reference: Checkpoint
  package let shared: any TensorSource
  package let experts: [ExpertInput]
  package let output: String?
  private let scratch: ScratchFile?
  /// Stands behind the shared model.
  private let writer: ArchiveWriter
  private let headerBytes: UInt64
  /// Stands behind the experts so far, as they will be packed.
  var packedWriter: ArchiveWriter

  private var surveys: [ExpertSurvey] = []
  private(set) var samples: [TensorSample] = []
  private var meter: ProgressMeter
  /// Of the passes over all tensors, predicted from those over the sample.
  var seconds = 0.0

  /// What is known of an expert after its tensors were sampled.
  struct SampledExpert {
    let empty: EmptyExpert
    let frontier: [PackPlan.Point]
    /// As it would be packed, unless a rate is to be searched.
    var outcome: (bytes: Estimate, error: Estimate?)?
    var curve: RateCurve?
  }

  init(
    _ planner: Planner, reference: Checkpoint, experts: [ExpertInput], output: String?,
    progress: @escaping (WorkProgress) -> Void
  ) throws(StorageError) {
    self.planner = planner
    self.reference = reference
    self.experts = experts
    self.output = output
    let packer = planner.packer
    try packer.prepareLinearAlgebra()
    switch packer.sharedModel {
    case .merged(let method):
      shared = try SharedModelSource(
        MergeSources(base: reference, experts: experts), method: method, pipeline: packer.pipeline)
    case .given: shared = reference.source
    }
    scratch = packer.searchesRate ? try ScratchFile(besides: output ?? "tmpack-plan") : nil
    writer = ArchiveWriter(measuringAt: packer.level)
    headerBytes = writer.position
    packedWriter = writer
    try writer.finishShared(
      SharedManifest(
        tensors: shared.tensors.map { SharedEntry(standingInFor: $0) },
        files: try packer.place(reference.archivedFiles, in: writer), metadata: shared.metadata,
        provenance: try Provenance(standingInFor: reference, options: packer.options)),
      storage: .detached, method: SharedMethod(.given))

    for expert in experts {
      surveys.append(
        try located(expert: expert.name) { () throws(StorageError) in
          try ExpertSurvey(of: expert.checkpoint.source, against: reference.source)
        })
    }
    for index in experts.indices { samples.append(Self.sample(index, experts, surveys, shared, planner)) }
    let bytes = samples.reduce(0) { $0 + $1.byteCount }
    meter = ProgressMeter(total: max(1, scratch == nil ? bytes : 2 * bytes), report: progress)
  }

  private static func sample(
    _ index: Int, _ experts: [ExpertInput], _ surveys: [ExpertSurvey], _ shared: any TensorSource, _ planner: Planner
  ) -> TensorSample {
    let source = experts[index].checkpoint.source
    let ties = source.ties
    let (rules, merges) = (planner.packer.rules, planner.packer.mergesExperts)
    let tensors = source.tensors.map { info in
      let isStored = shared.tensor(named: info.name)?.matches(info) != true
      let isFloat = info.dtype.floatFormat != nil
      let key = TensorClass(
        info, treatment: isStored ? nil : isFloat ? rules.treatment(of: info.name) : .exact,
        isTied: ties.tie(of: info.name) != nil, differs: surveys[index].differs(info.name),
        othersDiffer: merges && surveys.indices.contains { $0 != index && surveys[$0].differs(info.name) },
        isRepeated: isRepeated(info, index, experts, surveys))
      return (info, key)
    }
    return TensorSample(of: tensors, share: planner.sampleShare)
  }

  /// Whether an earlier expert's tensor equals this one, in that neither differs from the reference.
  private static func isRepeated(
    _ info: TensorInfo, _ index: Int, _ experts: [ExpertInput], _ surveys: [ExpertSurvey]
  ) -> Bool {
    !surveys[index].differs(info.name)
      && surveys[..<index].indices.contains {
        !surveys[$0].differs(info.name) && experts[$0].checkpoint.source.tensor(named: info.name) != nil
      }
  }

  /// Whether earlier experts have all tensors of this one.
  func repeatsAll(_ index: Int) -> Bool {
    experts[index].checkpoint.source.tensors.allSatisfy { Self.isRepeated($0, index, experts, surveys) }
  }

  // MARK: The parts

  package mutating func plan() throws(StorageError) -> PackPlan {
    let sharedBytes = try planShared()
    var sampled: [SampledExpert] = []
    for index in experts.indices { sampled.append(try planExpert(index)) }

    var verdict = refusal
    var qualities: [Double?] = experts.map { _ in nil }
    if packer.searchesRate, verdict == .possible {
      (qualities, verdict) = try searchRate(&sampled, shared: sharedBytes)
      for (index, quality) in qualities.enumerated() {
        guard let quality else { continue }
        sampled[index].outcome = try pack(
          index, sampled[index], quality: quality, isNew: !qualities[..<index].contains(quality),
          sharedBytes: sharedBytes)
      }
    }
    let outcomes = sampled.enumerated().map { index, expert in
      expert.outcome.map { PackPlan.Outcome(bytes: $0.bytes, error: $0.error, quality: qualities[index]) }
    }
    var archiveBytes: Estimate? = sharedBytes + Estimate(frameBytes)
    for outcome in outcomes {
      if let sum = archiveBytes, let outcome { archiveBytes = sum + outcome.bytes } else { archiveBytes = nil }
    }
    if let sum = archiveBytes { archiveBytes = controlled(sum) }
    return PackPlan(
      experts: experts.indices.map { index in
        PackPlan.Expert(
          name: experts[index].name, tensors: experts[index].checkpoint.source.tensors.count,
          findings: surveys[index].findings, sampledTensors: samples[index].members.count,
          sampledShare: samples[index].share, frontier: sampled[index].frontier, outcome: outcomes[index])
      },
      changes: try experts.map { expert throws(StorageError) in
        try ModelChange(of: expert.checkpoint.source, named: expert.name, against: reference.source)
      },
      unmatched: reference.source.tensors.unmatched(in: experts), sharedBytes: sharedBytes,
      archiveBytes: archiveBytes, sharedDTypes: reference.source.dtypeCounts,
      sharedTies: reference.source.ties, verdict: verdict, cost: try cost())
  }

  /// The header slots and the index.
  var frameBytes: Double { Double(headerBytes) + Double(256 + 192 * experts.count) }

  private var refusal: PackPlan.Verdict {
    for (expert, survey) in zip(experts, surveys) {
      if let found = survey.findings.nonFinite.first {
        return .refused("expert '\(expert.name)', tensor '\(found.tensor)': \(found.message)")
      }
    }
    return .possible
  }

  /// What the shared model takes.
  private mutating func planShared() throws(StorageError) -> Estimate {
    meter.stage = "sampling the shared model"
    let infos = shared.tensors
    let ties = reference.source.ties
    let sample = TensorSample(
      of: infos.map { ($0, TensorClass($0, isTied: ties.tie(of: $0.name) != nil)) }, share: planner.sampleShare)
    let isDetached = packer.isDetached
    let dry = ArchiveWriter(measuringAt: packer.level)
    let start = dry.position
    let files = try packer.place(reference.archivedFiles, in: dry)
    let empty = dry.measuring()
    var entries: [SharedEntry] = []
    var items = StratifiedSample(populations: sample.populations)
    var longest = 0.0
    let (shared, form) = (shared, packer.sharedForm)
    try packer.pipeline.run(sample.members.count) { index throws(StorageError) -> (SharedTensorResult, Double) in
      let start = ContinuousClock.now
      let info = sample.members[index].info
      let tensor = try shared.opened(info)
      let result = try SharedTensorResult(info, tensor, TensorScan(tensor, hasChecksum: isDetached), as: form)
      return (result, (ContinuousClock.now - start) / .seconds(1))
    } consume: { index, product throws(StorageError) in
      let (result, seconds) = product
      let (info, stratum) = sample.members[index]
      entries.append(try result.entry(info) { payload throws(StorageError) in try dry.place(payload) })
      let payload = result.payload
      let stored = ties.tie(of: info.name) == nil ? payload?.storedSize ?? 0 : 0
      var item = StratifiedSample.Item(size: Double(stored + QuantizableTensor.entryOverhead), seconds: seconds)
      item.framed = payload?.sharesFrames == false ? Double(stored) : 0
      items.add(item, to: stratum)
      longest = max(longest, seconds)
    }
    func bytes(_ entries: [SharedEntry], _ writer: ArchiveWriter) throws(StorageError) -> Double {
      try writer.finishShared(
        SharedManifest(
          tensors: entries, files: files, metadata: shared.metadata,
          provenance: try Provenance(standingInFor: reference, options: packer.options)),
        storage: isDetached ? .detached : .embedded, method: SharedMethod(.given))
      return Double(writer.position - start)
    }
    seconds += TimeModel(threads: packer.pipeline.threads).pass(items.total(\.seconds).value, longest: longest)
    let (measured, fixed) = (try bytes(entries, dry), try bytes([], empty))
    return items.expanded(measured: measured, fixed: fixed, ratio: items.ratio(measured: measured, fixed: fixed))
  }

  /// Samples an expert: its frontier, and what it becomes or how its rate can be searched.
  private mutating func planExpert(_ index: Int) throws(StorageError) -> SampledExpert {
    let expert = experts[index]
    meter.stage = "sampling \(expert.name)"
    let sample = samples[index]
    let empty = try emptyExpert(index, behind: writer)
    let sampler = ExpertSampler(
      packer: packer, expert: expert, shared: shared,
      makeFactor: packer.maker(quality: packer.rate?.fixedQuality, for: expert),
      search: scratch.map { (packer.largestRank(expert.checkpoint.source.tensors, experts.count), $0) },
      frontier: Planner.components)
    var meters = (0...Planner.components.count).map { _ in ExpertMeter(empty, populations: sample.populations) }
    var packed = FollowingMeter(
      try emptyExpert(index, behind: packedWriter), alone: empty, populations: sample.populations,
      repeatsAll: repeatsAll(index))
    var faults: [PlanFindings.NonFinite] = []
    var unchanged: Set<ExactString> = []
    var curve: RateCurve?
    if let rate = packer.rate, packer.searchesRate {
      curve = RateCurve(
        rate: rate, pipeline: packer.pipeline, populations: sample.populations,
        emptyBytes: try empty.bytes(of: [], in: empty.open()))
    }
    seconds += try sweep(index, sampler) { tensor, info, stratum, copies throws(StorageError) in
      for (setting, content) in tensor.frontier.enumerated() {
        try meters[setting].add(content, stratum: stratum, isTied: copies.tied)
      }
      if let content = tensor.packed {
        try packed.add(content, stratum: stratum, isTied: copies.tied, isRepeated: copies.repeated)
      }
      curve?.add(tensor, named: info.name, stratum: stratum, isRepeated: copies.repeated)
      if let fault = tensor.nonFinite { faults.append(fault) }
      if tensor.isUnchanged { unchanged.insert(ExactString(info.name)) }
    }
    surveys[index].findings.nonFinite += faults
    for (info, _) in sample.members {
      surveys[index].learn(info.name, isUnchanged: unchanged.contains(ExactString(info.name)))
    }
    var frontier: [PackPlan.Point] = []
    for (setting, meter) in meters.enumerated() {
      frontier.append(
        PackPlan.Point(
          setting: setting < Planner.components.count ? .components(Planner.components[setting]) : .lossless,
          bytes: try meter.bytes(), error: meter.sample.relativeError))
    }
    var outcome: (bytes: Estimate, error: Estimate?)?
    if curve == nil {
      outcome = (try packed.bytes(), packed.error)
      packedWriter = packed.writer
    }
    return SampledExpert(empty: empty, frontier: frontier, outcome: outcome, curve: curve)
  }

  func emptyExpert(_ index: Int, behind writer: ArchiveWriter) throws(StorageError) -> EmptyExpert {
    try EmptyExpert(
      experts[index], absent: surveys[index].findings.absentFromExpert, sharedFiles: reference.archivedFiles,
      behind: writer, packer: packer)
  }

  /// Looks at the sampled tensors of an expert, in order.
  ///
  /// - Returns: what the same over all of its tensors would take, in seconds.
  mutating func sweep(
    _ index: Int, _ sampler: ExpertSampler,
    consume: (_ tensor: SampledTensor, _ info: TensorInfo, _ stratum: Int, _ copies: (tied: Bool, repeated: Bool))
      throws(StorageError) -> Void
  ) throws(StorageError) -> Double {
    let sample = samples[index]
    let ties = experts[index].checkpoint.source.ties
    var times = StratifiedSample(populations: sample.populations)
    var longest = 0.0
    try packer.pipeline.run(sample.members.count) { position throws(StorageError) in
      try sampler.sample(sample.members[position].info)
    } consume: { position, tensor throws(StorageError) in
      let (info, stratum) = sample.members[position]
      let isRepeated = Self.isRepeated(info, index, experts, surveys)
      try consume(tensor, info, stratum, (ties.tie(of: info.name) != nil, isRepeated))
      times.add(.init(seconds: tensor.seconds), to: stratum)
      longest = max(longest, tensor.seconds)
      meter.advance(UInt64(info.byteCount))
    }
    return TimeModel(threads: packer.pipeline.threads).pass(times.total(\.seconds).value, longest: longest)
  }
}

extension TensorSample {
  package var byteCount: UInt64 { members.reduce(0) { $0 + UInt64($1.info.byteCount) } }
}
