import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// Files that the library `gguf` made, and our files in it.
@Suite struct GGUFFixtureTests {
  static let names = ["plain", "aligned_to_256", "version_2", "big_endian", "quantized", "weights", "later"]

  @Test(arguments: names, InputMode.allCases) func readsWhatTheLibraryReads(_ name: String, _ mode: InputMode) throws {
    let file = try GGUFFile(ForeignFixtures.gguf("\(name).gguf"), mode: mode)
    let expected = try GGUFDescription(json: ForeignFixtures.gguf("\(name).json"))
    let ours = try GGUFDescription(file)
    #expect(ours.metadata == expected.metadata)
    #expect(Set(ours.tensors.keys) == Set(expected.tensors.keys))
    for (name, tensor) in ours.tensors { #expect(tensor == expected.tensors[name], "\(name)") }
    #expect(try Checkpoint.open(file.path).source.tensors == file.tensors)
  }

  @Test func givesScalarsAsStrings() throws {
    let file = try GGUFFile(ForeignFixtures.gguf("plain.gguf"))
    #expect(file.metadata["general.architecture"] == "bert")
    #expect(file.metadata["t.i64"] == "-9223372036854775808")
    #expect(file.metadata["t.yes"] == "true")
    #expect(file.metadata["t.f32"] == "1e-05")
    #expect(file.metadata["tokenizer.ggml.tokens"] == nil)
    guard case .array(.array(let inner)) = file.typedMetadata["t.array.array"] else {
      Issue.record("an array of arrays")
      return
    }
    #expect(inner == [.int32([1, 2, 3]), .int32([4]), .int32([5, 6])])
  }

  /// Plain tensors and metadata survive; the bytes depend on nothing else.
  @Test(arguments: ["plain", "aligned_to_256", "version_2", "big_endian"]) func writesBackWhatItRead(_ name: String)
    throws
  {
    let folder = TemporaryFolder()
    let original = try GGUFFile(ForeignFixtures.gguf("\(name).gguf"))
    try writeGGUF(original, metadata: original.typedMetadata, to: folder("1"))
    let copy = try GGUFFile(folder("1"))
    #expect(copy.typedMetadata == original.typedMetadata)
    #expect(try hasSameTensors(copy, original))
    try writeGGUF(copy, metadata: copy.typedMetadata, to: folder("2"))
    #expect(try contents(folder("1")) == contents(folder("2")))
  }

  @Test(.enabled(if: Python.runs("import gguf"), "needs the PyPI package gguf"), arguments: names)
  func theLibraryReadsWhatWeWrite(_ name: String) throws {
    let folder = TemporaryFolder()
    let original = try GGUFFile(ForeignFixtures.gguf("\(name).gguf"))
    try writeGGUF(original, metadata: original.typedMetadata, to: folder("m.gguf"))
    let theirs = try describedByTheLibrary(folder("m.gguf"), in: folder)
    var expected = try GGUFDescription(json: ForeignFixtures.gguf("\(name).json"))
    // Quantised tensors were decoded when they were read.
    for tensor in expected.tensors.keys { expected.tensors[tensor]!.type = expected.tensors[tensor]!.dtype }
    #expect(theirs == expected)
  }

  /// The fixture has the values and the blocks that the library makes of them.
  @Test(arguments: [GGUFTensorType.q8_0, .q4_0]) func quantizesAsTheLibraryDoes(_ type: GGUFTensorType) throws {
    let folder = TemporaryFolder()
    let fixture = try GGUFFile(ForeignFixtures.gguf("weights.gguf"))
    let weights = TensorSelection(of: fixture, including: [try Glob("weights")])
    try writeGGUF(weights, to: folder("m.gguf")) { $0.name == "weights" ? type : nil }
    let ours = try GGUFFile(folder("m.gguf"))
    #expect(ours.typedMetadata["general.quantization_version"] == .uint32(2))
    #expect(try ours.storedType(of: ours.tensors[0]) == type)
    #expect(try bytes(of: ours, "weights") == bytes(of: fixture, "weights.\(type)"))
    // The stored bytes themselves: the one tensor of our file is its end; the library's is somewhere in the fixture.
    let count = 12 * 64 / 32 * type.blockBytes
    let stored = try contents(folder("m.gguf")).suffix(count.roundedUp(toMultipleOf: 32)).prefix(count)
    let theirs = try contents(fixture.path)
    let found = theirs.indices.contains { start in
      start.isMultiple(of: 32) && theirs[start...].starts(with: stored)
    }
    #expect(found)
  }

  @Test(
    .enabled(if: Python.runs("import gguf"), "needs the PyPI package gguf"), arguments: [GGUFTensorType.q8_0, .q4_0])
  func theLibraryDecodesWhatWeQuantized(_ type: GGUFTensorType) throws {
    let folder = TemporaryFolder()
    var random = SeededGenerator(seed: 5)
    let values = (0..<40 * 96).map { _ in Float.random(in: -1...1, using: &random) }
    let matrix = TensorBytes(count: 4 * values.count) { memory in
      values.withUnsafeBytes { memory.copyMemory(from: $0) }
    }
    let original = try MemoryTensorSource([
      (info("matrix", .f32, [40, 96]), matrix),
      (info("vector", .f32, [96]), TensorBytes([UInt8](repeating: 0, count: 384))),
    ])
    try writeGGUF(original, to: folder("m.gguf")) { type.suits($0) ? type : nil }
    let theirs = try describedByTheLibrary(folder("m.gguf"), in: folder)
    #expect(theirs == (try GGUFDescription(GGUFFile(folder("m.gguf")))))
    #expect(theirs.tensors["matrix"]?.type == "\(type)")
    #expect(theirs.tensors["vector"]?.type == "F32")
    // And it is near what it was: within one step of the block's scale.
    let file = try GGUFFile(folder("m.gguf"))
    let step: Float = type == .q8_0 ? 1 / 127 : 1 / 8
    try file.bytes(of: file.tensors[0]).withElements(of: Float.self) { decoded in
      for (left, right) in zip(decoded, values) { #expect(abs(left - right) <= step) }
    }
  }

  @Test func refusesWhatItCannotRead() throws {
    let unknown = failure { _ = try GGUFFile(ForeignFixtures.gguf("q8_1.refused.gguf")) }
    #expect(unknown?.code == .unsupportedFeature)
    #expect(unknown?.message.contains("Q8_1") == true)
    #expect(unknown?.tensor == "blk.0.attn_q.weight")
  }

  private func describedByTheLibrary(_ path: String, in folder: TemporaryFolder) throws -> GGUFDescription {
    let script = """
      import subprocess, sys
      text = subprocess.check_output(
          [sys.executable, "\(ForeignFixtures.folder)/make_gguf.py", "--describe", "\(path)"])
      open("\(folder("described"))", "wb").write(text)
      """
    #expect(Python.runs(script))
    return try GGUFDescription(json: folder("described"))
  }
}
