import ByteIO
import Synchronization

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
  private static let mostFrames = 64

  /// The one that was used last comes last.
  private let held = Mutex<[(key: Key, bytes: [UInt8])]>([])

  /// The raw bytes of a frame, decoded by `decode` unless they are there.
  func bytes(
    of frame: FrameRecord, isChecked: Bool, decode: () throws(StorageError) -> [UInt8]
  ) throws(StorageError) -> [UInt8] {
    let key = Key(frame: frame, isChecked: isChecked)
    if let bytes = use(key) { return bytes }
    let bytes = try decode()
    hold(bytes, as: key)
    return bytes
  }

  private func use(_ key: Key) -> [UInt8]? {
    held.withLock { held in
      guard let index = held.lastIndex(where: { $0.key == key }) else { return nil }
      let entry = held.remove(at: index)
      held.append(entry)
      return entry.bytes
    }
  }

  private func hold(_ bytes: [UInt8], as key: Key) {
    held.withLock { held in
      guard !held.contains(where: { $0.key == key }) else { return }
      held.append((key, bytes))
      while held.count > Self.mostFrames || held.reduce(0, { $0 + $1.bytes.count }) > Self.mostBytes {
        held.removeFirst()
      }
    }
  }
}
