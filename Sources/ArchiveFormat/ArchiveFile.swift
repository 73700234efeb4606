import Synchronization
import TMPackByteIO
import TMPackDigests
import TMPackZstandard

/// An archive, open for reading: its index at once, sections when asked for, payloads one by one.
///
/// Safe to use from several threads.
package final class ArchiveFile: Sendable {
  package let path: String
  package let slots: HeaderSlots
  package let index: ArchiveIndex
  let file: ReadableFile
  private let cache: Mutex<Cache>

  private struct Cache: Sendable {
    var shared: Section<SharedManifest>?
    /// By place in the file: experts may have a section in common.
    var experts: [SectionReference: Section<ExpertManifest>] = [:]
    var router: Section<RouterManifest>?
  }

  /// Reads the header and the index.
  package convenience init(_ path: String, mode: InputMode = .automatic) throws(StorageError) {
    let (file, slots) = try Self.opened(path, mode)
    try self.init(file, slots)
  }

  package convenience init(_ file: ReadableFile) throws(StorageError) { try self.init(file, HeaderSlots(of: file)) }

  private init(_ file: ReadableFile, _ slots: HeaderSlots) throws(StorageError) {
    self.file = file
    payloads = PayloadReader(file: file)
    path = file.path
    self.slots = slots
    index = try located(file: file.path) { () throws(StorageError) in
      let raw = try Self.raw(slots.active.index, rawSize: slots.active.indexRawSize, "the index", of: file)
      do throws(StorageError) {
        return try raw.withBytes { raw throws(StorageError) in
          try ArchiveIndex(parsing: raw, archiveEnd: slots.active.archiveEnd)
        }
      } catch {
        // Offsets inside compressed text mean nothing in the file.
        guard error.offset != nil else { throw error }
        throw StorageError(error.code, "the index: \(error.message)", offset: slots.active.index.offset)
      }
    }
    cache = Mutex(Cache())
  }

  /// Opens a file and reads its slots, beside a writer, too: between the look at the size and the one at the slots it may have
  /// lengthened the file and switched over, and what it has begun looks like residue (TMP-2-11).
  private static func opened(
    _ path: String, _ mode: InputMode
  ) throws(StorageError) -> (ReadableFile, HeaderSlots) {
    let file = try ReadableFile(path, mode: mode)
    var last: Result<(ReadableFile, HeaderSlots), StorageError>
    do throws(StorageError) {
      let slots = try HeaderSlots(of: file)
      if slots.residue.isEmpty { return (file, slots) }
      last = .success((file, slots))
    } catch { last = .failure(error) }
    for _ in 0..<attempts {
      let (isBeingWritten, settled) = try ReadableFile.atRest(path, mode: mode) { file throws(StorageError) in
        (file, try HeaderSlots(of: file))
      }
      if let settled { return settled }
      do throws(StorageError) {
        let file = try ReadableFile(path, mode: mode)
        let slots = try HeaderSlots(of: file)
        if slots.residue.isEmpty { return (file, slots) }
        if isBeingWritten { return (file, slots.besideWriter()) }
        // There are no locks to tell by: a writer would be done soon with what it does between two looks, but for the rest.
        last = .success((file, slots))
      } catch { last = .failure(error) }
      pause(milliseconds: 2)
    }
    return try last.get()
  }

  /// A slot is written in much less.
  private static let attempts = 20

  package var slot: HeaderSlot { slots.active }

  /// Names the whole content (TMP-3-6).
  package var rootDigest: ContentDigest { slot.index.digest }

  /// Throws `inputOutput` when the file of this name holds another generation by now. For writers, under their lock.
  func checkUnchanged() throws(StorageError) {
    guard try HeaderSlots(of: try ReadableFile(path, mode: .read)).active == slot else {
      throw StorageError(.inputOutput, "was changed by another process; try again", file: path)
    }
  }

  /// Bytes of the active generation.
  package var size: UInt64 { slot.archiveEnd }

  /// The position of an expert in declaration order.
  /// - Throws: `unknownName`, with the names there are.
  package func expertIndex(named name: String) throws(StorageError) -> Int {
    if let position = index.experts.firstIndex(where: { $0.name.hasSameBytes(as: name) }) { return position }
    let names = index.experts.map(\.name).joined(separator: ", ")
    let note = slots.residue.isEmpty ? "" : " (the file has the remains of an interrupted append)"
    throw StorageError(.unknownName, "has no expert '\(name)'; it has: \(names)\(note)", file: path)
  }

  // MARK: Sections

  package func sharedSection() throws(StorageError) -> Section<SharedManifest> {
    if let section = cache.withLock({ $0.shared }) { return section }
    let section: Section<SharedManifest> = try readSection(
      index.shared, "the shared model's section", context: index.storage)
    cache.withLock { $0.shared = section }
    return section
  }

  package func expertSection(_ position: Int) throws(StorageError) -> Section<ExpertManifest> {
    let expert = index.experts[position]
    if let section = cache.withLock({ $0.experts[expert.section] }) { return section }
    let shared = try sharedSection().manifest
    let section: Section<ExpertManifest> = try located(expert: expert.name) { () throws(StorageError) in
      let section: Section<ExpertManifest> = try readSection(
        expert.section, "the expert's section", context: shared)
      try checkRequired(section.manifest.required)
      return section
    }
    cache.withLock { $0.experts[expert.section] = section }
    return section
  }

  /// The router's section; nil in an archive without one.
  package func routerSection() throws(StorageError) -> Section<RouterManifest>? {
    guard let reference = index.router else { return nil }
    if let section = cache.withLock({ $0.router }) { return section }
    let section: Section<RouterManifest> = try readSection(
      reference, "the router's section", context: index.experts.map(\.name))
    cache.withLock { $0.router = section }
    return section
  }

  private func readSection<Manifest: SectionManifest>(
    _ reference: SectionReference, _ what: String, context: Manifest.Context
  ) throws(StorageError) -> Section<Manifest> {
    try located(file: path) { () throws(StorageError) in
      let raw = try Self.raw(reference.extent, rawSize: reference.rawSize, what, of: file)
      do throws(StorageError) {
        let section = try Section<Manifest>(parsing: raw, context: context, archiveEnd: slot.archiveEnd)
        try checkRequired(Set(section.frames.compactMap(\.required)))
        return section
      } catch {
        // Offsets inside a compressed section mean nothing in the file: name the section's place.
        throw StorageError(
          error.code, "\(what): \(error.message)", offset: reference.extent.offset, expert: error.expert,
          tensor: error.tensor)
      }
    }
  }

  /// What a section makes use of is what the index requires (TMP-4-5).
  private func checkRequired(_ features: Set<RequiredFeature>) throws(StorageError) {
    for feature in features.subtracting(index.required) {
      throw StorageError(
        .malformed, "makes use of the feature \"\(feature.rawValue)\", which the index does not require", file: path)
    }
  }

  /// Checks the digest of a compressed extent (TMP-4-1, TMP-5-6) and decompresses it.
  static func raw(
    _ extent: Extent, rawSize: Int, _ what: String, of file: ReadableFile
  ) throws(StorageError) -> [UInt8] {
    try file.withBytes(at: extent.offset, count: extent.storedSize) { stored throws(StorageError) in
      try extent.check(stored, what)
      return try [UInt8](count: rawSize) { raw throws(StorageError) in
        do throws(StorageError) { try Zstandard.decompress(stored, into: raw) } catch {
          throw error.at(file: file.path, offset: extent.offset)
        }
      }
    }
  }

  /// Reads the payloads of this archive's sections.
  package let payloads: PayloadReader
}
