import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

@Suite struct ModelFolderTests {
  /// Writes a small safetensors file with one tensor of each name.
  static func put(_ names: [String], at path: String) throws {
    let tensors = try source(names.map { try info($0, .u8, [4]) })
    try CheckpointDestination(path + ".safetensors", replacing: true).write(tensors)
    #expect(rename(path + ".safetensors", path) == 0)
  }

  static func put(_ text: String, at path: String) throws { try TestSupport.put(Array(text.utf8), at: path) }

  static func names(_ checkpoint: Checkpoint) -> [String] { checkpoint.source.tensors.map(\.name) }

  // Which weights.

  @Test func takesTheOnlyFileOfAnotherName() throws {
    let folder = TemporaryFolder()
    try Self.put(["a"], at: folder("first.safetensors"))
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(checkpoint.weightFiles == [folder("first.safetensors")])
    #expect(checkpoint.layout == .folder)
    try Self.put(["b"], at: folder("other.safetensors"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .invalidArgument)
    try Self.put(["c"], at: folder("model.safetensors"))
    let usual = try Checkpoint.open(folder.path)
    #expect(Self.names(usual) == ["c"])
    #expect(usual.skippedFiles.map(\.name) == ["first.safetensors", "other.safetensors"])
    #expect(usual.skippedFiles.allSatisfy { $0.reason == .weights })
  }

  @Test func refusesAnAdapterAlone() throws {
    let folder = TemporaryFolder()
    try Self.put(["a"], at: folder("adapter_model.safetensors"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .unsupportedFeature)
    try Self.put(["b"], at: folder("model.safetensors"))
    #expect(try Self.names(Checkpoint.open(folder.path)) == ["b"])
  }

  @Test func saysWhenThereAreNoWeightsThatItCanRead() throws {
    let folder = TemporaryFolder()
    #expect(code { _ = try Checkpoint.open(folder.path) } == .unknownFormat)
    for name in ["blobs", "refs", "snapshots"] { try FileTree.makeFolder(folder(name)) }
    #expect(failure { _ = try Checkpoint.open(folder.path) }?.message.contains("name one of the folders") == true)
    try Self.put("x", at: folder("model.onnx"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .unsupportedFeature)
  }

  @Test func prefersSafetensorsAndThenPyTorch() throws {
    let folder = TemporaryFolder()
    func write(_ name: String, _ tensor: String) throws {
      try CheckpointDestination(folder(name)).write(source([info(tensor, .u8, [4])]))
    }
    try write("model.npz", "n")
    #expect(try Self.names(Checkpoint.open(folder.path)) == ["n"])
    // The state of a training is no model, and neither is it a second one.
    for name in ["training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"] {
      try Self.put("x", at: folder(name))
    }
    #expect(try Self.names(Checkpoint.open(folder.path)) == ["n"])
    // A file of the name that libraries look for goes before any of another.
    try write("other.pth", "o")
    #expect(try Self.names(Checkpoint.open(folder.path)) == ["n"])
    removeFile(folder("model.npz"))
    #expect(try Self.names(Checkpoint.open(folder.path)) == ["o"])
    try write("pytorch_model.bin", "p")
    #expect(try Self.names(Checkpoint.open(folder.path)) == ["p"])
    try write("model.safetensors", "s")
    #expect(try Self.names(Checkpoint.open(folder.path)) == ["s"])
  }

  // Shards.

  /// Two shards; `index` is the text of the weight map.
  static func shards(_ map: String, _ first: [String] = ["a", "b"], _ second: [String] = ["c"]) throws
    -> TemporaryFolder
  {
    let folder = TemporaryFolder()
    try put(first, at: folder("1.safetensors"))
    try put(second, at: folder("2.safetensors"))
    try put(#"{"metadata":{"total_size":1.5},"weight_map":{\#(map)}}"#, at: folder("model.safetensors.index.json"))
    return folder
  }

  static let map = #""c":"2.safetensors","a":"1.safetensors","b":"1.safetensors""#

  @Test func readsShards() throws {
    let folder = try Self.shards(Self.map)
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(Self.names(checkpoint) == ["a", "b", "c"])
    #expect(checkpoint.weightFiles == [folder("1.safetensors"), folder("2.safetensors")])
    #expect(checkpoint.skippedFiles.isEmpty)
    #expect(try bytes(of: checkpoint.source, "c") == bytes(of: SafetensorsFile(folder("2.safetensors")), "c"))
  }

  @Test func readsAnIndexOfAnotherName() throws {
    let folder = try Self.shards(Self.map)
    #expect(rename(folder("model.safetensors.index.json"), folder("x.safetensors.index.json")) == 0)
    #expect(try Self.names(Checkpoint.open(folder.path)) == ["a", "b", "c"])
    try Self.put("{}", at: folder("y.safetensors.index.json"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .invalidArgument)
  }

  @Test func readsTheIndexOfAVariant() throws {
    let folder = try Self.shards(Self.map)
    #expect(rename(folder("model.safetensors.index.json"), folder("model.safetensors.index.fp16.json")) == 0)
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(Self.names(checkpoint) == ["a", "b", "c"])
    #expect(checkpoint.carriedFiles.isEmpty && checkpoint.skippedFiles.isEmpty)
    try Self.put(["d"], at: folder("model.fp16.safetensors"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .invalidArgument)
    // Beside the usual file it is left, with its shards.
    try Self.put(["d"], at: folder("model.safetensors"))
    let usual = try Checkpoint.open(folder.path)
    #expect(Self.names(usual) == ["d"])
    #expect(usual.carriedFiles.isEmpty)
    #expect(
      usual.skippedNotes(withFiles: false).contains(
        "\(folder("model.safetensors.index.fp16.json")) stays behind: it holds weights that are not the checkpoint's"))
  }

  @Test func refusesAWholeModelBesideTheIndexOfShards() throws {
    let folder = try Self.shards(Self.map)
    try Self.put(["a", "b", "c"], at: folder("model.safetensors"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .invalidArgument)
    try Self.put(
      #"{"weight_map":{"a":"model.safetensors","b":"model.safetensors","c":"model.safetensors"}}"#,
      at: folder("model.safetensors.index.json"))
    #expect(try Checkpoint.open(folder.path).weightFiles == [folder("model.safetensors")])
  }

  static let disagreements: [(what: String, map: String, first: [String], second: [String], tensor: String)] = [
    ("missing in the shard", map, ["a"], ["c"], "b"),
    ("in two shards", map, ["a", "b"], ["b", "c"], "b"),
    ("not in the index", map, ["a", "b"], ["c", "d"], "d"),
    ("in the other shard", map, ["a"], ["b", "c"], "b"),
  ]

  @Test(arguments: disagreements.indices) func refusesDisagreement(_ index: Int) throws {
    let (what, map, first, second, tensor) = Self.disagreements[index]
    let folder = try Self.shards(map, first, second)
    let error = failure {
      _ = try Checkpoint.open(folder.path)
    }
    #expect(error?.code == .malformed, "\(what)")
    #expect(error?.tensor == tensor)
    #expect(error?.file != nil)
  }

  @Test(arguments: [
    #"{}"#, #"{"weight_map":[]}"#, #"{"weight_map":{"a":1}}"#, #"{"weight_map":{"a":"../1.safetensors"}}"#,
    #"{"weight_map":{"a":"/1.safetensors"}}"#, #"{"weight_map":{"a":"x/1.safetensors"}}"#,
    #"{"weight_map":{"a":".."}}"#, #"{"weight_map":{"a":""}}"#, #"{"metadata":1,"weight_map":{}}"#, "[",
    #"{"weight_map":{"a":"1.safetensors","a":"1.safetensors"}}"#,
  ])
  func refusesTheIndex(_ text: String) throws {
    let folder = TemporaryFolder()
    try Self.put(["a"], at: folder("1.safetensors"))
    try Self.put(text, at: folder("model.safetensors.index.json"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .malformed)
  }

  @Test func namesAShardThatIsNotThere() throws {
    let folder = try Self.shards(Self.map)
    try FileTree.remove(folder("2.safetensors"))
    let error = failure {
      _ = try Checkpoint.open(folder.path)
    }
    #expect(error?.code == .notFound)
    #expect(error?.file == folder("2.safetensors"))
  }

  // The other files.

  @Test func carriesSmallFilesAndSaysWhatItLeaves() throws {
    let folder = TemporaryFolder()
    try Self.put(["a"], at: folder("model.safetensors"))
    for name in ["1_Pooling", ".git", "onnx", "empty"] { try FileTree.makeFolder(folder(name)) }
    for name in [
      "config.json", "tokenizer.model", "README.md", "1_Pooling/config.json", ".git/config", ".gitattributes",
      "pytorch_model.bin", "pytorch_model.bin.index.json", "onnx/model.onnx", "onnx/config.json", "TRAINING_ARGS.BIN",
      "bad\nname",
    ] {
      try Self.put("x", at: folder(name))
    }
    #expect(symlink("/etc/passwd", folder("passwd")) == 0)
    #expect(symlink("../elsewhere", folder("linked folder")) == 0)
    #expect(mkfifo(folder("pipe"), 0o600) == 0)
    let large = try AtomicFile(folder("large.txt"))
    try large.commit()
    #expect(truncate(folder("large.txt"), off_t(Limits.carriedFileBytes) + 1) == 0)

    let checkpoint = try Checkpoint.open(folder.path)
    #expect(
      checkpoint.carriedFiles.map(\.name.text) == [
        "1_Pooling/config.json", "README.md", "config.json", "onnx/config.json", "tokenizer.model",
      ])
    #expect(try checkpoint.carriedFiles[0].content.bytes() == Array("x".utf8))
    let skipped = Dictionary(uniqueKeysWithValues: checkpoint.skippedFiles.map { ($0.name, $0.reason) })
    #expect(
      skipped == [
        ".git": .hidden, ".gitattributes": .hidden, "pytorch_model.bin": .weights, "TRAINING_ARGS.BIN": .weights,
        "pytorch_model.bin.index.json": .weights, "onnx/model.onnx": .weights, "bad\nname": .unusualName,
        "passwd": .link, "linked folder": .link, "pipe": .notRegular, "large.txt": .tooLarge,
      ])
  }

  @Test func followsTheLinksOfTheHubsCache() throws {
    let folder = TemporaryFolder()
    for name in ["blobs", "snapshots", "snapshots/1", "snapshots/1/1_Pooling"] { try FileTree.makeFolder(folder(name)) }
    try Self.put(["a"], at: folder("blobs/0abc"))
    try Self.put("{}", at: folder("blobs/12ef"))
    #expect(symlink("../../blobs/0abc", folder("snapshots/1/model.safetensors")) == 0)
    #expect(symlink("../../blobs/12ef", folder("snapshots/1/config.json")) == 0)
    #expect(symlink("../../../blobs/12ef", folder("snapshots/1/1_Pooling/config.json")) == 0)
    #expect(symlink("../../blobs/../../secret", folder("snapshots/1/a.json")) == 0)
    #expect(symlink("../../blobs/ffff", folder("snapshots/1/dangling.json")) == 0)
    let checkpoint = try Checkpoint.open(folder("snapshots/1"))
    #expect(Self.names(checkpoint) == ["a"])
    #expect(checkpoint.carriedFiles.map(\.name.text) == ["1_Pooling/config.json", "config.json"])
    #expect(checkpoint.skippedFiles.map(\.name) == ["a.json", "dangling.json"])
    #expect(checkpoint.skippedNotes().first == "\(folder("snapshots/1/a.json")) stays behind: it is a link")
    #expect(checkpoint.skippedNotes(withFiles: false).isEmpty)
  }

  // Formats.

  @Test func decidesByContentNotByName() throws {
    let folder = TemporaryFolder()
    try Self.put(["a"], at: folder("pytorch_model.bin"))
    #expect(try Self.names(Checkpoint.open(folder("pytorch_model.bin"))) == ["a"])
    #expect(code { _ = try Checkpoint.open(folder("absent")) } == .notFound)
  }

  static let strangers: [(bytes: [UInt8], code: StorageError.Code, word: String)] = [
    (Array("PK\u{3}\u{4}".utf8) + [UInt8](repeating: 0, count: 4) + Array("abc".utf8), .truncated, "ZIP"),
    (Array("GGUF".utf8) + [9, 0, 0, 0] + Array("{\0\0\0\0\0\0\0".utf8), .unsupportedVersion, "GGUF"),
    ([0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC], .unsupportedFeature, "pickle"),
    ([0x89] + Array("HDF\r\n".utf8) + [0x1A, 0x0A], .unsupportedFeature, "HDF5"),
    ([0x89] + Array("TMP\r\n".utf8) + [0x1A, 0x0A], .unsupportedFeature, "FILE#NAME"),
    (Array("version https://git-lfs.github.com/spec/v1\n".utf8), .unknownFormat, "git lfs pull"),
    (Array("{\"weight_map\": {}}".utf8), .unknownFormat, "JSON"),
    (Array("<!DOCTYPE html>".utf8), .unknownFormat, "web page"),
    (Array("hello, world".utf8), .unknownFormat, "known format"),
    ([], .unknownFormat, "empty"),
  ]

  @Test(arguments: strangers.indices) func saysWhatAFileLooksLike(_ index: Int) throws {
    let (bytes, code, word) = Self.strangers[index]
    let folder = TemporaryFolder()
    try TestSupport.put(bytes, at: folder("model.safetensors"))
    for path in [folder("model.safetensors"), folder.path] {
      let error = failure {
        _ = try Checkpoint.open(path)
      }
      #expect(error?.code == code)
      #expect(error?.message.contains(word) == true)
      #expect(error?.file == folder("model.safetensors"))
    }
  }
}
