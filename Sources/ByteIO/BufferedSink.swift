/// Collects small writes for another sink; large ones pass through. Ends with `flush`.
package final class BufferedSink: OverwritableSink {
  /// What is so large that copying it costs more than writing it by itself.
  package static let largeBytes = 256 << 10

  package private(set) var position: UInt64
  private let sink: any OverwritableSink
  private var buffer: [UInt8] = []

  package init(_ sink: any OverwritableSink) {
    self.sink = sink
    position = sink.position
    buffer.reserveCapacity(2 * Self.largeBytes)
  }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    if bytes.count < Self.largeBytes {
      buffer.append(contentsOf: bytes)
      if buffer.count >= Self.largeBytes { try flush() }
    } else {
      try flush()
      try sink.write(bytes)
    }
    position += UInt64(bytes.count)
  }

  package func overwrite(_ bytes: [UInt8], at offset: UInt64) throws(StorageError) {
    let begin = position - UInt64(buffer.count)
    if offset >= begin {
      precondition(offset + UInt64(bytes.count) <= position, "overwrites only what was written")
      let start = Int(offset - begin)
      buffer.replaceSubrange(start..<start + bytes.count, with: bytes)
    } else {
      try flush()
      try sink.overwrite(bytes, at: offset)
    }
  }

  /// Hands everything on.
  package func flush() throws(StorageError) {
    guard !buffer.isEmpty else { return }
    try sink.write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}
