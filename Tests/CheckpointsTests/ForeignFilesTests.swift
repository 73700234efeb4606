import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit
import TestSupport
import Testing

/// Files that the real libraries made (`Fixtures/foreign/make.py`), and what is in them.
enum Foreign {
  static let folder = FileTree.join(String(#filePath.split(separator: "/Tests/")[0]), "Fixtures/foreign")

  static func path(_ name: String) -> String { FileTree.join(folder, name) }

  private static let expected: JSONObject = {
    let text = try! TestSupport.contents(path("expected.json"))
    return try! text.withBytes { raw throws(StorageError) in try JSONValue(parsing: raw).asObject("expected") }
  }()

  private static func members(_ name: String) -> [(name: String, value: JSONValue)] {
    try! expected.required(name, of: "expected").asObject(name).members.map { ($0.name, $0.value) }
  }

  static let files = members("files").map(\.name)
  static let refused: [(name: String, word: String)] = members("refused").map { ($0.name, try! $0.value.asString("")) }

  /// What a file holds: the tensors, and which are tied.
  static func inside(_ name: String) throws -> (source: MemoryTensorSource, ties: [String: String]) {
    try inside(members("files").first { $0.name == name }!.value)
  }

  /// The same of each file, by its path, of what `dump.py` prints.
  static func files(in text: [UInt8]) throws -> [String: (source: MemoryTensorSource, ties: [String: String])] {
    let dump = try JSONValue(parsing: text).asObject("the dump")
    let files = try dump.required("files", of: "the dump").asObject("files").members
    return Dictionary(uniqueKeysWithValues: try files.map { ($0.name, try inside($0.value)) })
  }

  private static func inside(_ value: JSONValue) throws -> (source: MemoryTensorSource, ties: [String: String]) {
    let file = try value.asObject("a file")
    var tensors: [(info: TensorInfo, bytes: TensorBytes)] = []
    for (name, value) in try file.required("tensors", of: "a file").asObject("tensors").members {
      let tensor = try value.asObject(name)
      let shape = try tensor.required("shape", of: name).asArray("shape").map { try $0.asCount("shape") }
      let dtype = DType(rawValue: try tensor.required("dtype", of: name).asString("dtype"))!
      let hex = Array(try tensor.required("hex", of: name).asString("hex").utf8)
      let bytes = stride(from: 0, to: hex.count, by: 2).map {
        UInt8(String(decoding: hex[$0..<$0 + 2], as: UTF8.self), radix: 16)!
      }
      tensors.append((try info(name, dtype, shape), TensorBytes(bytes)))
    }
    let ties = try file.required("ties", of: "a file").asObject("ties").members.map {
      ($0.name, try $0.value.asString("tie"))
    }
    return (try MemoryTensorSource(tensors), Dictionary(uniqueKeysWithValues: ties))
  }
}

@Suite struct ForeignFilesTests {
  @Test(arguments: Foreign.files, [InputMode.mmap, .read]) func reads(_ name: String, _ mode: InputMode) throws {
    let checkpoint = try Checkpoint.open(Foreign.path(name), mode: mode)
    let (expected, ties) = try Foreign.inside(name)
    #expect(checkpoint.source.tensors == expected.tensors)
    #expect(try hasSameTensors(checkpoint.source, expected))
    #expect(checkpoint.source.ties == ties)
  }

  @Test(arguments: Foreign.refused.indices) func refuses(_ index: Int) {
    let (name, word) = Foreign.refused[index]
    let error = failure { _ = try Checkpoint.open(Foreign.path(name)) }
    #expect(error?.code == .unsupportedFeature)
    #expect(error?.message.contains(word) == true, "\(String(describing: error))")
    #expect(error?.file == Foreign.path(name))
  }

  @Test func saysWhatItLeavesOut() throws {
    let notes = try Checkpoint.open(Foreign.path("training.ckpt")).notes.joined(separator: "\n")
    for word in ["\"state_dict\"", "optimizer", "epoch", "module."] { #expect(notes.contains(word)) }
    #expect(try Checkpoint.open(Foreign.path("nested.pth")).notes.joined().contains("numbers"))
    #expect(try Checkpoint.open(Foreign.path("state.bin")).notes == [])
  }

  /// Every file in every format that can hold it, and back.
  @Test(arguments: Foreign.files, ["out.safetensors", "out.bin", "out.npz", "out.gguf", "out"])
  func survivesEveryFormat(_ name: String, _ output: String) throws {
    let folder = TemporaryFolder()
    var original = try Checkpoint.open(Foreign.path(name)).source
    if output == "out.gguf" {
      let error = failure {
        try CheckpointDestination(folder(output)).write(original)
        try FileTree.remove(folder(output))
      }
      let first = original.tensors.first { GGUFTensorType($0.dtype) == nil }
      #expect(error?.code == (first == nil ? nil : .unsupportedFeature))
      #expect(error?.tensor == first?.name)
      original = TensorSelection(of: original) { GGUFTensorType($0.dtype) != nil }
    }
    let destination = try CheckpointDestination(folder(output), maxShardBytes: 200)
    if destination.format == .npz, original.tensors.contains(where: { $0.dtype == .bf16 }) {
      let error = failure { try destination.write(original) }
      #expect(error?.code == .unsupportedFeature)
      #expect(error?.tensor == "float.bfloat16")
      return
    }
    try destination.write(original, threads: 2)
    let copy = try Checkpoint.open(folder(output)).source
    #expect(try hasSameTensors(copy, original))
    #expect(copy.ties == (destination.format == .pytorch ? original.ties : [:]))
    // Equal tensors, equal bytes.
    if destination.layout == .file {
      let bytes = try contents(folder(output))
      try CheckpointDestination(folder(output), replacing: true).write(original, threads: 1)
      #expect(try contents(folder(output)) == bytes)
    }
  }

  @Test func writesShardsOfPyTorch() throws {
    let folder = TemporaryFolder()
    let original = try Checkpoint.open(Foreign.path("state.bin")).source
    try CheckpointDestination(folder("out"), format: .pytorch, maxShardBytes: 200).write(original)
    #expect(try FileTree.names(in: folder("out")).contains("pytorch_model.bin.index.json"))
    #expect(try hasSameTensors(Checkpoint.open(folder("out")).source, original))
  }

  @Test func writesASingleArray() throws {
    let folder = TemporaryFolder()
    let original = try source([info("arr_0", .f32, [2, 3])])
    try CheckpointDestination(folder("a.npy")).write(original)
    #expect(try hasSameTensors(Checkpoint.open(folder("a.npy")).source, original))
    let two = try source([info("a", .f32, [2]), info("b", .f32, [2])])
    #expect(code { try CheckpointDestination(folder("b.npy")).write(two) } == .unsupportedFeature)
  }

  /// What PyTorch 1.13 has no name for is written as later versions write it.
  @Test func keepsEveryElementThatPyTorchHas() throws {
    let folder = TemporaryFolder()
    let held = try everyKindOfTensor().filter { ![.f6e2m3, .f6e3m2].contains($0.dtype) }
    let original = try source(held)
    try CheckpointDestination(folder("a.pt")).write(original)
    #expect(try hasSameTensors(Checkpoint.open(folder("a.pt")).source, original))
    // Two floats of four bits are one element there.
    for refused in [try info("t", .f6e2m3, [4]), try info("t", .f4, [2, 1])] {
      let error = failure { try CheckpointDestination(folder("b.pt")).write(source([refused])) }
      #expect(error?.code == .unsupportedFeature)
      #expect(error?.tensor == "t")
    }
  }
}

/// Our files in the real libraries: everything that is read, in every format that holds it.
@Suite(
  .enabled(
    if: Python.runs("import torch, numpy, safetensors, gguf"),
    "needs Debian's python3-torch and the PyPI packages safetensors and gguf"))
struct ForeignLibrariesTests {
  private static let suffixes = ["safetensors", "pt", "npz", "gguf"]
  private static let ggufFixtures = GGUFFixtureTests.names.map { "gguf/\($0).gguf" }

  /// Whether the library of a format has such a tensor. (PyTorch before 2.1 has no unsigned integers but bytes.)
  private static func holds(_ info: TensorInfo, _ suffix: String) -> Bool {
    let isEightBitFloat = info.dtype.rawValue.hasPrefix("F8")
    return switch suffix {
    case "safetensors": true
    case "pt": ![.u16, .u32, .u64].contains(info.dtype) && !isEightBitFloat && info.dtype.bitWidth >= 8
    case "npz": info.dtype != .bf16 && !isEightBitFloat && info.dtype.bitWidth >= 8
    default: GGUFTensorType(info.dtype) != nil && info.shape.elementCount > 0
    }
  }

  @Test func readEverythingThatWeWrite() throws {
    let folder = TemporaryFolder()
    var written: [(path: String, tensors: any TensorSource)] = []
    for name in Foreign.files + Self.ggufFixtures + ["every kind"] {
      let all: any TensorSource =
        name == "every kind" ? try source(everyKindOfTensor()) : try Checkpoint.open(Foreign.path(name)).source
      for suffix in Self.suffixes {
        let held = TensorSelection(of: all) { Self.holds($0, suffix) }
        guard !held.tensors.isEmpty else { continue }
        let path = folder("\(written.count).\(suffix)")
        try CheckpointDestination(path).write(held)
        written.append((path, held))
      }
    }
    #expect(written.count > 80)
    let run = try #require(Python.run([Foreign.path("dump.py")] + written.map(\.path)))
    #expect(run.code == 0, "\(run.talk)")
    let theirs = try Foreign.files(in: Array(run.output.utf8))
    for (path, tensors) in written {
      let (read, ties) = try #require(theirs[path])
      #expect(read.tensors == tensors.tensors, "\(path)")
      #expect(try hasSameTensors(read, tensors), "\(path)")
      #expect(ties == (path.hasSuffix(".pt") ? tensors.ties : [:]), "\(path)")
    }
  }
}
