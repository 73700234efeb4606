import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport

/// A whole safetensors file around a header that a test has written.
func safetensors(_ header: String, dataBytes: Int = 0) -> [UInt8] {
  var file = ByteWriter()
  file.integer(UInt64(header.utf8.count))
  file.append(header.utf8)
  file.zeros(dataBytes)
  return file.bytes
}

/// The header of a file in memory.
func header(of file: [UInt8]) throws(StorageError) -> SafetensorsHeader {
  try file.withBytes { raw throws(StorageError) in
    var input = ByteReader(raw)
    return try SafetensorsHeader(parsing: &input, fileSize: UInt64(raw.count))
  }
}

/// A source that cannot give one of its tensors.
struct FailingSource: TensorSource {
  let whole: MemoryTensorSource
  let broken: String

  var tensors: [TensorInfo] { whole.tensors }
  var label: String { "failing" }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    if info.name == broken { throw StorageError(.digestMismatch, "damaged") }
    try whole.read(info, into: destination)
  }
}
