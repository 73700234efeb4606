import ByteIO
import Digests
import Parallel

/// Something wrong with an archive, and which experts can no longer be rebuilt because of it.
public struct VerificationFault: Sendable {
  public let error: StorageError
  /// Positions of the experts that are unusable because of it.
  public let experts: Set<Int>
  /// Whether the shared model by itself is unusable because of it.
  public let affectsShared: Bool

  public init(error: StorageError, experts: Set<Int>, affectsShared: Bool) {
    self.error = error
    self.experts = experts
    self.affectsShared = affectsShared
  }
}

/// Checks an archive without decoding its tensors (TMP-8-1, TMP-8-2).
public struct ArchiveVerifier: Sendable {
  public let archive: ArchiveFile
  private let pipeline: OrderedPipeline

  public init(_ archive: ArchiveFile, pipeline: OrderedPipeline = .automatic) {
    self.archive = archive
    self.pipeline = pipeline
  }

  private var allExperts: Set<Int> { Set(archive.index.experts.indices) }

  /// TMP-8-1: slots, index, sections, frame records, summaries.
  public func quick() -> [VerificationFault] {
    var faults = archive.slots.residue.map {
      VerificationFault(error: $0, experts: [], affectsShared: false)
    }
    let shared: Section<SharedManifest>
    do throws(StorageError) { shared = try archive.sharedSection() } catch {
      return faults + [VerificationFault(error: error, experts: allExperts, affectsShared: true)]
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
        faults.append(
          VerificationFault(error: error.at(expert: expert.name), experts: [position], affectsShared: false))
      }
    }
    do throws(StorageError) { _ = try archive.routerSection() } catch {
      faults.append(VerificationFault(error: error, experts: [], affectsShared: false))
    }
    return faults
  }

  /// TMP-8-2: what `quick` checks, and every stored byte.
  ///
  /// - Parameter progress: called with the bytes done and the bytes to do.
  public func full(progress: (UInt64, UInt64) -> Void = { _, _ in }) throws(StorageError) -> [VerificationFault] {
    var faults = quick()
    let sections = readableSections()
    let frames = sections.flatMap(\.frames)
    let list = Set(frames.map(\.extent)).sorted { ($0.offset, $0.end) < ($1.offset, $1.end) }
    faults += coverageFaults(
      list + [archive.slot.index, archive.index.shared.extent] + archive.index.experts.map(\.section.extent)
        + [archive.index.router?.extent].compactMap { $0 },
      raw: Set(frames.lazy.filter { $0.codec == .raw }.map(\.extent.offset)),
      // The frames of a section that cannot be read would seem to belong to nothing; so would an unknown extension's.
      isComplete: archive.slot.generation == 1 && !archive.index.hasUnknownExtensions
        && sections.count == 1 + archive.index.experts.count + (archive.index.router == nil ? 0 : 1))

    let total = list.reduce(0) { $0 + UInt64($1.storedSize) }
    var done: UInt64 = 0
    let file = archive.file
    try pipeline.run(list.count) { index throws(StorageError) -> StorageError? in
      let extent = list[index]
      return try file.withBytes(at: extent.offset, count: extent.storedSize) { stored in
        do throws(StorageError) {
          try extent.check(stored, "bytes \(extent.offset) to \(extent.end - 1)")
          return nil
        } catch { return error }
      }
    } consume: { index, error in
      done += UInt64(list[index].storedSize)
      progress(done, total)
      if let error { faults += self.faults(ofFrame: list[index], error, in: sections) }
    }
    return faults
  }

  // MARK: Who uses a frame

  private enum SectionOwner {
    case shared
    case expert(Int)
    case router

    var isShared: Bool { if case .shared = self { true } else { false } }
  }

  /// A section reduced to what attributing damage needs.
  private struct SectionView {
    let owner: SectionOwner
    let frames: [FrameRecord]
    let users: [(name: String, isTensor: Bool, payload: PayloadReference)]
  }

  private func readableSections() -> [SectionView] {
    var views: [SectionView] = []
    guard let shared = try? archive.sharedSection() else { return [] }
    var users = shared.manifest.files.map { (name: $0.name.text, isTensor: false, payload: $0.payload) }
    for entry in shared.manifest.tensors {
      if let payload = entry.payload { users.append((entry.info.name, true, payload)) }
    }
    views.append(SectionView(owner: .shared, frames: shared.frames, users: users))
    for position in archive.index.experts.indices {
      guard let section = try? archive.expertSection(position) else { continue }
      var users = section.manifest.files.map { (name: $0.name.text, isTensor: false, payload: $0.payload) }
      for entry in section.manifest.tensors {
        for payload in entry.payloads { users.append((entry.name, true, payload)) }
      }
      views.append(SectionView(owner: .expert(position), frames: section.frames, users: users))
    }
    if let section = try? archive.routerSection() {
      let users = section.manifest.payloads.map { (name: "weights", isTensor: false, payload: $0) }
      views.append(SectionView(owner: .router, frames: section.frames, users: users))
    }
    return views
  }

  /// One fault for each tensor or file, of each section, that needs the frame.
  private func faults(ofFrame extent: Extent, _ error: StorageError, in sections: [SectionView]) -> [VerificationFault]
  {
    var faults: [VerificationFault] = []
    for section in sections {
      for (number, frame) in section.frames.enumerated() where frame.extent == extent {
        for user in section.users where user.payload.frames.contains(number) {
          let tensor = user.isTensor ? user.name : nil
          let file = user.isTensor ? "" : "file '\(user.name)', "
          let place: String
          var expert: Int?
          switch section.owner {
          case .shared: place = "the shared model, \(file)"
          case .expert(let position): (place, expert) = (file, position)
          case .router: place = "the router, "
          }
          faults.append(
            VerificationFault(
              error: StorageError(
                error.code, "\(place)frame \(number): \(error.message)", file: archive.path, offset: extent.offset,
                expert: expert.map { archive.index.experts[$0].name }, tensor: tensor),
              experts: affectedExperts(section.owner, tensor), affectsShared: section.owner.isShared))
        }
      }
    }
    return faults
  }

  /// The experts that need a tensor of a section; a damaged file leaves the tensors usable, but not the expert whole.
  private func affectedExperts(_ owner: SectionOwner, _ tensor: String?) -> Set<Int> {
    if case .expert(let position) = owner { return [position] }
    guard owner.isShared, let tensor else { return [] }
    return allExperts.filter { position in
      guard let manifest = try? archive.expertSection(position).manifest else { return false }
      if manifest.lacks(tensor) { return false }
      return manifest.entry(named: tensor)?.factor.kind != .replaced
    }
  }

  // MARK: Coverage

  /// TMP-2-7 and TMP-2-8: extents are identical or disjoint, and in generation 1 only zero padding lies between them.
  ///
  /// - Parameters:
  ///   - raw: where raw frames begin.
  ///   - isComplete: whether these are all extents that the file should have.
  private func coverageFaults(_ extents: [Extent], raw: Set<UInt64>, isComplete: Bool) -> [VerificationFault] {
    var faults: [VerificationFault] = []
    func report(_ message: String, _ offset: UInt64) {
      faults.append(
        VerificationFault(
          error: StorageError(.malformed, message, file: archive.path, offset: offset), experts: [],
          affectsShared: false))
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
    return faults
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
