import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackParallel

/// Checks of an archive, from the cheapest to those that need the original checkpoints (TMP-8).
package struct Verification: Sendable {
  package enum Level: String, Sendable, CaseIterable {
    /// Slots, index and sections.
    case quick
    /// Every stored byte, and those of a detached shared model that is given.
    case full
    /// Every payload decoded, too.
    case deep
  }

  /// What was found.
  package struct Report: Sendable {
    public private(set) var findings: VerificationFindings
    private let experts: [String]

    init(_ findings: VerificationFindings, of archive: Archive) {
      self.findings = findings
      experts = archive.experts.map(\.name)
    }

    /// The first ones: `VerificationFindings.listLimit` at most.
    package var faults: [StorageError] { findings.faults }
    package var isSound: Bool { findings.isEmpty }
    /// Names of the experts that no fault concerns, in declaration order.
    package var usableExperts: [String] {
      experts.indices.filter { !findings.loss.experts.contains($0) }.map { experts[$0] }
    }
    package var isSharedUsable: Bool { !findings.loss.includesShared }

    /// Adds what was found elsewhere.
    package mutating func add(_ findings: VerificationFindings) { self.findings.add(findings) }
  }

  package let archive: Archive
  package let pipeline: OrderedPipeline

  package init(_ archive: Archive, pipeline: OrderedPipeline = .automatic) {
    self.archive = archive
    self.pipeline = pipeline
  }

  /// Checks the archive by itself.
  ///
  /// - Throws: only what keeps it from going on; everything that is wrong with the archive is in the report.
  package func run(_ level: Level, progress: @escaping (WorkProgress) -> Void = { _ in }) throws(StorageError) -> Report
  {
    let verifier = ArchiveVerifier(archive.file, pipeline: pipeline)
    var findings: VerificationFindings
    switch level {
    case .quick: findings = verifier.quick()
    case .full, .deep:
      findings = try verifier.full { progress(WorkProgress(stage: "checking digests", done: $0, total: $1)) }
      // A model of one's own is read as the archive's bytes are.
      if findings.isEmpty, archive.isDetached, archive.givenSharedModel != nil {
        try checkSharedTensors(&findings, progress)
      }
    }
    // Decoding what is known to be damaged would only repeat the news.
    if level == .deep, findings.isEmpty {
      try checkFiles(expert: nil, &findings)
      if !archive.isDetached { try checkSharedTensors(&findings, progress) }
      for position in archive.experts.indices { try decodeExpert(position, &findings, progress) }
      if let error = errorThrown(by: { () throws(StorageError) in if archive.hasRouter { _ = try Router(archive) } }) {
        findings.add(error)
      }
    }
    return Report(findings, of: archive)
  }

  // MARK: Deep (TMP-8-3)

  private func checkSharedTensors(
    _ findings: inout VerificationFindings, _ progress: (WorkProgress) -> Void
  ) throws(StorageError) {
    let shared = try SharedTensors(of: archive)
    let entries = shared.manifest.tensors
    var done: UInt64 = 0
    let total = entries.reduce(0) { $0 + UInt64($1.info.byteCount) }
    try pipeline.run(entries.count) { index -> StorageError? in
      let entry = entries[index]
      return errorThrown { () throws(StorageError) in
        try located(file: archive.path, tensor: entry.info.name) { () throws(StorageError) in
          try shared.verify(entry)
        }
      }
    } consume: { index, error in
      done += UInt64(entries[index].info.byteCount)
      progress(WorkProgress(stage: "checking the shared model", done: done, total: total))
      if let error {
        findings.add(error, losing: archive.file.loss(ofTensor: entries[index].info.name, of: .shared))
      }
    }
  }

  private func decodeExpert(
    _ position: Int, _ findings: inout VerificationFindings, _ progress: (WorkProgress) -> Void
  ) throws(StorageError) {
    let name = archive.experts[position].name
    let reconstructor = try Reconstructor(archive, memoryLimit: 0)
    let section = try archive.file.expertSection(position)
    let entries = section.manifest.tensors
    try checkFiles(expert: position, &findings)
    let needsShared = archive.isDetached && archive.givenSharedModel == nil
    try pipeline.run(entries.count) { index -> StorageError? in
      let entry = entries[index]
      return errorThrown { () throws(StorageError) in
        try located(file: archive.path, expert: name, tensor: entry.name) { () throws(StorageError) in
          if needsShared, case .difference(let payload) = entry.factor {
            _ = try archive.file.payloads.bytes(of: payload, in: section)
            return
          }
          if needsShared, let correction = entry.correction {
            _ = try archive.file.payloads.bytes(of: correction, in: section)
            _ = try reconstructor.part(entry, ofExpert: position)
            return
          }
          guard let bytes = try reconstructor.ownBytes(entry, ofExpert: position) else { return }
          let actual = try bytes.withBytes { ContentDigest(of: $0) }
          guard actual == entry.source else {
            throw StorageError(.digestMismatch, "the tensor has digest \(actual) instead of \(entry.source)")
          }
        }
      }
    } consume: { index, error in
      progress(WorkProgress(stage: "decoding \(name)", done: UInt64(index + 1), total: UInt64(entries.count)))
      if let error {
        findings.add(error, losing: archive.file.loss(ofTensor: entries[index].name, of: .expert(position)))
      }
    }
  }

  private func checkFiles(expert: Int?, _ findings: inout VerificationFindings) throws(StorageError) {
    for file in try MixFile.list(of: archive, expert: expert) {
      guard let error = errorThrown(by: { () throws(StorageError) in _ = try file.bytes() }) else { continue }
      findings.add(
        error.at(expert: expert.map { archive.experts[$0].name }),
        losing: archive.file.loss(ofFileOf: expert.map { .expert($0) } ?? .shared))
    }
  }
}

/// The error of `body`; nil when it succeeds.
package func errorThrown(by body: () throws(StorageError) -> Void) -> StorageError? {
  do throws(StorageError) {
    try body()
    return nil
  } catch { return error }
}
