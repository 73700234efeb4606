import ByteIO
import TensorKit

extension SafetensorsHeader: CheckpointFilePlan {
  var tensors: [TensorInfo] { entries.map(\.info) }

  func begin(writingTo sink: any ByteSink) throws(StorageError) -> any CheckpointFileWriter {
    try SafetensorsWriter(self, to: sink)
  }
}

/// Streams a safetensors file: the header first, then each tensor as it comes. Nothing is kept.
struct SafetensorsWriter: CheckpointFileWriter {
  private let header: SafetensorsHeader
  private let sink: any ByteSink
  private var next = 0

  /// Writes the header to `sink`.
  init(_ header: SafetensorsHeader, to sink: any ByteSink) throws(StorageError) {
    var output = ByteWriter()
    try header.write(to: &output)
    try sink.write(output.bytes)
    self.header = header
    self.sink = sink
  }

  mutating func append(_ tensor: EncodedTensor) throws(StorageError) {
    precondition(tensor.bytes.count == header.entries[next].info.byteCount, "the tensor that comes next")
    try sink.write(tensor.bytes)
    next += 1
  }

  mutating func finish() { precondition(next == header.entries.count, "every tensor was written") }
}
