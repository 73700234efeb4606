import ByteIO
import TensorKit

/// Streams a safetensors file: the header first, then each tensor as it comes. Nothing is kept.
public struct SafetensorsWriter: ~Copyable {
  public let header: SafetensorsHeader
  private let sink: any ByteSink
  private var next = 0

  /// Writes the header to `sink`.
  public init(_ header: SafetensorsHeader, to sink: any ByteSink) throws(StorageError) {
    var output = ByteWriter()
    try header.write(to: &output)
    try sink.write(output.bytes)
    self.header = header
    self.sink = sink
  }

  /// Writes the next tensor of `header.entries`.
  /// - Precondition: `bytes` has the size that the header says.
  public mutating func append(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    precondition(bytes.count == header.entries[next].info.byteCount, "the tensor that comes next")
    try sink.write(bytes)
    next += 1
  }

  /// - Precondition: every tensor was appended.
  public consuming func finish() {
    precondition(next == header.entries.count, "every tensor was written")
  }
}
