import TMPackByteIO
import TMPackDigests
import TMPackParallel

/// What of the file belongs to the active generation.
extension ArchiveFile {
  /// The index' extent and those of all sections.
  package var sectionExtents: [Extent] {
    [slot.index, index.shared.extent] + index.experts.map(\.section.extent) + [index.router?.extent].compactMap { $0 }
  }

  /// The parts whose sections can be read, with the frames of each.
  package func readableParts() -> [(part: ArchivePart, frames: [FrameRecord])] {
    guard let shared = try? sharedSection() else { return [] }
    var parts = [(part: ArchivePart.shared, frames: shared.frames)]
    for position in index.experts.indices {
      guard let section = try? expertSection(position) else { continue }
      parts.append((.expert(position), section.frames))
    }
    if let section = try? routerSection() { parts.append((.router, section.frames)) }
    return parts
  }

  /// The extents of those parts' frames, each once.
  package func frameExtents() -> Set<Extent> { Set(readableParts().lazy.flatMap(\.frames).map(\.extent)) }

  /// Those of some extents whose bytes have another digest, with the one that they have.
  ///
  /// - Parameter progress: called with the bytes done and the bytes to do.
  package func damaged(
    among extents: [Extent], pipeline: OrderedPipeline, progress: (UInt64, UInt64) -> Void = { _, _ in }
  ) throws(StorageError) -> [Extent: ContentDigest] {
    let total = extents.reduce(0) { $0 + UInt64($1.storedSize) }
    var done: UInt64 = 0
    var damaged: [Extent: ContentDigest] = [:]
    let file = file
    let ranges = extents.map { FileRange(file, at: $0.offset, count: $0.storedSize) }
    try pipeline.digest(ranges) { index, actual in
      let extent = extents[index]
      done += UInt64(extent.storedSize)
      progress(done, total)
      if actual != extent.digest { damaged[extent] = actual }
    }
    return damaged
  }

  /// The gaps in front of raw frames, which are zero in a first generation (TMP-2-8); none in others.
  package var paddings: [Range<UInt64>] {
    guard slot.generation == 1 else { return [] }
    let frames = readableParts().flatMap(\.frames)
    let raw = Set(frames.lazy.filter { $0.isRaw }.map(\.extent.offset))
    var end = Layout.contentStart
    var gaps: [Range<UInt64>] = []
    for extent in Set(frames.map(\.extent) + sectionExtents).sorted(by: { $0.offset < $1.offset }) {
      if raw.contains(extent.offset), end < extent.offset, extent.offset - end < Layout.rawAlignment {
        gaps.append(end..<extent.offset)
      }
      end = max(end, extent.end)
    }
    return gaps
  }
}

extension Extent {
  /// The bytes that a file has there; nil if they are others.
  package func soundBytes(in file: ReadableFile) throws(StorageError) -> [UInt8]? {
    try file.withBytes(at: offset, count: storedSize) { ContentDigest(of: $0) == digest ? [UInt8]($0) : nil }
  }
}
