import ByteIO
import Checkpoints
import TensorKit
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
    let file = try members("files").first { $0.name == name }!.value.asObject(name)
    var tensors: [(info: TensorInfo, bytes: TensorBytes)] = []
    for (name, value) in try file.required("tensors", of: name).asObject("tensors").members {
      let tensor = try value.asObject(name)
      let shape = try tensor.required("shape", of: name).asArray("shape").map { try $0.asCount("shape") }
      let dtype = DType(rawValue: try tensor.required("dtype", of: name).asString("dtype"))!
      let hex = Array(try tensor.required("hex", of: name).asString("hex").utf8)
      let bytes = stride(from: 0, to: hex.count, by: 2).map {
        UInt8(String(decoding: hex[$0..<$0 + 2], as: UTF8.self), radix: 16)!
      }
      tensors.append((try info(name, dtype, shape), TensorBytes(bytes)))
    }
    let ties = try file.required("ties", of: name).asObject("ties").members.map {
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
  @Test(arguments: Foreign.files, ["out.safetensors", "out.bin", "out.npz", "out"])
  func survivesEveryFormat(_ name: String, _ output: String) throws {
    let folder = TemporaryFolder()
    let original = try Checkpoint.open(Foreign.path(name)).source
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
    let held = try everyKindOfTensor().filter { ![.f4, .f6e2m3, .f6e3m2].contains($0.dtype) }
    let original = try source(held)
    try CheckpointDestination(folder("a.pt")).write(original)
    #expect(try hasSameTensors(Checkpoint.open(folder("a.pt")).source, original))
    let small = try source([info("t", .f4, [2])])
    #expect(failure { try CheckpointDestination(folder("b.pt")).write(small) }?.tensor == "t")
  }
}

/// Our files in the real libraries. Skipped where Debian's python3-torch is missing.
@Suite(.enabled(if: Python.runs("import torch, numpy", interpreter: "/usr/bin/python3"))) struct ForeignLibrariesTests {
  @Test(arguments: Foreign.files.filter { !$0.hasPrefix("arrays") } + ["every"]) func torchReadsOurFiles(
    _ name: String
  ) throws {
    try check(name, "out.pt", load: "torch.load(path, weights_only=True)") { info in
      ![.u16, .u32, .u64].contains(info.dtype) && !info.dtype.rawValue.hasPrefix("F8") && info.dtype.bitWidth >= 8
    }
  }

  @Test(arguments: Foreign.files + ["every"]) func numPyReadsOurFiles(_ name: String) throws {
    try check(name, "out.npz", load: "dict(numpy.load(path))") { info in
      info.dtype != .bf16 && !info.dtype.rawValue.hasPrefix("F8") && info.dtype.bitWidth >= 8
    }
  }

  private func check(_ name: String, _ output: String, load: String, _ holds: (TensorInfo) -> Bool) throws {
    let folder = TemporaryFolder()
    let all: any TensorSource =
      name == "every" ? try source(everyKindOfTensor()) : try Checkpoint.open(Foreign.path(name)).source
    let original = TensorSelection(of: all, where: holds)
    try CheckpointDestination(folder(output)).write(original)
    try FileTree.makeFolder(folder("raw"))
    let script = """
      import torch, numpy
      path = "\(folder(output))"
      names = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
        "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
        "complex64": "C64"}
      loaded = \(load)
      for i, name in enumerate(sorted(loaded, key=lambda n: n.encode())):
          t = loaded[name]
          kind = names[str(t.dtype).split(".")[-1]]
          if kind == "BF16": t = t.view(torch.int16)
          data = (t.numpy() if isinstance(t, torch.Tensor) else t).tobytes()
          text = name + "\\x00" + kind + "\\x00" + str(list(t.shape)) + "\\x00"
          open(f"\(folder("raw"))/{i}", "wb").write(text.encode() + data)
      if "tied.head" in loaded and isinstance(t, torch.Tensor):
          assert loaded["tied.head"].data_ptr() == loaded["tied.embed"].data_ptr()
      """
    #expect(Python.runs(script, interpreter: "/usr/bin/python3"))
    #expect(try FileTree.names(in: folder("raw")).count == original.tensors.count)
    for (index, info) in original.tensors.enumerated() {
      let head = "\(info.name)\0\(info.dtype.rawValue)\0\(info.shape)\0"
      #expect(try contents(folder("raw/\(index)")) == Array(head.utf8) + bytes(of: original, info.name), "\(info.name)")
    }
  }
}
