import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// GGUF as one format among the others.
@Suite struct GGUFDestinationTests {
  @Test(arguments: ["plain", "aligned_to_256", "version_2"]) func keepsEverythingFromGGUFToGGUF(_ name: String) throws {
    let folder = TemporaryFolder()
    let original = try GGUFFile(ForeignFixtures.gguf("\(name).gguf"))
    // Through every source that stands around another.
    let selected = TensorSelection(of: original)
    let renamed = try RenamedSource(selected, by: [RenamingRule(parsing: "*=*")])
    try CheckpointDestination(folder("m.gguf")).write(renamed)
    let copy = try GGUFFile(folder("m.gguf"))
    #expect(copy.typedMetadata == original.typedMetadata)
    #expect(try hasSameTensors(copy, original))
    #expect(WritableFormat.gguf.losses(of: renamed).isEmpty)
    let converted = try ConvertedSource(original, to: .f64)
    #expect(converted.typedMetadata == original.typedMetadata)
  }

  @Test func stringsOfOtherFormatsBecomeStrings() throws {
    let folder = TemporaryFolder()
    let metadata = ["general.architecture": "bert", "general.alignment": "64", "format": "pt", "é": ""]
    let original = try source([info("a", .f32, [2, 3]), info("b", .i64, [])], metadata: metadata)
    try CheckpointDestination(folder("m.gguf")).write(original)
    let file = try GGUFFile(folder("m.gguf"))
    #expect(try hasSameTensors(file, original))
    // The alignment described another file, and not as a number; PyTorch's framework goes without saying.
    #expect(file.typedMetadata.entries.map(\.key) == ["general.architecture", "é"])
    #expect(file.typedMetadata["general.architecture"] == .string("bert"))
  }

  @Test func saysWhatOtherFormatsLose() throws {
    let plain = try GGUFFile(ForeignFixtures.gguf("plain.gguf"))
    let safetensors = WritableFormat.safetensors.losses(of: plain).joined(separator: "\n")
    #expect(safetensors.contains("arrays") && safetensors.contains("t.array.array"))
    #expect(safetensors.contains("numbers written so"))
    #expect(WritableFormat.npz.losses(of: plain).joined().contains("metadata"))
    let quantized = try GGUFFile(ForeignFixtures.gguf("quantized.gguf"))
    #expect(quantized.notes.joined().contains("Q8_0"))
    #expect(plain.notes.isEmpty)
  }

  @Test func takesTheArchitectureFromTheConfiguration() throws {
    let tensors = try source([info("a", .f32, [2])])
    func described(_ config: String?, _ source: any TensorSource) throws -> any TensorSource {
      let files = try config.map { try [CheckpointDestinationTests.content("config.json", $0)] } ?? []
      return try WritableFormat.gguf.described(source, by: files)
    }
    #expect(try described(#"{"model_type": "bert"}"#, tensors).metadata == ["general.architecture": "bert"])
    for config in [nil, "{}", "[", #"{"model_type": 1}"#] {
      let same = try described(config, tensors)
      #expect(same.metadata.isEmpty)
      #expect(WritableFormat.gguf.losses(of: same).joined().contains("general.architecture"))
    }
    let own = try source([], metadata: ["general.architecture": "llama"])
    #expect(try described(#"{"model_type": "bert"}"#, own).metadata == ["general.architecture": "llama"])
    #expect(try WritableFormat.npz.described(tensors, by: []).metadata.isEmpty)
  }

