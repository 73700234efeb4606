import TMPackTensorKit

package func info(_ name: String, _ dtype: DType, _ shape: [Int]) throws -> TensorInfo {
  try TensorInfo(name: name, dtype: dtype, shape: Shape(shape))
}

/// Random bytes for each tensor.
package func source(
  _ infos: [TensorInfo], metadata: [String: String] = [:], seed: UInt64 = 1
) throws -> MemoryTensorSource {
  var random = SeededGenerator(seed: seed)
  return try MemoryTensorSource(
    infos.map { info in
      (info, TensorBytes((0..<info.byteCount).map { _ in UInt8.random(in: 0...255, using: &random) }))
    }, metadata: metadata)
}

/// Every dtype, with empty tensors, scalars and names that need care.
package func everyKindOfTensor() throws -> [TensorInfo] {
  var infos = try DType.allCases.map { try info("t.\($0.rawValue)", $0, [2, 4]) }
  infos += try [
    info("", .f32, []), info("empty", .f64, [0]), info("empty too", .u8, [3, 0, 2]), info("odd", .u8, [7]),
    info("quote\"back\\slash/", .i64, [1]), info("line\nfeed\t\u{1}", .f16, [3]), info("é", .bf16, [1, 1, 3]),
    info("e\u{301}", .bf16, [5]), info("层.权重", .f32, [2]), info("😀", .c64, [2]), info("a", .i8, [1]),
    info("dims", .bool, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2]),
  ]
  return infos
}

package func bytes(of source: any TensorSource, _ name: String) throws -> [UInt8] {
  try source.bytes(of: source.tensor(named: name)!).withBytes { [UInt8]($0) }
}

/// Whether all tensors are the same, also where the first source is read in parts.
package func hasSameTensors(_ left: any TensorSource, _ right: any TensorSource) throws -> Bool {
  guard left.tensors == right.tensors else { return false }
  return try left.tensors.allSatisfy {
    try bytes(of: left, $0.name) == bytes(of: right, $0.name) && hasSameParts(left, $0)
  }
}
