import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackMerging
import TMPackModels
import TMPackReading
import TMPackTensorKit

extension Verification {
  /// Proves again, against the original checkpoint, what the archive says of an expert: that each tensor came from this source,
  /// and lost what was recorded.
  ///
  /// - Parameter architecture: of the source, where it has a configuration.
  /// - Returns: a fault for each tensor that is not the one recorded, or whose error is another one (to one part in 10⁶).
  package func proveSource(
    ofExpert name: String, _ source: any TensorSource, architecture: ModelArchitecture? = nil,
    progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> VerificationFindings {
    let position = try archive.file.expertIndex(named: name)
    let manifest = try archive.file.expertSection(position).manifest
    let reconstructor = try Reconstructor(archive, memoryLimit: 0)
    let shared = reconstructor.shared
    let source = try source.aligned(
      to: reconstructor.mix(.expert(name)).tensors, architectures: architecture?.names ?? [],
      headWidth: architecture?.headWidth)
    var findings = VerificationFindings()
    func report(_ error: StorageError) {
      findings.add(error.at(file: archive.path, expert: name), losing: ArchiveLoss(experts: [position]))
    }

    let infos = source.tensors
    for info in infos
    where !manifest.holds(info.name)
      && (manifest.lacks(info.name) || !shared.manifest.holds(info.name))
    {
      report(StorageError(.digestMismatch, "is in \(source.label), but not in the expert", tensor: info.name))
    }
    let held = Set(infos.map { ExactString($0.name) })
    for entry in shared.manifest.tensors
    where !manifest.lacks(entry.info.name) && !held.contains(ExactString(entry.info.name)) {
      report(StorageError(.digestMismatch, "is in the expert, but not in \(source.label)", tensor: entry.info.name))
    }
    for entry in manifest.tensors
    where !shared.manifest.holds(entry.name) && !held.contains(ExactString(entry.name)) {
      report(StorageError(.digestMismatch, "is in the expert, but not in \(source.label)", tensor: entry.name))
    }

    var done: UInt64 = 0
    let total = source.byteCount
    try pipeline.run(infos.count) { index -> StorageError? in
      let info = infos[index]
      return errorThrown { () throws(StorageError) in
        try located(tensor: info.name) { () throws(StorageError) in
          try prove(info, source.opened(info), manifest.entry(named: info.name), position, reconstructor)
        }
      }
    } consume: { index, error in
      done += UInt64(infos[index].byteCount)
      progress(WorkProgress(stage: "proving \(name)", done: done, total: total))
      if let error { report(error) }
    }
    return findings
  }

  private func prove(
    _ info: TensorInfo, _ own: OpenTensor, _ entry: ExpertEntry?, _ position: Int,
    _ reconstructor: Reconstructor
  ) throws(StorageError) {
    let digest = try ContentDigest(of: own)
    let base = reconstructor.shared.manifest.entry(named: info.name)
    guard let entry else {
      // Unchanged, or absent, which was reported already.
      guard let base, digest != base.digest else { return }
      // Lossy packing calls a tensor unchanged that differs in the sign of zeros only.
      if base.info.matches(info), let format = info.dtype.floatFormat,
        try ExclusiveTensor(of: own, against: try reconstructor.openedShared(base), format, shape: info.shape)
          .surveyed().isZero
      {
        return
      }
      throw StorageError(.digestMismatch, "is recorded as unchanged, but differs from the shared model's")
    }
    guard digest == entry.source else {
      throw StorageError(.digestMismatch, "has digest \(digest); the archive was made from \(entry.source)")
    }
    guard let recorded = entry.measures, let format = info.dtype.floatFormat else { return }
    let actual: FactorMeasures
    if let factor = try reconstructor.ownFactor(entry, ofExpert: position) {
      actual = try ExclusiveTensor(of: own, against: .zeros(count: own.count), format, shape: info.shape)
        .measures(of: factor)
    } else {
      guard let base else { return }
      // Without further rows.
      let vector = ExclusiveTensor(
        of: own, against: try reconstructor.openedShared(base), format, shape: base.info.shape)
      switch try reconstructor.part(entry, ofExpert: position) {
      case .factor(let factor): actual = try vector.measures(of: factor)
      case .nothing: actual = FactorMeasures(ofNothingInsteadOf: try vector.energy())
      case .bytes: preconditionFailure("lossy entries decode to factors")
      }
    }
    guard actual.error.agrees(with: recorded.error), actual.norm.agrees(with: recorded.norm) else {
      throw StorageError(
        .digestMismatch,
        "has error \(actual.error.text) of norm \(actual.norm.text); recorded are \(recorded.error.text) of \(recorded.norm.text)"
      )
    }
  }
}