  @Test(arguments: [GGUFTensorType.q8_0, .q4_0]) func quantizesWhatIsSuited(_ type: GGUFTensorType) throws {
    let folder = TemporaryFolder()
    let values = noise(3 * 64, seed: 8)
    let original = try MemoryTensorSource([
      tensor("matrix", .f32, [3, 64], values), tensor("half", .bf16, [2, 3, 32], values),
      tensor("odd", .f32, [4, 48], values), tensor("vector", .f32, [96], Array(values.prefix(96))),
      tensor("ids", .i64, [2, 32], bytes: [UInt8](repeating: 1, count: 512)),
    ])
    let destination = try CheckpointDestination(folder("m.gguf"), quantization: GGUFQuantization(type))
    let notes = destination.notes(on: original).joined(separator: "\n")
    #expect(notes.contains("2 of 5 tensors are quantised to \(type); as they are: ids, odd, vector"))
    try destination.write(original, threads: 3)
    let file = try GGUFFile(folder("m.gguf"))
    #expect(try file.tensors.map { "\(try file.storedType(of: $0))" } == ["\(type)", "I64", "\(type)", "F32", "F32"])
    #expect(file.typedMetadata["general.file_type"] == .uint32(type == .q8_0 ? 7 : 2))
    for name in ["ids", "odd", "vector"] { #expect(try bytes(of: file, name) == bytes(of: original, name)) }
    // As plain numbers again, the file says so.
    try CheckpointDestination(folder("f.gguf")).write(ConvertedSource(file, to: .f32))
    let plain = try GGUFFile(folder("f.gguf"))
    #expect(plain.typedMetadata["general.file_type"] == .uint32(0))
    for name in ["matrix", "odd", "vector"] { #expect(try bytes(of: plain, name) == bytes(of: file, name)) }
  }

  /// As they are: types that cannot be made here too, through the sources that stand around another.
  @Test(arguments: [1, 3]) func keepsQuantisedBlocks(_ threads: Int) throws {
    let folder = TemporaryFolder()
    let original = try GGUFFile(ForeignFixtures.gguf("quantized.gguf"))
    let renamed = try RenamedSource(TensorSelection(of: original), by: [RenamingRule(parsing: "*=*")])
    try CheckpointDestination(folder("m.gguf")).write(renamed, threads: threads)
    let copy = try GGUFFile(folder("m.gguf"))
    #expect(copy.typedMetadata == original.typedMetadata)
    #expect(try storedBytes(copy) == storedBytes(original))
    #expect(try original.tensors.contains { try original.storedType(of: $0) == .q6_K })
  }

  /// Another dtype, or another type of blocks, asks for the values.
  @Test func makesNewBlocksWhereAnotherTypeIsAskedFor() throws {
    let folder = TemporaryFolder()
    let original = try GGUFFile(ForeignFixtures.gguf("quantized.gguf"))
    // Beyond the half-precision scales of Q8_0.
    let moderate = TensorSelection(of: original) { (try? original.storedType(of: $0)) != .mxfp4 }
    try CheckpointDestination(folder("q.gguf"), quantization: GGUFQuantization(.q8_0)).write(moderate)
    let again = try GGUFFile(folder("q.gguf"))
    let (before, after) = (try storedBytes(original), try storedBytes(again))
    for info in moderate.tensors {
      let (old, new) = (try original.storedType(of: info), try again.storedType(of: info))
      #expect(new == (GGUFTensorType.q8_0.suits(info) ? .q8_0 : old), "\(info.name)")
      if old == new { #expect(before[info.name] == after[info.name]) }
    }
    try CheckpointDestination(folder("f.gguf")).write(ConvertedSource(original, to: .f32))
    let plain = try GGUFFile(folder("f.gguf"))
    #expect(try plain.tensors.allSatisfy { try !plain.storedType(of: $0).isQuantized })
    #expect(try hasSameTensors(plain, original))
  }

  /// The type and the stored bytes of every tensor, by name.
  private func storedBytes(_ file: GGUFFile) throws -> [String: [UInt8]] {
    var all: [String: [UInt8]] = [:]
    for info in file.tensors {
      guard let stored = try file.stored(info) else { continue }
      var bytes = [UInt8](repeating: 0, count: stored.range.count)
      try bytes.withUnsafeMutableBytes { try stored.range.copy(from: 0, into: $0) }
      all[info.name] = bytes
    }
    return all
  }

  @Test func refusesWhatItCannotWrite() throws {
    let folder = TemporaryFolder()
    #expect(
      code { _ = try CheckpointDestination(folder("a.npz"), quantization: GGUFQuantization(.q8_0)) } == .invalidArgument
    )
    #expect(
      code { _ = try CheckpointDestination(folder("a.gguf"), quantization: GGUFQuantization(.q2_K)) }
        == .invalidArgument)
    for (dtype, shape) in [(DType.u8, [1]), (.bool, [1]), (.f8e4m3, [1]), (.f32, [1, 1, 1, 1, 1])] {
      let original = try source([info("fine", .f32, [1]), info("t", dtype, shape)])
      let error = failure { try CheckpointDestination(folder("a.gguf")).write(original) }
      #expect(error?.code == .unsupportedFeature)
      #expect(error?.tensor == "t")
    }
    for value in [Double.infinity, 1e38] {
      let values = [Double](repeating: value, count: 32)
      let matrix = try MemoryTensorSource([tensor("t", .f32, [1, 32], values)], label: "its file")
      let error = failure {
        try CheckpointDestination(folder("a.gguf"), quantization: GGUFQuantization(.q8_0)).write(matrix)
      }
      #expect(error?.code == .nonFinite && error?.tensor == "t" && error?.file == "its file")
    }
    let named = try source([info("a\0b", .f32, [1])])
    let error = failure { try CheckpointDestination(folder("a.npz")).write(named) }
    #expect(error?.code == .unsupportedFeature && error?.tensor == "a\0b" && error?.file == folder("a.npz"))
    #expect(folder.names.isEmpty)
    let long = try source([info(String(repeating: "n", count: 64), .f32, [1])])
    #expect(WritableFormat.gguf.losses(of: long).joined().contains("63 bytes"))
  }

  /// A folder has one file: llama.cpp knows no index of shards.
  @Test func writesAFolder() throws {
    let folder = TemporaryFolder()
    let original = try source([info("a", .f32, [9]), info("b", .f32, [9])])
    try CheckpointDestination(folder("m"), format: .gguf, maxShardBytes: 1).write(
      original, carriedFiles: [CheckpointDestinationTests.content("config.json", "{}")])
    #expect(try FileTree.names(in: folder("m")) == ["config.json", "model.gguf"])
    let checkpoint = try Checkpoint.open(folder("m"))
    #expect(try hasSameTensors(checkpoint.source, original))
    #expect(checkpoint.carriedFiles.count == 1 && checkpoint.skippedFiles.isEmpty)
  }

  @Test(arguments: InputMode.allCases) func readsBigEndianFiles(_ mode: InputMode) throws {
    let file = try GGUFFile(ForeignFixtures.gguf("big_endian.gguf"), mode: mode)
    let little = try GGUFFile(ForeignFixtures.gguf("plain.gguf"))
    #expect(file.typedMetadata == little.typedMetadata)
    #expect(try hasSameTensors(file, little))
    for info in file.tensors {
      var copy = [UInt8](repeating: 0, count: info.byteCount)
      try copy.withUnsafeMutableBytes { try file.read(info, into: $0) }
      #expect(try copy == bytes(of: little, info.name))
    }
  }

  @Test func refusesAPartOfASplitModel() throws {
    let folder = TemporaryFolder()
    var metadata = TypedMetadata()
    metadata["split.no"] = .uint16(1)
    metadata["split.count"] = .uint16(3)
    try writeGGUF(source([info("a", .f32, [1])]), metadata: metadata, to: folder("m"))
    let error = failure { _ = try Checkpoint.open(folder("m")) }
    #expect(error?.code == .unsupportedFeature)
    #expect(error?.message.contains("split into 3") == true)
    metadata["split.count"] = .uint16(1)
    try writeGGUF(source([info("a", .f32, [1])]), metadata: metadata, to: folder("m"))
    #expect(try Checkpoint.open(folder("m")).source.tensors.count == 1)
  }

  /// `NAME-00001-of-00003.gguf` and so on: the whole model by the name of any part, or of the folder.
  @Test func readsASplitModel() throws {
    let folder = TemporaryFolder()
    let whole = try source([info("a", .f32, [2]), info("b", .f16, [3, 4]), info("c", .f32, [1])])
    func write(_ number: Int, _ name: String, of count: Int = 3, total: Int32 = 3) throws {
      var metadata = TypedMetadata()
      if number == 0 { metadata["general.architecture"] = .string("llama") }
      metadata["split.no"] = .uint16(UInt16(number))
      metadata["split.count"] = .uint16(UInt16(count))
      metadata["split.tensors.count"] = .int32(total)
      let part = TensorSelection(of: whole) { $0.name == name }
      try writeGGUF(part, metadata: metadata, to: folder("m-0000\(number + 1)-of-00003.gguf"))
    }
    for (number, name) in ["a", "b", "c"].enumerated() { try write(number, name) }
    for path in [folder.path, folder("m-00001-of-00003.gguf"), folder("m-00003-of-00003.gguf")] {
      let checkpoint = try Checkpoint.open(path)
      #expect(try hasSameTensors(checkpoint.source, whole))
      #expect(checkpoint.source.typedMetadata.entries.map(\.key) == ["general.architecture"])
      #expect(checkpoint.weightFiles.count == 3)
    }
    try write(1, "b", of: 4)
    #expect(code { _ = try Checkpoint.open(folder.path) } == .malformed)
    try write(1, "a")
    #expect(code { _ = try Checkpoint.open(folder.path) } == .malformed)
    try write(1, "b")
    try write(0, "a", total: 4)
    #expect(code { _ = try Checkpoint.open(folder.path) } == .malformed)
    removeFile(folder("m-00002-of-00003.gguf"))
    #expect(code { _ = try Checkpoint.open(folder("m-00001-of-00003.gguf")) } == .notFound)
  }
}
