import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

extension SafetensorsHeader: CheckpointFilePlan {
  var tensors: [TensorInfo] { entries.map(\.info) }

  func begin(writingTo sink: any OverwritableSink) throws(StorageError) -> any CheckpointFileWriter {
    try SafetensorsWriter(self, to: sink)
  }
}

/// Streams a safetensors file: the header first, then each tensor as it comes. Nothing is kept.
struct SafetensorsWriter: CheckpointFileWriter {
  private let header: SafetensorsHeader
  private let sink: any ByteSink
  private var next = 0
  /// Where the next tensor begins.
  private var place: UInt64

  /// Writes the header to `sink`.
  init(_ header: SafetensorsHeader, to sink: any ByteSink) throws(StorageError) {
    var output = ByteWriter()
    try header.write(to: &output)
    try sink.write(output.bytes)
    self.header = header
    self.sink = sink
    place = sink.position
  }

  func begin(checksum: CRC32?) {}
  func write(_ part: TensorBytes) throws(StorageError) { try sink.write(part) }

  mutating func end(checksum: CRC32) {
    place += UInt64(header.entries[next].info.byteCount)
    precondition(sink.position == place, "all of the tensor")
    next += 1
  }

  func finish() { precondition(next == header.entries.count, "every tensor was written") }
}
