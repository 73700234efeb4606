import TMPackByteIO
import TMPackDigests

/// Which of the equal shares of the work: 1 to `count`.
package struct TaskShare: Sendable, Hashable, CustomStringConvertible {
  package let index: Int
  package let count: Int

  /// - Throws: `invalidArgument` unless 1 ≤ index ≤ count ≤ 65,536.
  package init(_ index: Int, of count: Int) throws(StorageError) {
    guard (1...Limits.taskShares).contains(count) else {
      throw StorageError(.invalidArgument, "the work can be shared by 1 to \(Limits.taskShares), not by \(count)")
    }
    guard (1...count).contains(index) else {
      throw StorageError(.invalidArgument, "there is no share \(index) of \(count); the first is 1")
    }
    self.index = index
    self.count = count
  }

  private init() { (index, count) = (1, 1) }
  /// All of it.
  package static let whole = TaskShare()

  package var description: String { "\(index)/\(count)" }
}

/// The first bytes of a journal or part (Spec/tasks.md).
///
/// ```
///  0 8 magic   8 4 version   12 4 share   16 4 shares   20 12 reserved   32 32 plan   64 32 kernels   96 32 digest
/// ```
package struct JournalHeader: Hashable {
  package static let byteCount = 128
  private static let magic = Array("tmpkjrnl".utf8)
  package static let version: UInt32 = 4
  private static let textBytes = 32

  package let share: TaskShare
  package let plan: ContentDigest
  /// What the BLAS's kernels were written for: factors may differ in their last bits where these do.
  package let kernels: String

  init(share: TaskShare, plan: ContentDigest, kernels: String) {
    self.share = share
    self.plan = plan
    self.kernels = String(
      decoding: kernels.utf8.filter { (0x20..<0x7F).contains($0) }.prefix(Self.textBytes), as: UTF8.self)
  }

  package var bytes: [UInt8] {
    var writer = ByteWriter(capacity: Self.byteCount)
    writer.append(Self.magic)
    writer.integer(Self.version)
    writer.integer(UInt32(share.index))
    writer.integer(UInt32(share.count))
    writer.zeros(12)
    writer.append(plan.bytes)
    writer.append(kernels.utf8)
    writer.zeros(Self.textBytes - kernels.utf8.count)
    writer.append(ContentDigest(of: writer.bytes).bytes)
    return writer.bytes
  }

  /// - Throws: `unknownFormat` for what is no journal, `unsupportedVersion`, `truncated`, `digestMismatch`.
  init(parsing raw: UnsafeRawBufferPointer) throws(StorageError) {
    var reader = ByteReader(raw)
    guard raw.prefix(Self.magic.count).elementsEqual(Self.magic) else {
      throw StorageError(.unknownFormat, "is no journal of packing")
    }
    _ = try reader.take(Self.magic.count)
    let version: UInt32 = try reader.integer()
    guard version == Self.version else {
      throw StorageError(.unsupportedVersion, "is a journal of version \(version); this build reads \(Self.version)")
    }
    let index = Int(try reader.integer(UInt32.self))
    let count = Int(try reader.integer(UInt32.self))
    try reader.zeros(12)
    plan = ContentDigest(bytes: try reader.take(ContentDigest.byteCount))
    let text = try reader.take(Self.textBytes)
    let checked = reader.offset
    let digest = ContentDigest(bytes: try reader.take(ContentDigest.byteCount))
    guard ContentDigest(of: UnsafeRawBufferPointer(rebasing: raw[..<Int(checked)])) == digest else {
      throw StorageError(.digestMismatch, "the header is damaged", offset: 0)
    }
    guard let share = try? TaskShare(index, of: count), text.allSatisfy({ $0 < 0x7F }) else {
      throw StorageError(.malformed, "the header names no share", offset: 12)
    }
    self.share = share
    kernels = String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
  }
}
