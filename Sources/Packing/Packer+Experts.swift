import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackMerging
import TMPackReading
import TMPackTensorKit

extension Packer {
  /// - Parameters:
  ///   - shared: the checkpoint that the shared model is, or was merged from.
  ///   - isCopied: whether the shared model's tensors are that checkpoint's.
  func writeExperts(
    _ experts: [ExpertInput], _ digests: SourceDigests, to writer: ArchiveWriter, shared: (any TensorSource)?,
    isCopied: Bool, _ path: String, _ meter: inout ProgressMeter
  ) throws(StorageError) -> [PackSummary.Note] {
    try prepareLinearAlgebra()
    guard let section = writer.sharedSection else { preconditionFailure("the shared model comes first") }
    let tensors = SharedTensors(
      section: section, payloads: try writer.payloads(), detached: shared, original: isCopied ? shared : nil,
      archivePath: path)
    let makers = try withTALLMasks(
      factorMakers(experts, tensors, writer, path, &meter), experts, base: shared, path, &meter)
    var notes: [PackSummary.Note] = []
    for (index, expert) in experts.enumerated() {
      meter.stage = "packing \(expert.name)"
      notes += try writeExpert(expert, number: index, digests, to: writer, shared: tensors, makers[index], &meter)
    }
    return notes
  }

  private func writeExpert(
    _ expert: ExpertInput, number: Int, _ digests: SourceDigests, to writer: ArchiveWriter, shared: SharedTensors,
    _ makeFactor: @escaping NamedFactorMaker, _ meter: inout ProgressMeter
  ) throws(StorageError) -> [PackSummary.Note] {
    let source = expert.checkpoint.source
    let infos = source.tensors
    let manifest = shared.manifest
    let files = try placeFiles(of: expert, shared, in: writer)
    var entries: [ExpertEntry] = []
    var notes = NoteCounter()
    // Records hold results.
    let scratch = journal == nil ? writer.scratch() : nil
    try pipeline.runJobs(
      infos.count, journal, key: { .packing(number, $0) },
      subject: { ExpertTensor(infos[$0], in: manifest) }
    ) { index throws(StorageError) in
      let base = manifest.entry(named: infos[index].name)
      return try packed(infos[index], of: expert, makeFactor, base: base, scratch: scratch) { () throws(StorageError) in
        try shared.opened(base!)
      }
    } consume: { index, result, _ throws(StorageError) in
      let packed = result.result
      if let entry = try place(packed, in: writer) { entries.append(entry) }
      if let reason = noteReason(packed, infos[index], manifest.info(named: packed.name)) {
        notes.add(reason, packed.name)
      }
      if rate?.weighsDirections == true, case .lossy = packed.content,
        let reason = expert.noteOnWeights(of: infos[index])
      {
        notes.add(reason, packed.name)
      }
      meter.advance(UInt64(infos[index].byteCount))
    }
    let absent = manifest.namesAbsent(from: source)
    for name in absent { notes.add(.absentFromExpert, name) }
    try writer.finishExpert(
      named: expert.name,
      ExpertManifest(
        tensors: entries, absent: absent, files: files, metadata: expert.recordedMetadata,
        provenance: digests.provenance(
          of: expert.checkpoint, options: options.merging(expertOptions[expert.name] ?? [:]) { first, _ in first })))
    return notes.notes(expert: expert.name)
  }

  /// Packs a tensor of an expert.
  ///
  /// - Parameters:
  ///   - base: the shared tensor of that name, if there is one; `openBase` opens it.
  ///   - scratch: for large payloads; nil holds them.
  package func packed(
    _ info: TensorInfo, of expert: ExpertInput, _ makeFactor: NamedFactorMaker, base: SharedEntry?,
    scratch: PayloadScratch? = nil, openBase: () throws(StorageError) -> OpenTensor
  ) throws(StorageError) -> AgainstShared<PackedTensor> {
    let source = expert.checkpoint.source
    let packed = try located(file: source.label, expert: expert.name, tensor: info.name) { () throws(StorageError) in
      try expert.extended(
        try PackedTensor(
          info, try source.opened(info), base: base, openBase: openBase, makeFactor: makeFactor(info.name),
          ownQuantizer: ownQuantizer(of: info),
          products: { () throws(StorageError) in try expert.products(of: info, against: base!) },
          isCorrected: storesCorrections, level: level, scratch: scratch), info, level: level)
    }
    return AgainstShared(result: packed, base: base?.digest)
  }

