import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackParallel

/// Mends a damaged archive with bytes that other archives have, too: a copy of it, an earlier state of it, or one with the same
/// base (TMP-8-6). An extent is what its digest says, wherever it lies.
///
/// A header that is lost is made anew if the index is there. Nothing is decoded. Memory: a few extents, and the records of all archives' frames.
package struct Repair: Sendable {
  /// Bytes that were damaged, and are again what they were.
  package struct Restoration: Sendable, Hashable {
    package let extent: Extent
    /// The archive that had them.
    package let donor: String
  }

  package struct Outcome: Sendable {
    package let archive: Archive
    package let restorations: [Restoration]
    /// What could not be mended, and is not in the new archive.
    package let droppedExperts: [String]
    package let droppedRouter: Bool
    /// What followed the end of the archive, as after an interrupted append.
    package let droppedBytes: UInt64
  }

  private let path: String
  private let donors: Donors
  private let pipeline: OrderedPipeline

  /// - Parameter donors: may be damaged themselves.
  package init(_ path: String, from donors: [ReadableFile], pipeline: OrderedPipeline = .automatic) {
    self.path = path
    self.donors = Donors(donors)
    self.pipeline = pipeline
  }

  /// Writes the mended archive: the same bytes again, with the same root digest, unless something is left out.
  ///
  /// - Parameter droppingDamaged: leaves out experts, and the router, that are damaged still.
  /// - Throws: what is wrong with the header, or with the index if no donor has it; the first fault that is left, if there is one
  ///   and nothing may be dropped, or if it is the shared model's; what writing throws.
  package func run(
    to output: String, replacing: Bool = false, droppingDamaged: Bool = false,
    progress: @escaping (WorkProgress) -> Void = { _ in }
  ) throws(StorageError) -> Outcome {
    let damaged = try ReadableFile(path)
    let header = try HeaderRecovery(of: damaged)
    let slot = header.slot
    let copy = try AtomicFile(output, replacing: replacing)
    try copy.write(upTo: slot.archiveEnd, of: damaged)
    for (offset, bytes) in header.repairs { try copy.overwrite(bytes, at: offset) }
    do throws(StorageError) {
      var restorations: [Restoration] = []
      func mend(_ extents: [Extent]) throws(StorageError) {
        for extent in extents {
          guard let (bytes, donor) = try donors.bytes(of: extent) else { continue }
          try copy.overwrite(bytes, at: extent.offset)
          restorations.append(Restoration(extent: extent, donor: donor))
        }
      }
      if try slot.index.soundBytes(in: damaged) == nil { try mend([slot.index]) }
      // Not mapped: it changes.
      let archive = try Archive(copy.readablePath, mode: .read)
      let stages = [
        ("looking at sections", { Set(archive.file.sectionExtents) }),
        ("looking at frames", { archive.file.frameExtents() }),
      ]
      for (stage, extents) in stages {
        let faulty = try archive.file.damaged(among: extents().sorted { $0.offset < $1.offset }, pipeline: pipeline) {
          progress(WorkProgress(stage: stage, done: $0, total: $1))
        }
        try mend(faulty.keys.sorted { $0.offset < $1.offset })
      }
      try copy.clearPadding(of: archive.file)
      let findings = try ArchiveVerifier(archive.file, pipeline: pipeline).full {
        progress(WorkProgress(stage: "checking", done: $0, total: $1))
      }
      if findings.isEmpty {
        try copy.commit()
        return Outcome(
          archive: try Archive(output), restorations: restorations, droppedExperts: [], droppedRouter: false,
          droppedBytes: header.trailingBytes)
      }
      guard droppingDamaged, !findings.loss.includesShared else { throw Self.refusal(findings, archive) }
      let dropped = findings.loss.experts.sorted().map { archive.experts[$0].name }
      let dropsRouter = try archive.mustDropRouter(without: dropped, pipeline)
      try archive.write(without: dropped, droppingRouter: dropsRouter, to: output, replacing: replacing)
      return Outcome(
        archive: try Archive(output), restorations: restorations, droppedExperts: dropped, droppedRouter: dropsRouter,
        droppedBytes: header.trailingBytes)
    } catch {
      var error = error
      if error.file == copy.readablePath { error.file = path }
      throw error
    }
  }

  private static func refusal(_ findings: VerificationFindings, _ archive: Archive) -> StorageError {
    let count = findings.faults.count + findings.unlistedCount
    let first = findings.faults[0]
    let others = count > 1 ? " (the first of \(count) faults that are left)" : ""
    func refusal(_ way: String) -> StorageError {
      StorageError(
        first.code, "\(first.message)\(others); \(way)", file: first.file, offset: first.offset, expert: first.expert,
        tensor: first.tensor)
    }
    if findings.loss.includesShared {
      return refusal("the shared model cannot do without it: only an archive that has these bytes can mend it")
    }
    let names = findings.loss.experts.sorted().map { archive.experts[$0].name }
    return refusal("no archive that was given has these bytes").with(
      .dropDamaged(names.isEmpty ? "what is damaged" : names.joined(separator: ", ")))
  }
}

/// Where bytes are to be had.
private struct Donors: Sendable {
  private let files: [ReadableFile]
  private var places: [ContentDigest: [(file: ReadableFile, extent: Extent)]] = [:]

  init(_ files: [ReadableFile]) {
    self.files = files
    for file in files {
      guard let archive = try? ArchiveFile(file) else { continue }
      for extent in archive.frameExtents().union(archive.sectionExtents) {
        places[extent.digest, default: []].append((file, extent))
      }
    }
  }

  /// The bytes of an extent, and who has them: at a place that a donor's own records name, or at the same one, as a copy that is
  /// damaged itself has them.
  package func bytes(of extent: Extent) throws(StorageError) -> (bytes: [UInt8], donor: String)? {
    for (file, own) in places[extent.digest] ?? [] where own.storedSize == extent.storedSize {
      if let bytes = try own.soundBytes(in: file) { return (bytes, file.path) }
    }
    for file in files where extent.end <= file.size {
      if let bytes = try extent.soundBytes(in: file) { return (bytes, file.path) }
    }
    return nil
  }
}

extension AtomicFile {
  /// Appends the first `count` bytes of another file.
  fileprivate func write(upTo count: UInt64, of file: ReadableFile) throws(StorageError) {
    let partBytes: UInt64 = 4 << 20
    var done: UInt64 = 0
    while done < count {
      let part = min(partBytes, count - done)
      try file.withBytes(at: done, count: Int(part)) { bytes throws(StorageError) in try write(bytes) }
      done += part
    }
  }

  /// Makes zero again what should be in front of raw frames of a first generation (TMP-2-8).
  fileprivate func clearPadding(of archive: ArchiveFile) throws(StorageError) {
    for gap in archive.paddings { try overwrite([UInt8](repeating: 0, count: gap.count), at: gap.lowerBound) }
  }
}

extension Archive {
  /// A router goes with the experts that it has classes for (TMP-11-3), and if it is damaged itself.
  fileprivate func mustDropRouter(without names: [String], _ pipeline: OrderedPipeline) throws(StorageError) -> Bool {
    guard hasRouter else { return false }
    guard let section = try? file.routerSection() else { return true }
    let classes = Set(section.manifest.classes.map { ExactString($0) })
    if names.contains(where: { classes.contains(ExactString($0)) }) { return true }
    return try !file.damaged(among: section.frames.map(\.extent), pipeline: pipeline).isEmpty
  }
}
