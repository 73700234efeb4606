import Synchronization
import TMPackByteIO

/// Scratch space for what of large payloads is not held in memory until it is placed; none is taken before there is any.
package final class PayloadScratch: Sendable {
  private let path: String
  private let file = Mutex<ScratchFile?>(nil)

  /// Stored bytes of one payload that are held in memory.
  package static let heldBytes = 64 << 20

  /// - Parameter path: of a file on the disk to use.
  init(besides path: String) { self.path = path }

  /// Moves bytes there.
  func keep(_ bytes: [UInt8]) throws(StorageError) -> StoredBytes {
    let file = try file.withLock { file throws(StorageError) in
      if let file { return file }
      let new = try ScratchFile(besides: path)
      file = new
      return new
    }
    return StoredBytes(
      .scratch(file, try bytes.withBytes { raw throws(StorageError) in try file.append(raw) }), bytes.count)
  }
}

/// A frame's bytes as they will stand in the file, in memory or in scratch space.
struct StoredBytes: Sendable {
  enum Place: Sendable {
    case memory([UInt8])
    case scratch(ScratchFile, UInt64)
  }

  private let place: Place
  let count: Int

  init(_ bytes: [UInt8]) { self.init(.memory(bytes), bytes.count) }

  fileprivate init(_ place: Place, _ count: Int) { (self.place, self.count) = (place, count) }

  /// nil for those in scratch space.
  var held: [UInt8]? { if case .memory(let bytes) = place { bytes } else { nil } }

  func loaded() throws(StorageError) -> [UInt8] {
    switch place {
    case .memory(let bytes): bytes
    case .scratch(let file, let offset): try file.read(at: offset, count: count)
    }
  }
}
