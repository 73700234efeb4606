/// Collects small writes for another sink; large ones pass through. Ends with `flush`.
public final class BufferedSink: ByteSink {
  /// What is so large that copying it costs more than writing it by itself.
  public static let largeBytes = 256 << 10

  public private(set) var position: UInt64
  private let sink: any ByteSink
  private var buffer: [UInt8] = []

  public init(_ sink: any ByteSink) {
    self.sink = sink
    position = sink.position
    buffer.reserveCapacity(2 * Self.largeBytes)
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    if bytes.count < Self.largeBytes {
      buffer.append(contentsOf: bytes)
      if buffer.count >= Self.largeBytes { try flush() }
    } else {
      try flush()
      try sink.write(bytes)
    }
    position += UInt64(bytes.count)
  }

  public func write(_ range: FileRange) throws(StorageError) {
    try flush()
    try sink.write(range)
    position += UInt64(range.count)
  }

  /// Hands everything on.
  public func flush() throws(StorageError) {
    guard !buffer.isEmpty else { return }
    try sink.write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}
