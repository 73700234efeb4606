import TMPackByteIO
import TMPackDigests
import TMPackParallel

/// Checks an archive without decoding its tensors (TMP-8-1, TMP-8-2).
package struct ArchiveVerifier: Sendable {
  package let archive: ArchiveFile
  private let pipeline: OrderedPipeline

  package init(_ archive: ArchiveFile, pipeline: OrderedPipeline = .automatic) {
    self.archive = archive
    self.pipeline = pipeline
  }

  /// TMP-8-1: slots, index, sections, frame records, summaries.
  package func quick() -> VerificationFindings {
    var findings = VerificationFindings()
    for fault in archive.slots.residue { findings.add(fault) }
    let shared: Section<SharedManifest>
    do throws(StorageError) { shared = try archive.sharedSection() } catch {
      findings.add(error, losing: ArchiveLoss(experts: Set(archive.index.experts.indices), includesShared: true))
      return findings
    }
    var counted = CountedExtents()
    _ = counted.add([archive.index.shared.extent] + shared.frames.map(\.extent))
    for (position, expert) in archive.index.experts.enumerated() {
      do throws(StorageError) {
        let section = try archive.expertSection(position)
        let bytes = counted.add([expert.section.extent] + section.frames.map(\.extent))
        let actual = ExpertSummary(of: section, shared: shared.manifest, bytes: bytes)
        guard expert.summary.agrees(with: actual) else {
          throw StorageError(.malformed, "the index's summary does not agree with the section", file: archive.path)
        }
      } catch {
        findings.add(error.at(expert: expert.name), losing: ArchiveLoss(experts: [position]))
      }
    }
    do throws(StorageError) { _ = try archive.routerSection() } catch { findings.add(error) }
    return findings
  }

  /// TMP-8-2: what `quick` checks, and every stored byte.
  ///
  /// - Parameter progress: called with the bytes done and the bytes to do.
  package func full(progress: (UInt64, UInt64) -> Void = { _, _ in }) throws(StorageError) -> VerificationFindings {
    var findings = quick()
    let parts = archive.readableParts()
    var extents: Set<Extent> = []
    var raw: Set<UInt64> = []
    for (_, frames) in parts {
      for frame in frames {
        extents.insert(frame.extent)
        if frame.isRaw { raw.insert(frame.extent.offset) }
      }
    }
    let list = extents.sorted { ($0.offset, $0.end) < ($1.offset, $1.end) }
    checkCoverage(
      list + archive.sectionExtents, raw: raw,
      // The frames of a section that cannot be read would seem to belong to nothing; so would an unknown extension's.
      isComplete: archive.slot.generation == 1 && !archive.index.hasUnknownExtensions
        && parts.count == 1 + archive.index.experts.count + (archive.index.router == nil ? 0 : 1)
    ) { findings.add($0) }

    let damaged = try archive.damaged(among: list, pipeline: pipeline, progress: progress)
    if !damaged.isEmpty {
      for (part, frames) in parts { report(damaged, in: part, frames, to: &findings) }
    }
    return findings
  }

  // MARK: Who uses a frame

  /// A tensor or a file, or what else has payloads.
  private struct User {
    let name: String
    var isTensor = true
    let payloads: [PayloadReference]
  }

  private func users(of part: ArchivePart) -> [User] {
    func users(_ files: [CarriedFileEntry]) -> [User] {
      files.map { User(name: $0.name.text, isTensor: false, payloads: [$0.payload]) }
    }
    switch part {
    case .shared:
      guard let manifest = try? archive.sharedSection().manifest else { return [] }
      return users(manifest.files)
        + manifest.tensors.compactMap { entry in entry.payload.map { User(name: entry.info.name, payloads: [$0]) } }
    case .expert(let position):
      guard let manifest = try? archive.expertSection(position).manifest else { return [] }
      return users(manifest.files) + manifest.tensors.map { User(name: $0.name, payloads: $0.payloads) }
    case .router:
      guard let manifest = try? archive.routerSection()?.manifest else { return [] }
      return [User(name: "weights", isTensor: false, payloads: manifest.payloads)]
    }
  }

  /// Adds a fault for each damaged extent of each tensor or file of a part, however many records name the extent.
  private func report(
    _ damaged: [Extent: ContentDigest], in part: ArchivePart, _ frames: [FrameRecord],
    to findings: inout VerificationFindings
  ) {
    var numbers: [Int] = []
    // For each of them the one before it that has the same extent.
    var predecessors: [Int] = []
    var last: [Extent: Int] = [:]
    for (number, frame) in frames.enumerated() where damaged[frame.extent] != nil {
      numbers.append(number)
      predecessors.append(last.updateValue(number, forKey: frame.extent) ?? -1)
    }
    guard !numbers.isEmpty else { return }
    for user in users(of: part) {
      var known: Set<Extent> = []
      for payload in user.payloads {
        var next = numbers.firstIndex(sortedFrom: payload.first)
        while next < numbers.count, numbers[next] < payload.frames.upperBound {
          defer { next += 1 }
          let extent = frames[numbers[next]].extent
          guard predecessors[next] < payload.first, known.insert(extent).inserted else { continue }
          // The first says already what is lost.
          let loss = known.count > 1 ? .nothing : loss(of: user, of: part)
          findings.add(fault(of: extent, damaged[extent]!, frame: numbers[next], user, part), losing: loss)
        }
      }
    }
  }

  private func loss(of user: User, of part: ArchivePart) -> ArchiveLoss {
    user.isTensor ? archive.loss(ofTensor: user.name, of: part) : archive.loss(ofFileOf: part)
  }

  private func fault(
    of extent: Extent, _ actual: ContentDigest, frame: Int, _ user: User, _ part: ArchivePart
  ) -> StorageError {
    let file = user.isTensor ? "" : "file '\(user.name)', "
    let place: String
    var expert: String?
    switch part {
    case .shared: place = "the shared model, \(file)"
    case .expert(let position): (place, expert) = (file, archive.index.experts[position].name)
    case .router: place = "the router, "
    }
    let error = extent.mismatch("\(place)frame \(frame): bytes \(extent.offset) to \(extent.end - 1)", actual)
    return error.at(file: archive.path, expert: expert, tensor: user.isTensor ? user.name : nil)
  }

  // MARK: Coverage

  /// TMP-2-7 and TMP-2-8: extents are identical or disjoint, and in generation 1 only zero padding lies between them.
  ///
  /// - Parameters:
  ///   - raw: where raw frames begin.
  ///   - isComplete: whether these are all extents that the file should have.
  private func checkCoverage(
    _ extents: [Extent], raw: Set<UInt64>, isComplete: Bool, _ add: (StorageError) -> Void
  ) {
    func report(_ message: String, _ offset: UInt64) {
      add(StorageError(.malformed, message, file: archive.path, offset: offset))
    }
    var end = Layout.contentStart
    let sorted = extents.sorted { ($0.offset, $0.end) < ($1.offset, $1.end) }
    for (index, extent) in sorted.enumerated() {
      if index > 0, extent == sorted[index - 1] { continue }
      if extent.offset < end {
        report("two extents overlap", extent.offset)
      } else if isComplete {
        checkPadding(from: end, to: extent.offset, allowed: raw.contains(extent.offset), report)
      }
      end = max(end, extent.end)
    }
    if isComplete, end < archive.slot.archiveEnd {
      report("\(archive.slot.archiveEnd - end) bytes at the end belong to nothing", end)
    }
  }

  private func checkPadding(
    from start: UInt64, to end: UInt64, allowed: Bool, _ report: (String, UInt64) -> Void
  ) {
    guard end > start else { return }
    guard end - start < Layout.rawAlignment, allowed else {
      return report("\(end - start) bytes belong to nothing", start)
    }
    guard let bytes = try? archive.file.bytes(at: start, count: Int(end - start)) else { return }
    if let index = bytes.firstIndex(where: { $0 != 0 }) { report("a padding byte is not zero", start + UInt64(index)) }
  }
}

extension [Int] {
  /// The place of the first element that is not less than `bound`, in ascending elements.
  fileprivate func firstIndex(sortedFrom bound: Int) -> Int {
    var range = startIndex..<endIndex
    while let middle = range.isEmpty ? nil : (range.lowerBound + range.upperBound) / 2 {
      range = self[middle] < bound ? middle + 1..<range.upperBound : range.lowerBound..<middle
    }
    return range.lowerBound
  }
}

extension ExpertSummary {
  /// Equality, with measures to one part in 10⁶ (TMP-4-10).
  func agrees(with other: ExpertSummary) -> Bool {
    func close(_ a: Measure?, _ b: Measure?) -> Bool {
      guard let a, let b else { return a == nil && b == nil }
      return a.agrees(with: b)
    }
    return bytes == other.bytes && correctionBytes == other.correctionBytes && factors == other.factors
      && tensors == other.tensors
      && parameters == other.parameters && worstTensor == other.worstTensor && close(error, other.error)
      && close(worstError, other.worstError)
  }
}
