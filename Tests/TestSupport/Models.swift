import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

/// A tensor and its elements.
package typealias SampleTensor = (info: TensorInfo, bytes: TensorBytes)

/// A tensor of a float dtype, each value rounded once.
package func tensor(_ name: String, _ dtype: DType, _ shape: [Int], _ values: [Double]) throws -> SampleTensor {
  let info = try info(name, dtype, shape)
  let format = dtype.floatFormat!
  let bytes = TensorBytes(count: info.byteCount) { target in
    values.withUnsafeBufferPointer { format.round($0, into: target) }
  }
  return (info, bytes)
}

package func tensor(_ name: String, _ dtype: DType, _ shape: [Int], bytes: [UInt8]) throws -> SampleTensor {
  (try info(name, dtype, shape), TensorBytes(bytes))
}

/// Little-endian lanes.
package func lanes<Lane: FixedWidthInteger>(_ lanes: [Lane]) -> [UInt8] {
  var writer = ByteWriter()
  for lane in lanes { writer.integer(lane) }
  return writer.bytes
}

/// Roughly normal values of a scale.
package func noise(_ count: Int, scale: Double = 1, seed: UInt64) -> [Double] {
  var random = SeededGenerator(seed: seed)
  return (0..<count).map { _ in Double(random.noise()) * scale }
}

/// Writes one safetensors file, or a model folder with the given other files, and opens it.
@discardableResult
package func writeModel(
  _ tensors: [SampleTensor], metadata: [String: String] = [:], files: [(name: String, bytes: [UInt8])] = [],
  to path: String
) throws -> Checkpoint {
  let contents = try files.map { file in
    CarriedContent(try CarriedFileName(file.name)) { () throws(StorageError) in file.bytes }
  }
  try CheckpointDestination(path, replacing: true)
    .write(MemoryTensorSource(tensors, metadata: metadata), carriedFiles: contents)
  return try Checkpoint.open(path)
}
