import ArchiveFormat
import ByteIO
import Checkpoints
import Digests
import Parallel
import TensorKit

/// Packs fine-tuned checkpoints into an archive: a shared model, and for each expert what makes it different.
///
/// Tensors are packed one a thread and written in order, so the archive's bytes do not depend on the number of threads.
/// Memory: a few times the largest tensor for each thread, whatever the size of the checkpoints.
public struct Packer: Sendable {
  /// Where the shared model comes from.
  public enum SharedModel: Sendable {
    /// Merged from the base and the experts.
    case merged(any MergingMethod)
    /// A checkpoint that was merged elsewhere, or earlier; recorded as made by a method.
    case given(Checkpoint, record: SharedMethod = SharedMethod(.given))
  }

  public let sharedModel: SharedModel
  public let rules: TensorRules
  /// Whether the shared model's tensors stay outside, bound by digest (TMP-6-4).
  public let isDetached: Bool
  /// Whether factors go with what makes them exact, apart (TMP-6-17).
  public let storesCorrections: Bool
  /// zstd's.
  public let level: Int
  public let pipeline: OrderedPipeline
  /// As provenance records them.
  public let options: [String: String]

  public init(
    sharedModel: SharedModel = .merged(TaskArithmetic()), rules: TensorRules, isDetached: Bool = false,
    storesCorrections: Bool = false, level: Int = 3,
    pipeline: OrderedPipeline = .automatic, options: [String: String] = [:]
  ) {
    self.sharedModel = sharedModel
    self.rules = rules
    self.isDetached = isDetached
    self.storesCorrections = storesCorrections
    self.level = level
    self.pipeline = pipeline
    self.options = options
  }

  /// Makes an archive.
  ///
  /// - Parameters:
  ///   - base: may be nil when the shared model is given.
  ///   - experts: at least one, of different names.
  /// - Throws: `nonFinite` for a NaN or infinity in a tensor to be approximated; `shapeMismatch` for an expert of another
  ///   architecture; `invalidArgument`; what the readers and the writer throw. Nothing is left at `path` then.
  public func pack(
    base: Checkpoint?, experts: [ExpertInput], to path: String, replacing: Bool = false,
    progress: @escaping (Progress) -> Void = { _ in }
  ) throws(StorageError) -> PackSummary {
    guard !experts.isEmpty else { throw StorageError(.invalidArgument, "no expert is given") }
    try checkNames(experts.map(\.name))
    let shared = try sharedCheckpoint(base)
    for expert in experts { try checkArchitecture(expert, shared.source.tensors) }

    let writer = try ArchiveWriter(creating: path, replacing: replacing, level: level)
    let digested = [shared] + experts.map(\.checkpoint)
    let sharedBytes = shared.source.byteCount
    let expertBytes = experts.reduce(0) { $0 + $1.checkpoint.source.byteCount }
    var meter = ProgressMeter(
      total: try digested.weightBytes() + sharedBytes + expertBytes, report: progress)
    let digests = try digest(digested, &meter)

    meter.stage = "merging the shared model"
    try writeShared(shared, experts, digests, to: writer, &meter)
    let notes = try writeExperts(experts, digests, to: writer, shared: shared.source, path, &meter)
    return try finish(writer, path: path, experts: experts, notes: notes)
  }

  /// Adds experts to an archive, in place. The shared model and the other experts stay as they are.
  ///
  /// A crash at any instant leaves the archive as it was (TMP-2-9).
  public func add(
    _ experts: [ExpertInput], to archive: Archive, progress: @escaping (Progress) -> Void = { _ in }
  ) throws(StorageError) -> PackSummary {
    guard !experts.isEmpty else { throw StorageError(.invalidArgument, "no expert is given") }
    try checkNames(archive.experts.map(\.name) + experts.map(\.name))
    let infos = try archive.sharedManifest().tensors.map(\.info)
    for expert in experts { try checkArchitecture(expert, infos) }

    let writer = try ArchiveWriter(appendingTo: archive.file, level: level)
    let checkpoints = experts.map(\.checkpoint)
    let expertBytes = experts.reduce(0) { $0 + $1.checkpoint.source.byteCount }
    var meter = ProgressMeter(total: try checkpoints.weightBytes() + expertBytes, report: progress)
    let digests = try digest(checkpoints, &meter)
    let notes = try writeExperts(experts, digests, to: writer, shared: archive.givenSharedModel, archive.path, &meter)
    return try finish(writer, path: archive.path, experts: experts, notes: notes)
  }

  // MARK: Checks

  private func checkNames(_ names: [String]) throws(StorageError) {
    var seen: Set<String> = []
    for name in names where !seen.insert(name).inserted {
      throw StorageError(.invalidArgument, "two experts have the name '\(name)'")
    }
  }

