import Synchronization
import TMPackByteIO

/// Decoded frames that several small payloads share: without them, each payload would have its frame decoded anew.
///
/// Holds the ones that were used last. Safe to use from several threads, which may decode a frame twice at the same time.
final class SharedFrames: Sendable {
  /// A digest that was checked says more than one that was not.
  private struct Key: Hashable {
    let frame: FrameRecord
    let isChecked: Bool
  }

  /// Raw bytes of all frames that are held.
  private static let mostBytes = 16 << 20

  private let held = Mutex(RecentlyUsed<Key, [UInt8]>(limit: mostBytes))

  /// The raw bytes of a frame, decoded by `decode` unless they are there.
  func bytes(
    of frame: FrameRecord, isChecked: Bool, decode: () throws(StorageError) -> [UInt8]
  ) throws(StorageError) -> [UInt8] {
    let key = Key(frame: frame, isChecked: isChecked)
    if let bytes = held.withLock({ $0.value(for: key) }) { return bytes }
    let bytes = try decode()
    // With its record: frames of a byte are not held without end.
    _ = held.withLock { $0.keep(bytes, for: key, size: bytes.count + MemoryLayout<Key>.size) }
    return bytes
  }
}
