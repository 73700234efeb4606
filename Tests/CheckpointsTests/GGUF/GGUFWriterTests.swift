import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct GGUFWriterTests {
  @Test func keepsEveryTypeOfElement() throws {
    let folder = TemporaryFolder()
    let infos = try DType.allCases.filter { GGUFTensorType($0) != nil }.map { try info("t.\($0)", $0, [3, 5]) }
    let original = try source(
      infos + [info("scalar", .f32, []), info("empty", .f64, [3, 0]), info("é", .bf16, [1, 7])])
    try writeGGUF(original, to: folder("m"))
    for mode in InputMode.allCases {
      let file = try GGUFFile(folder("m"), mode: mode)
      #expect(try hasSameTensors(file, original))
      for info in file.tensors {
        var copy = [UInt8](repeating: 0, count: info.byteCount)
        try copy.withUnsafeMutableBytes { try file.read(info, into: $0) }
        #expect(try copy == bytes(of: original, info.name))
      }
    }
  }

  @Test func takesStringsFromOtherFormats() throws {
    let metadata = TypedMetadata(["format": "pt", "a": "1"])
    #expect(metadata.entries.map(\.key) == ["a", "format"])
    #expect(metadata.strings == ["a": "1", "format": "pt"])
  }

  @Test func keepsEmptyAndNestedArrays() throws {
    let folder = TemporaryFolder()
    var metadata = TypedMetadata()
    metadata["none"] = .array(.string([]))
    metadata["deep"] = .array(.array([.array([.uint8([1, 2]), .string(["é"])]), .array([]), .bool([true])]))
    metadata["general.alignment"] = .uint32(8)
    try writeGGUF(try source([info("a", .i8, [3]), info("b", .i8, [9])]), metadata: metadata, to: folder("m"))
    let file = try GGUFFile(folder("m"))
    #expect(file.typedMetadata == metadata)
    #expect(try contents(folder("m")).count.isMultiple(of: 8))
  }

  @Test func refusesWhatTheFormatCannotHold() throws {
    func refusal(
      _ dtype: DType, _ shape: [Int] = [2, 32], metadata: TypedMetadata = TypedMetadata(),
      as type: GGUFTensorType? = nil
    ) -> StorageError.Code? {
      code { _ = try GGUFHeader(describing: [info("t", dtype, shape)], metadata: metadata) { _ in type } }
    }
    for dtype in DType.allCases where GGUFTensorType(dtype) == nil { #expect(refusal(dtype) == .unsupportedFeature) }
    #expect(refusal(.f32, as: .q8_0) == nil)
    #expect(refusal(.bf16, as: .q4_0) == nil)
    #expect(refusal(.i32, as: .q8_0) == .invalidArgument)
    #expect(refusal(.f32, as: .f16) == .invalidArgument)
    #expect(refusal(.f32, [1, 256], as: .q2_K) == .invalidArgument)
    #expect(refusal(.f32, [32, 2], as: .q8_0) == .malformed)
    #expect(code { _ = try GGUFHeader(describing: [info("t", .f32, [1]), info("t", .f32, [1])]) } == .malformed)
    var metadata = TypedMetadata()
    metadata["general.alignment"] = .uint32(24)
    #expect(refusal(.f32, metadata: metadata) == .malformed)
  }

  @Test(arguments: [Float.infinity, -.infinity, .nan, .greatestFiniteMagnitude])
  func refusesToQuantizeWhatABlockCannotHold(_ value: Float) throws {
    for type in [GGUFTensorType.q8_0, .q4_0] {
      let folder = TemporaryFolder()
      var values = [Float](repeating: 1, count: 64)
      values[40] = value
      let bytes = values.withUnsafeBytes { TensorBytes([UInt8]($0)) }
      let original = try MemoryTensorSource([(info("t", .f32, [64]), bytes)])
      let error = failure { try writeGGUF(original, to: folder("m")) { _ in type } }
      #expect(error?.code == .nonFinite)
      #expect(error?.tensor == "t")
      #expect(folder.names.isEmpty)
    }
  }

  /// Scales so small that they have no inverse.
  @Test func quantizesTheSmallestNumbersToZero() throws {
    let folder = TemporaryFolder()
    let values: [Float] = (0..<64).map { $0.isMultiple(of: 3) ? 0 : Float(bitPattern: UInt32($0) * 1000) }
    let bytes = values.withUnsafeBytes { TensorBytes([UInt8]($0)) }
    for type in [GGUFTensorType.q8_0, .q4_0] {
      try writeGGUF(MemoryTensorSource([(info("t", .f32, [64]), bytes)]), to: folder("m")) { _ in type }
      let file = try GGUFFile(folder("m"))
      try file.bytes(of: file.tensors[0]).withElements(of: Float.self) { #expect($0.allSatisfy { $0 == 0 }) }
    }
  }

  /// `gguf.quants` has no decoder for this one, which ggml only uses in memory.
  @Test func decodesQ8_K() throws {
    let folder = TemporaryFolder()
    let file = gguf(tensors: 1) { $0.tensor("t", [256], type: 15) }
    var data = ByteWriter()
    data.integer(Float(0.25).bitPattern)
    for j in 0..<256 { data.integer(Int8(truncatingIfNeeded: j - 128)) }
    data.zeros(32)
    try put(file + data.bytes, at: folder("m"))
    let opened = try GGUFFile(folder("m"))
    try opened.bytes(of: opened.tensors[0]).withElements(of: Float.self) { values in
      #expect(Array(values) == (0..<256).map { 0.25 * Float($0 - 128) })
    }
  }

  /// Blocks decode the same wherever the values go.
  @Test func decodesToAnyAddress() throws {
    let file = try GGUFFile(ForeignFixtures.gguf("quantized.gguf"))
    for info in file.tensors {
      var memory = [UInt8](repeating: 0, count: info.byteCount + 1)
      try memory.withUnsafeMutableBytes { raw in
        try file.read(info, into: UnsafeMutableRawBufferPointer(rebasing: raw[1...]))
      }
      #expect(try Array(memory[1...]) == bytes(of: file, info.name))
    }
  }
}
