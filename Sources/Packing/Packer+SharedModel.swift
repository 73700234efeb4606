import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackMerging
import TMPackReading
import TMPackTensorKit

extension Packer {
  package func sharedCheckpoint(_ base: Checkpoint?) throws(StorageError) -> Checkpoint {
    switch sharedModel {
    case .given(let checkpoint, _): return checkpoint
    case .merged(let method):
      guard let base else { throw StorageError(.invalidArgument, "no base is given") }
      if isDetached, method.readsExperts {
        throw StorageError(
          .invalidArgument,
          "a detached archive needs a shared model that is a checkpoint"
        ).with(.shareCheckpoint)
      }
      return base
    }
  }

  /// - Returns: how many numbers of the merged model are too large for their dtype.
  func writeShared(
    _ checkpoint: Checkpoint, _ experts: [ExpertInput], _ digests: SourceDigests, to writer: ArchiveWriter,
    _ meter: inout ProgressMeter
  ) throws(StorageError) -> Int {
    let files = try place(checkpoint.archivedFiles, in: writer)
    let source = sharedSource(checkpoint, experts)
    let infos = source.tensors
    // Now, with all threads, unless nothing is left to merge.
    if let merged = source as? MergedOnDemand, !infos.indices.allSatisfy({ journal?.holds(.shared($0)) == true }) {
      try merged.prepare()
    }
    // Records hold results.
    let scratch = journal == nil ? writer.scratch() : nil
    var entries: [SharedEntry] = []
    var overflows = 0
    try pipeline.runJobs(infos.count, journal, key: { .shared($0) }, subject: { infos[$0] }) {
      index throws(StorageError) in
      let info = infos[index]
      return try sharedTensor(info, try source.opened(info), base: checkpoint.source, experts, scratch: scratch)
    } consume: { index, result, _ throws(StorageError) in
      entries.append(
        try result.entry(infos[index]) { payload throws(StorageError) in try writer.place(payload) })
      overflows += result.overflows
      meter.advance(UInt64(infos[index].byteCount))
    }
    let manifest = SharedManifest(
      tensors: entries, files: files, metadata: source.metadata,
      provenance: digests.provenance(of: checkpoint, options: options))
    try writer.finishShared(manifest, storage: isDetached ? .detached : .embedded, method: sharedRecord)
    return overflows
  }

  /// The shared model's tensors.
  package func sharedSource(_ checkpoint: Checkpoint, _ experts: [ExpertInput]) -> any TensorSource {
    guard case .merged(let method) = sharedModel else { return checkpoint.source }
    return MergedOnDemand(MergeSources(base: checkpoint, experts: experts), method: method, pipeline: pipeline)
  }

  /// How the shared model came about.
  package var sharedRecord: SharedMethod {
    switch sharedModel {
    case .merged(let method): method.record
    case .given(_, let record): record
    }
  }

  /// What becomes of a tensor of the shared model.
  package func sharedTensor(
    _ info: TensorInfo, _ tensor: OpenTensor, base: any TensorSource, _ experts: [ExpertInput],
    scratch: PayloadScratch? = nil
  ) throws(StorageError) -> SharedTensorResult {
    let sources = [(base, nil)] + experts.map { ($0.checkpoint.source, $0.name) }
    let isApproximated = rules.treatment(of: info.name) != .exact
    let scan = try TensorScan(
      tensor, isApproximated || mergesExperts ? info.dtype.floatFormat : nil, hasChecksum: isDetached)
    var overflows = 0
    if let first = scan.firstNonFinite {
      if isApproximated { try refuseNonFinite(info, scan, sources) }
      if mergesExperts { overflows = try info.overflowCount(of: tensor, from: first, mergedOf: sources.map(\.0)) }
    }
    return try SharedTensorResult(info, tensor, scan, overflows: overflows, as: sharedForm, scratch: scratch)
  }

  /// Refuses a shared tensor that is not finite where factors are to be taken against it, naming the source at fault. One
  /// that all sources have alike needs no factor.
  private func refuseNonFinite(
    _ info: TensorInfo, _ scan: TensorScan, _ sources: [(any TensorSource, expert: String?)]
  ) throws(StorageError) {
    guard let format = info.dtype.floatFormat else { return }
    var isMerged = false
    for (source, expert) in sources {
      guard let own = source.tensor(named: info.name), own.matches(info) else { continue }
      let found = try TensorScan(source.opened(own), format)
      guard found.digest != scan.digest else { continue }
      isMerged = true
      try located(file: source.label, expert: expert, tensor: info.name) { () throws(StorageError) in
        try found.refuseNonFinite(format)
      }
    }
    guard isMerged else { return }
    throw StorageError(.nonFinite, "the shared model overflows \(info.dtype.rawValue)", tensor: info.name)
  }
}

extension Packer {
  package var sharedForm: SharedForm {
    isDetached ? .detached : isMappable ? .mappable(level: level) : .compressed(level: level)
  }

  package var mergesExperts: Bool { if case .merged(let method) = sharedModel { method.readsExperts } else { false } }
}
