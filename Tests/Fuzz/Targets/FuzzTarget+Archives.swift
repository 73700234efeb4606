import TMPackByteIO
import TMPackDigests
import TMPackJournal
import TMPackParallel
import TMPackReading
import TMPackTensorKit

extension FuzzTarget {
  static let archives: [FuzzTarget] = [
    FuzzTarget("archive", longest: 20000) { bytes throws(StorageError) in
      try readArchive(LooseArchive.bytes(bytes))
    },
    // As it is, but for the digest of the slots: what is in them is believed.
    FuzzTarget("header", seeds: ["Fixtures/golden"], longest: 32768) { bytes throws(StorageError) in
      var file = bytes
      for slot in [0, 4096] where file.count >= slot + 128 {
        file.replaceSubrange(slot + 96..<slot + 128, with: ContentDigest(of: Array(file[slot..<slot + 96])).bytes)
      }
      try readArchive(file)
    },
    FuzzTarget("journal") { bytes throws(StorageError) in
      let file = try ReadableFile(MemoryFolder.shared.file("journal", sealedJournal(bytes)), mode: .read)
      let contents = try JournalContents(file)
      for job in contents.jobs { try job.stored.withBytes { _ in } }
    },
  ]

  /// What `tmpack verify --deep`, `inspect`, `unpack` and `route` read.
  private static func readArchive(_ bytes: [UInt8]) throws(StorageError) {
    let archive = try Archive(MemoryFolder.shared.file("archive.tmpack", bytes), mode: .read)
    _ = try? Verification(archive, pipeline: OrderedPipeline(threads: 1)).run(.deep)
    _ = try? Router(archive)
    let reconstructor = try Reconstructor(archive, memoryLimit: 0)
    var mixes = [RouterWeights.shared]
    for expert in archive.experts.prefix(3) { mixes.append(.expert(expert.name)) }
    for weights in mixes {
      guard let mix = try? reconstructor.mix(weights) else { continue }
      for info in mix.tensors.prefix(16) where info.byteCount <= 1 << 18 {
        _ = try? TensorBytes(count: info.byteCount) { target throws(StorageError) in try mix.read(info, into: target) }
      }
    }
  }

  /// With the checks that a journal's header and records need; the records lie where their sizes say.
  private static func sealedJournal(_ bytes: [UInt8]) -> [UInt8] {
    var file = bytes
    guard file.count >= 128 else { return file }
    file.replaceSubrange(96..<128, with: ContentDigest(of: Array(file[..<96])).bytes)
    let plan = Array(file[32..<64])
    var place = 128
    while file.count - place >= 64 {
      let size = (16..<24).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64(file[place + $1]) }
      let start = place + 64
      if size <= UInt64(file.count - start) {
        let payload = Array(file[start..<start + Int(size)])
        file.replaceSubrange(place + 24..<place + 56, with: ContentDigest(of: payload).bytes)
      }
      let check = ContentDigest(of: plan + Array(file[place..<place + 56])).bytes[..<8]
      file.replaceSubrange(place + 56..<start, with: check)
      guard size <= UInt64(file.count - start) else { break }
      place = start + Int(size)
    }
    return file
  }
}
