import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

/// The tables of docs/converting.md say what is proved here, and no more.
@Suite struct FormatTablesTests {
  let folder = TemporaryFolder()

  /// What stands behind a line of the table of formats.
  private struct Evidence: Sendable {
    /// How the line begins.
    let format: String
    /// Files and folders in `Fixtures/foreign`, or what `make` makes, each of which is read.
    var fixtures: [String] = []
    var make: (@Sendable (TemporaryFolder) throws -> String)?
    /// Endings of names, each of which is written and read again.
    var written: [String] = []
    /// Whether a folder of it is written as it was.
    var isKept = false
  }

  private static let evidence: [Evidence] = [
    Evidence(format: "safetensors", fixtures: ["arrays.safetensors"], written: [".safetensors"]),
    Evidence(
      format: "PyTorch", fixtures: ["state.bin", "state-legacy.bin", "nested.pth", "training.ckpt", "tensor.pt"],
      written: [".bin", ".pt", ".pth", ".ckpt"]),
    Evidence(format: "NumPy", fixtures: ["arrays.npz", "v1.npy", "v2.npy", "v3.npy"], written: [".npz", ".npy"]),
    Evidence(format: "GGUF", fixtures: ["gguf/plain.gguf", "gguf/version_2.gguf"], written: [".gguf"]),
    Evidence(
      format: "torch distributed", fixtures: ["distributed/plain", "distributed/pieces", "distributed/zstd"]),
    Evidence(format: "DeepSpeed", fixtures: ["deepspeed/zero1", "deepspeed/zero2", "deepspeed/zero3"]),
    Evidence(format: "diffusers", make: { try models($0, index: "model_index.json", pipeline) }, isKept: true),
    Evidence(format: "sentence-transformers", make: { try models($0, index: "modules.json", modules) }, isKept: true),
  ]

  private static let pipeline = #"{"_class_name": "P", "a": ["diffusers", "A"], "b": ["transformers", "B"]}"#
  private static let modules = """
    [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
     {"idx": 1, "name": "1", "path": "a", "type": "sentence_transformers.models.Dense"}]
    """

  /// A folder of models with its index.
  private static func models(_ folder: TemporaryFolder, index: String, _ text: String) throws -> String {
    let path = folder("models")
    try FileTree.makeFolder(path)
    try put(Array(text.utf8), at: FileTree.join(path, index))
    for (place, name) in [
      ("", "model.safetensors"), ("a", "model.safetensors"), ("a", "diffusion_pytorch_model.safetensors"),
      ("b", "model.safetensors"),
    ]
    where index == "modules.json"
      ? ["", "a"].contains(place) && name == "model.safetensors"
      : place == "a" && name.hasPrefix("diffusion") || place == "b"
    {
      if FileTree.kind(of: FileTree.join(path, place)) == nil { try FileTree.makeFolder(FileTree.join(path, place)) }
      try CheckpointDestination(FileTree.join(FileTree.join(path, place), name))
        .write(source([info("w", .f32, [2, 3])], seed: UInt64(place.utf8.count + 1)))
    }
    return path
  }

  /// Lines of the table that begins with a head, each its cells.
  private static func table(_ head: String) throws -> [[String]] {
    let page = String(decoding: try contents("\(packageRoot)/docs/converting.md"), as: UTF8.self)
    let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex { $0.hasPrefix(head) })
    return lines[(start + 2)...].prefix { $0.hasPrefix("|") }.map { line in
      line.split(separator: "|").map { $0.trimming(" ") }
    }
  }

  @Test func theTableOfFormatsHasALineForEachThatIsProved() throws {
    let rows = try Self.table("| format |")
    #expect(rows.count == Self.evidence.count)
    for (row, evidence) in zip(rows, Self.evidence) {
      try #require(row.count == 3)
      #expect(row[0].hasPrefix(evidence.format), "\(row)")
      #expect(row[1].hasPrefix("yes") == (!evidence.fixtures.isEmpty || evidence.make != nil), "\(row)")
      #expect(row[2].hasPrefix("yes") == (!evidence.written.isEmpty || evidence.isKept), "\(row)")
      #expect(row[2].hasPrefix("yes") || row[2] == "no", "\(row)")
    }
    // Every format that can be written is in some line.
    let written = Set(Self.evidence.flatMap(\.written).compactMap { WritableFormat(suffixOf: "x\($0)") })
    #expect(written == Set(WritableFormat.allCases))
  }

  @Test(arguments: evidence.indices) func whatIsSaidIsSo(_ line: Int) throws {
    let evidence = Self.evidence[line]
    for fixture in evidence.fixtures {
      let run = try tmpack(
        "convert", "\(packageRoot)/Fixtures/foreign/\(fixture)", folder("read.safetensors"), "--force")
      #expect(run.code == 0, "\(fixture): \(run.talk)")
    }
    for ending in evidence.written {
      // One array, which every format has a place for.
      let (original, copy) = (folder("one.safetensors"), folder("copy\(ending)"))
      try CheckpointDestination(original, replacing: true).write(source([info("arr_0", .f32, [3, 4])]))
      #expect(try tmpack("convert", original, copy).code == 0)
      #expect(try tmpack("compare", original, copy, "--require-equal").code == 0, "\(ending)")
    }
    guard let make = evidence.make else { return }
    let path = try make(folder)
    #expect(try tmpack("convert", path, folder("read.safetensors")).code == 0)
    guard evidence.isKept else { return }
    #expect(try tmpack("convert", path, folder("kept")).code == 0)
    #expect(try tmpack("compare", path, folder("kept"), "--require-equal").code == 0)
    #expect(try FileTree.names(in: path) == FileTree.names(in: folder("kept")))
  }

  @Test func theTableOfTypesIsThatOfTheTypes() throws {
    var left = GGUFTensorType.allCases.filter(\.isQuantized)
    for row in try Self.table("| types of ggml |") {
      try #require(row.count == 4)
      let types = left.filter { type in
        row[2] == (type.isWritable ? "yes" : "no") && row[3] == (type.isWeightable ? "yes" : "no")
      }
      #expect(row[0] == types.map(\.description).joined(separator: ", "))
      #expect(row[1] == "yes")
      left.removeAll { types.contains($0) }
    }
    #expect(left.isEmpty)
    // Each is read in a file that ggml's own libraries made, or by what ggml makes of it (`GGUFWriterTests`).
    let files = try ["quantized", "later", "signs"].map {
      try GGUFFile("\(packageRoot)/Fixtures/foreign/gguf/\($0).gguf")
    }
    let read = Set(try files.flatMap { file in try file.tensors.map { try file.storedType(of: $0) } })
    #expect(Set(GGUFTensorType.allCases.filter(\.isQuantized)).subtracting(read) == [.q8_K])
  }
}

extension Substring {
  fileprivate func trimming(_ character: Character) -> String {
    String(drop { $0 == character }.reversed().drop { $0 == character }.reversed())
  }
}
