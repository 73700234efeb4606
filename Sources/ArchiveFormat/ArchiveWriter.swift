import TMPackByteIO
import TMPackDigests
import TMPackZstandard

/// Writes archives: first the shared model's section, then the experts', then maybe a router's, then the index.
///
/// A section is written by placing its payloads in any order and then finishing it with a manifest that refers to them.
/// Memory: the frames being placed, the section's small payloads, and its frame records.
package final class ArchiveWriter {
  private let output: any ArchiveOutput
  private let generation: UInt64
  private let level: Int
  /// Everything stored so far, by digest, for TMP-5-4.
  private var extents: [ContentDigest: Extent] = [:]
  private var section = OpenSection()

  var shared: (section: SectionReference, storage: SharedStorage, method: SharedMethod)?
  /// The experts so far.
  package internal(set) var experts: [ExpertReference] = []
  var router: SectionReference?
  /// What experts make use of.
  private var required: Set<RequiredFeature> = []
  /// The shared model's section, once it is finished.
  package internal(set) var sharedSection: Section<SharedManifest>?

  /// - Parameters:
  ///   - output: stands at the archive end of the generation before, or at the start of the content.
  ///   - generation: of what will be written.
  ///   - level: zstd's, for shared frames, sections and the index.
  package init(output: any ArchiveOutput, generation: UInt64, level: Int) {
    self.output = output
    self.generation = generation
    self.level = level
  }

  /// A new archive at `path`.
  ///
  /// - Parameter temporary: where to write until it is whole; see `AtomicFile`.
  package convenience init(
    creating path: String, replacing: Bool = false, level: Int = 3, temporary: String? = nil
  ) throws(StorageError) {
    let output = try NewArchiveOutput(path: path, replacing: replacing, temporary: temporary)
    self.init(output: output, generation: 1, level: level)
  }

  /// A new archive in the place of `archive`, locked against other writers as long as this one lives (TMP-2-10).
  ///
  /// - Parameter path: of the same file.
  /// - Throws: `inputOutput` when another process is changing the archive, or has changed it since it was opened.
  package convenience init(rewriting archive: ArchiveFile, at path: String, level: Int = 3) throws(StorageError) {
    let output = try NewArchiveOutput(rewriting: path)
    try archive.checkUnchanged()
    self.init(output: output, generation: 1, level: level)
  }

  /// The next generation of `archive`, with all that it holds; locked against other writers as long as this one lives.
  ///
  /// - Throws: `inputOutput` when another process is changing the archive, or has changed it since it was opened.
  package convenience init(appendingTo archive: ArchiveFile, level: Int = 3) throws(StorageError) {
    let output = try AppendedArchiveOutput(path: archive.path, archiveEnd: archive.slot.archiveEnd)
    try archive.checkUnchanged()
    self.init(output: output, generation: archive.slot.generation + 1, level: level)
    let sharedSection = try archive.sharedSection()
    shared = (archive.index.shared, archive.index.storage, archive.index.method)
    self.sharedSection = sharedSection
    remember(sharedSection.frames, in: archive.index.shared)
    for (index, expert) in archive.index.experts.enumerated() {
      remember(try archive.unparsedExpertSection(index).frames, in: expert.section)
      experts.append(expert)
    }
    required = archive.index.required
    if let reference = archive.index.router, let section = try archive.routerSection() {
      for frame in section.frames { extents[frame.extent.digest] = frame.extent }
      router = reference
    }
  }

  private func remember(_ frames: [FrameRecord], in section: SectionReference) {
    for frame in frames { extents[frame.extent.digest] = frame.extent }
    _ = counted.add([section.extent] + frames.map(\.extent))
  }

  /// Bytes of the archive so far.
  package var position: UInt64 { output.position }

  /// For payloads that are to be placed here.
  package func scratch() -> PayloadScratch { PayloadScratch(besides: output.readablePath) }

  /// A writer that stands where this one does, payloads of the open section included, and writes nothing: to learn
  /// what a section would take.
  package func measuring() -> ArchiveWriter {
    let copy = ArchiveWriter(output: MeasuringOutput(position: output.position), generation: generation, level: level)
    copy.extents = extents
    copy.section = section
    copy.counted = counted
    copy.shared = shared
    copy.sharedSection = sharedSection
    copy.experts = experts
    copy.router = router
    copy.required = required
    return copy
  }

  /// A writer of a new archive that writes nothing: to learn what sections would take.
  package convenience init(measuringAt level: Int) {
    self.init(output: MeasuringOutput(position: Layout.contentStart), generation: 1, level: level)
  }

  /// The experts so far.
  package var expertSummaries: [ExpertSummary] { experts.map(\.summary) }

  // MARK: Payloads

  /// Writes a payload of the section that is open. The reference is good for this section's manifest only.
  ///
  /// - Parameter purpose: payloads of different purposes share no frame.
  package func place(_ payload: EncodedPayload, for purpose: PayloadPurpose = .content) throws(StorageError)
    -> PayloadReference
  {
    try section.place(payload, for: purpose, level: level, store: store)
  }

  func store(_ frame: EncodedFrame) throws(StorageError) -> FrameRecord {
    let extent = try store(
      frame.stored.count, digest: frame.digest, aligned: frame.codec != .zstd, frame.stored.loaded)
    return frame.record(at: extent)
  }

  /// Writes bytes, unless the archive has them already.
  func store(_ bytes: [UInt8], digest: ContentDigest, aligned: Bool) throws(StorageError) -> Extent {
    try store(bytes.count, digest: digest, aligned: aligned) { () in bytes }
  }

  /// - Parameter load: gives the `count` bytes, if they have to be written.
  private func store(
    _ count: Int, digest: ContentDigest, aligned: Bool, _ load: () throws(StorageError) -> [UInt8]
  ) throws(StorageError) -> Extent {
    if let known = extents[digest], !aligned || known.offset.isMultiple(of: Layout.rawAlignment) { return known }
    if aligned {
      let padding = output.position.roundedUp(toMultipleOf: Layout.rawAlignment) - output.position
      if padding > 0 { try output.write([UInt8](repeating: 0, count: Int(padding))) }
    }
    let extent = Extent(written: output.position, storedSize: count, digest: digest)
    try output.write(try load())
    extents[digest] = extent
    return extent
  }

  // MARK: Sections

  /// Ends the section that is open as the shared model's. It must be the first.
  package func finishShared(_ manifest: SharedManifest, storage: SharedStorage, method: SharedMethod)
    throws(StorageError)
  {
    precondition(shared == nil && experts.isEmpty, "the shared model comes first, once")
    let section = try closed(manifest)
    shared = (try writeSection(section, context: storage).reference, storage, method)
    sharedSection = section
    requireFeatures(of: section.frames)
  }

  func requireFeatures(of frames: [FrameRecord]) { required.formUnion(frames.compactMap(\.required)) }

  /// Ends the section that is open as that of an expert.
  package func finishExpert(named name: String, _ manifest: ExpertManifest) throws(StorageError) {
    guard let shared = sharedSection else { preconditionFailure("the shared model comes first") }
    try checkName(name)
    let section = try closed(manifest)
    let (reference, newBytes) = try located(expert: name) { () throws(StorageError) in
      try writeSection(section, context: shared.manifest)
    }
    list(name, section, reference, bytes: newBytes)
  }

  /// Ends the section that is open as the router's, in the place of one that there may be. Its experts come before it.
  package func finishRouter(_ manifest: RouterManifest) throws(StorageError) {
    let section = try closed(manifest)
    router = try writeSection(section, context: experts.map(\.name), isCounted: false).reference
  }

  func list(
    _ name: String, _ section: Section<ExpertManifest>, _ reference: SectionReference, bytes: UInt64
  ) {
    guard let shared = sharedSection else { preconditionFailure("the shared model comes first") }
    let summary = ExpertSummary(of: section, shared: shared.manifest, bytes: bytes)
    experts.append(ExpertReference(name: name, section: reference, summary: summary))
    required.formUnion(section.manifest.required)
  }

  /// Throws unless an expert of that name can be added: before anything is written of it.
  func checkName(_ name: String) throws(StorageError) {
    try ExpertName.check(name)
    // Not `contains(where:)`, which would copy experts to look at their names.
    for index in experts.indices where experts[index].name.hasSameBytes(as: name) {
      throw StorageError(.invalidArgument, "there is an expert of that name already", expert: name)
    }
    try Limits.check(experts.count + 1, atMost: Limits.experts, "the number of experts")
  }

  /// Ends the section that is open: with its frames numbered by first use, as TMP-5-9 wants them.
  private func closed<Manifest: SectionManifest>(_ manifest: Manifest) throws(StorageError) -> Section<Manifest> {
    try section.closePools(level: level, store: store)
    defer { section = OpenSection() }
    return Section(numbering: manifest, placed: section.frames)
  }

  /// - Parameter isCounted: whether summaries count its extents (TMP-4-10): not those of a router.
  func writeSection<Manifest: SectionManifest>(
    _ section: Section<Manifest>, context: Manifest.Context, isCounted: Bool = true
  ) throws(StorageError) -> (reference: SectionReference, newBytes: UInt64) {
    let (raw, records) = try section.encoded()
    // What cannot be read must not be written (TMP-9-13). The bound that needs the archive's end is checked there.
    var decodedBytes: UInt64 = 0
    _ = try Section<Manifest>(parsing: raw, context: context, archiveEnd: .max, &decodedBytes)
    largestExpansion = max(largestExpansion, decodedBytes)
    return try writeSection(raw, records: records, section.frames, isCounted: isCounted)
  }

  /// - Parameters:
  ///   - raw: of the section.
  ///   - records: where its frame records begin: digests, which spoil the codes of text.
  private func writeSection(
    _ raw: [UInt8], records: Int, _ frames: [FrameRecord], isCounted: Bool
  ) throws(StorageError) -> (reference: SectionReference, newBytes: UInt64) {
    let cuts = records < raw.count ? [records] : []
    let stored = raw.withUnsafeBytes { Zstandard.compress($0, .level(level), cuts: cuts) }
    let extent = try store(stored, digest: ContentDigest(of: stored), aligned: false)
    let newBytes = isCounted ? counted.add([extent] + frames.map(\.extent)) : 0
    return (SectionReference(extent: extent, rawSize: raw.count), newBytes)
  }

  /// Writes an expert's section of another archive as it is, its frames moved.
  ///
  /// - Returns: nil where the manifest has to be looked at: its payloads may be more than any reader takes (TMP-9-11).
  func writeExpert(
    _ section: UnparsedSection, _ expert: ExpertReference, moving: ([FrameRecord]) throws(StorageError) -> [FrameRecord]
  ) throws(StorageError) -> ExpertReference? {
    let payloadBytes = section.mostPayloadBytes
    guard payloadBytes <= Limits.expansionFloor else { return nil }
    var section = section
    section.moveFrames(to: try moving(section.frames))
    let (reference, newBytes) = try writeSection(
      section.raw, records: section.records, section.frames, isCounted: true)
    return ExpertReference(
      name: expert.name, section: reference, summary: ExpertSummary(expert.summary, bytes: newBytes))
  }

  /// The most that the payloads of a section decode to, to be checked when the archive's end is known (TMP-9-13).
  private var largestExpansion: UInt64 = 0

  /// Extents that a summary has counted already (TMP-4-10).
  private var counted = CountedExtents()

  /// Reads what has been written so far.
  package func payloads() throws(StorageError) -> PayloadReader {
    PayloadReader(file: try ReadableFile(output.readablePath, mode: .read))
  }

  // MARK: The end

  /// Writes the index and makes the archive durable. Nothing that comes after it in here can fail.
  ///
  /// - Parameter others: outputs that appear together with a new archive, or not at all.
  /// - Returns: the root digest.
  @discardableResult
  package func commit(with others: [any StagedOutput] = []) throws(StorageError) -> ContentDigest {
    guard let shared else { preconditionFailure("an archive has a shared model") }
    let index = ArchiveIndex(
      shared: shared.section, storage: shared.storage, method: shared.method, experts: experts, router: router,
      required: required)
    let raw = try index.encoded()
    let stored = raw.withUnsafeBytes { Zstandard.compress($0, .level(level)) }
    let extent = try store(stored, digest: ContentDigest(of: stored), aligned: false)
    _ = try raw.withBytes { text throws(StorageError) in
      try ArchiveIndex(parsing: text, archiveEnd: output.position)  // TMP-9-13
    }
    try Section<SharedManifest>.checkExpansion(largestExpansion, archiveEnd: output.position)
    let slot = HeaderSlot(
      generation: generation, archiveEnd: output.position, index: extent, indexRawSize: raw.count)
    try output.finish(
      slot: slot.encoded(), at: Layout.slotOffsets[HeaderSlot.slot(ofGeneration: generation)], with: others)
    return extent.digest
  }
}