  /// An expert that shares nothing with the model would be stored whole, tensor by tensor: surely a mistake.
  private func checkArchitecture(_ expert: ExpertInput, _ shared: [TensorInfo]) throws(StorageError) {
    let own = expert.checkpoint.source
    if shared.isEmpty || own.tensors.isEmpty { return }
    if shared.contains(where: { own.tensor(named: $0.name)?.matches($0) == true }) { return }
    let first = shared[0]
    let found = own.tensor(named: first.name).map { "\($0.dtype.rawValue) \($0.shape)" } ?? "absent"
    throw StorageError(
      .shapeMismatch,
      "is of another architecture: no tensor agrees with the shared model's; the first, \(first.dtype.rawValue) \(first.shape), is \(found) here",
      file: own.label, expert: expert.name, tensor: first.name)
  }

  private func sharedCheckpoint(_ base: Checkpoint?) throws(StorageError) -> Checkpoint {
    switch sharedModel {
    case .given(let checkpoint, _): return checkpoint
    case .merged(let method):
      guard let base else { throw StorageError(.invalidArgument, "no base is given") }
      if isDetached, method.readsExperts {
        throw StorageError(
          .invalidArgument,
          "a detached archive needs a shared model that is a checkpoint: --shared base, --shared-from or --shared-out")
      }
      return base
    }
  }

  // MARK: Writing

  private func digest(_ checkpoints: [Checkpoint], _ meter: inout ProgressMeter) throws(StorageError) -> SourceDigests {
    meter.stage = "digesting the sources"
    var copy = meter
    defer { meter = copy }
    return try SourceDigests(of: checkpoints, pipeline: pipeline) { copy.advance($0) }
  }

  private func writeShared(
    _ checkpoint: Checkpoint, _ experts: [ExpertInput], _ digests: SourceDigests, to writer: ArchiveWriter,
    _ meter: inout ProgressMeter
  ) throws(StorageError) {
    let files = try place(checkpoint.carriedFiles, in: writer)
    let source: any TensorSource
    let record: SharedMethod
    switch sharedModel {
    case .merged(let method):
      source = SharedModelSource(base: checkpoint.source, experts: experts.map(\.checkpoint.source), method: method)
      record = method.record
    case .given(_, let given):
      source = checkpoint.source
      record = given
    }
    let infos = source.tensors
    var entries: [SharedEntry] = []
    try pipeline.run(infos.count) { index throws(StorageError) -> (Digest, EncodedPayload?) in
      let info = infos[index]
      return try source.bytes(of: info).withBytes { raw throws(StorageError) in
        try refuseNonFinite(info, raw, base: checkpoint.source, experts)
        let payload = isDetached ? nil : EncodedPayload(tensor: raw, dtype: info.dtype, level: level)
        return (Digest(of: raw), payload)
      }
    } consume: { index, result throws(StorageError) in
      let (digest, payload) = result
      let reference = try payload.map { encoded throws(StorageError) in try writer.place(encoded) }
      entries.append(SharedEntry(info: infos[index], digest: digest, payload: reference))
      meter.advance(UInt64(infos[index].byteCount))
    }
    let manifest = SharedManifest(
      tensors: entries, files: files, metadata: source.metadata,
      provenance: digests.provenance(of: checkpoint, options: options))
    try writer.finishShared(manifest, storage: isDetached ? .detached : .embedded, method: record)
  }

  /// Refuses a shared tensor that is not finite where factors are to be taken against it, naming the source at fault.
  private func refuseNonFinite(
    _ info: TensorInfo, _ bytes: UnsafeRawBufferPointer, base: any TensorSource, _ experts: [ExpertInput]
  ) throws(StorageError) {
    guard case .factor = rules.treatment(of: info.name), let format = info.dtype.floatFormat,
      format.firstNonFinite(bytes) != nil
    else { return }
    for (source, expert) in [(base, nil)] + experts.map({ ($0.checkpoint.source, $0.name) }) {
      guard let own = source.tensor(named: info.name), own.matches(info) else { continue }
      try located(file: source.label, expert: expert, tensor: info.name) { () throws(StorageError) in
        try source.bytes(of: own).withBytes { raw throws(StorageError) in try PackedTensor.refuseNonFinite(raw, format)
        }
      }
    }
    throw StorageError(.nonFinite, "the shared model overflows \(info.dtype.rawValue)", tensor: info.name)
  }

  private func writeExperts(
    _ experts: [ExpertInput], _ digests: SourceDigests, to writer: ArchiveWriter, shared: (any TensorSource)?,
    _ path: String,
    _ meter: inout ProgressMeter
  ) throws(StorageError) -> [PackSummary.Note] {
    guard let section = writer.sharedSection else { preconditionFailure("the shared model comes first") }
    let tensors = SharedTensors(
      section: section, payloads: try writer.payloads(), detached: shared, archivePath: path)
    var notes: [PackSummary.Note] = []
    for expert in experts {
      meter.stage = "packing \(expert.name)"
      notes += try writeExpert(expert, digests, to: writer, shared: tensors, &meter)
    }
    return notes
  }