  package func place(_ packed: PackedTensor, in writer: ArchiveWriter) throws(StorageError) -> ExpertEntry? {
    let extra = try packed.extra.map { payload throws(StorageError) in try writer.place(payload) }
    switch packed.content {
    case .unchanged:
      guard let extra else { return nil }
      return ExpertEntry(name: packed.name, source: packed.source, factor: .common, measures: nil, extra: extra)
    case .lossy(let factor, let measures, let correction):
      let factor = StoredFactor.lossy(try writer.place(factor))
      return ExpertEntry(
        name: packed.name, source: packed.source, factor: factor, measures: measures.recorded(of: factor),
        correction: try correction.map { payload throws(StorageError) in try writer.place(payload, for: .correction) },
        extra: extra)
    case .difference(let payload):
      return ExpertEntry(
        name: packed.name, source: packed.source, factor: .difference(payload: try writer.place(payload)),
        measures: nil, extra: extra)
    case .replaced(let info, let payload):
      let factor = StoredFactor.replaced(dtype: info.dtype, shape: info.shape, payload: try writer.place(payload))
      return ExpertEntry(name: packed.name, source: packed.source, factor: factor, measures: nil)
    case .quantizedOwn(let info, let payload, let measures):
      let factor = StoredFactor.quantizedOwn(
        dtype: info.dtype, shape: info.shape, payload: try writer.place(payload))
      return ExpertEntry(
        name: packed.name, source: packed.source, factor: factor, measures: measures.recorded(of: factor))
    }
  }

  func noteReason(_ packed: PackedTensor, _ info: TensorInfo, _ base: TensorInfo?) -> PackSummary.Note.Reason? {
    if packed.extra != nil { return .extraRows }
    switch packed.content {
    case .replaced:
      guard let base else { return .absentFromBase }
      return base.shape == info.shape ? .otherDType : .otherShape
    case .quantizedOwn: return .quantizedOwn
    case .difference: return info.dtype.floatFormat == nil ? .integer : nil
    case .unchanged, .lossy: return nil
    }
  }

  package func place(_ files: [CarriedFile], in writer: ArchiveWriter) throws(StorageError) -> [CarriedFileEntry] {
    try files.map { file throws(StorageError) in
      try place(try file.content.bytes(), name: file.name, in: writer)
    }
  }

  /// A lone checkpoint is of the base's making: its configuration and tokenizer are the base's. An adapter's are those
  /// that it has itself, and else the base's.
  func placeFiles(
    of expert: ExpertInput, _ shared: SharedTensors, in writer: ArchiveWriter
  ) throws(StorageError) -> [CarriedFileEntry] {
    let own = expert.checkpoint.carriedFiles
    guard own.isEmpty || expert.adapted != nil else { return try place(own, in: writer) }
    let inherited = shared.manifest.files.filter { file in !own.contains { $0.name == file.name } }
    let entries =
      try place(own, in: writer)
      + inherited.map { file throws(StorageError) in
        try place(try shared.bytes(of: file), name: file.name, in: writer)
      }
    return entries.sorted { $0.name < $1.name }
  }

  private func place(_ bytes: [UInt8], name: CarriedFileName, in writer: ArchiveWriter) throws(StorageError)
    -> CarriedFileEntry
  {
    let payload = try writer.place(EncodedPayload(bytes, elementWidth: 1, level: level))
    return CarriedFileEntry(name: name, digest: ContentDigest(of: bytes), payload: payload)
  }
}

extension SharedManifest {
  /// Tensors of the shared model that an expert lacks.
  func namesAbsent(from expert: any TensorSource) -> [String] {
    tensors.map(\.info.name).filter { expert.tensor(named: $0) == nil }
  }
}