  private func writeExpert(
    _ expert: ExpertInput, _ digests: SourceDigests, to writer: ArchiveWriter, shared: SharedTensors,
    _ meter: inout ProgressMeter
  ) throws(StorageError) -> [PackSummary.Note] {
    let source = expert.checkpoint.source
    let infos = source.tensors
    let manifest = shared.manifest
    let files =
      expert.checkpoint.carriedFiles.isEmpty
      // A lone checkpoint is of the base's making: its configuration and tokenizer are the base's.
      ? try copyFiles(of: shared, in: writer) : try place(expert.checkpoint.carriedFiles, in: writer)
    var entries: [ExpertEntry] = []
    var notes = NoteCounter()
    try pipeline.run(infos.count) { index throws(StorageError) in
      let info = infos[index]
      let base = manifest.entry(named: info.name)
      return try located(file: source.label, expert: expert.name, tensor: info.name) { () throws(StorageError) in
        try source.bytes(of: info).withBytes { raw throws(StorageError) in
          try PackedTensor(
            info, raw, base: base, baseBytes: { () throws(StorageError) in try shared.bytes(of: base!) },
            treatment: rules.treatment(of: info.name), isCorrected: storesCorrections, level: level)
        }
      }
    } consume: { index, packed throws(StorageError) in
      if let entry = try place(packed, in: writer) { entries.append(entry) }
      if let reason = noteReason(packed, infos[index], manifest.entry(named: packed.name)?.info) {
        notes.add(reason, packed.name)
      }
      meter.advance(UInt64(infos[index].byteCount))
    }
    let absent = manifest.tensors.map(\.info.name).filter { source.tensor(named: $0) == nil }
    for name in absent { notes.add(.absentFromExpert, name) }
    try writer.finishExpert(
      named: expert.name,
      ExpertManifest(
        tensors: entries, absent: absent, files: files, metadata: source.metadata,
        provenance: digests.provenance(of: expert.checkpoint, options: options)))
    return notes.notes(expert: expert.name)
  }

  private func place(_ packed: PackedTensor, in writer: ArchiveWriter) throws(StorageError) -> ExpertEntry? {
    switch packed.content {
    case .unchanged: return nil
    case .lossy(let factor, let measures, let correction):
      return ExpertEntry(
        name: packed.name, source: packed.source, factor: try factor.place(in: writer), measures: measures,
        correction: try correction.map { payload throws(StorageError) in try writer.place(payload, for: .correction) })
    case .difference(let payload):
      return ExpertEntry(
        name: packed.name, source: packed.source, factor: .difference(payload: try writer.place(payload)), measures: nil
      )
    case .replaced(let info, let payload):
      let factor = StoredFactor.replaced(dtype: info.dtype, shape: info.shape, payload: try writer.place(payload))
      return ExpertEntry(name: packed.name, source: packed.source, factor: factor, measures: nil)
    }
  }

  private func noteReason(_ packed: PackedTensor, _ info: TensorInfo, _ base: TensorInfo?) -> PackSummary.Note.Reason? {
    switch packed.content {
    case .replaced:
      guard let base else { return .absentFromBase }
      return base.shape == info.shape ? .otherDType : .otherShape
    case .difference: return info.dtype.floatFormat == nil ? .integer : nil
    case .unchanged, .lossy: return nil
    }
  }

  private func place(_ files: [CarriedFile], in writer: ArchiveWriter) throws(StorageError) -> [CarriedFileEntry] {
    try files.map { file throws(StorageError) in
      try place(try file.content.bytes(), name: file.name, in: writer)
    }
  }

  private func copyFiles(of shared: SharedTensors, in writer: ArchiveWriter) throws(StorageError) -> [CarriedFileEntry]
  {
    try shared.manifest.files.map { file throws(StorageError) in
      try place(try shared.bytes(of: file), name: file.name, in: writer)
    }
  }

  private func place(_ bytes: [UInt8], name: CarriedFileName, in writer: ArchiveWriter) throws(StorageError)
    -> CarriedFileEntry
  {
    let payload = try writer.place(EncodedPayload(bytes, elementWidth: 1, level: level))
    return CarriedFileEntry(name: name, digest: Digest(of: bytes), payload: payload)
  }

  private func finish(
    _ writer: ArchiveWriter, path: String, experts: [ExpertInput], notes: [PackSummary.Note]
  ) throws(StorageError) -> PackSummary {
    let root = try writer.commit()
    let archive = try Archive(path)
    return PackSummary(
      archiveBytes: archive.size, inputBytes: try experts.map(\.checkpoint).weightBytes(), rootDigest: root,
      experts: archive.experts, notes: notes)
  }
}

extension TensorSource {
  /// Bytes of all tensors.
  var byteCount: UInt64 { tensors.reduce(0) { $0 + UInt64($1.byteCount) } }
}

extension [Checkpoint] {
  /// Bytes of all weight files.
  fileprivate func weightBytes() throws(StorageError) -> UInt64 {
    var sum: UInt64 = 0
    for checkpoint in self { sum += try checkpoint.weightBytes() }
    return sum
  }
}
