import TMPackByteIO
import TMPackCheckpoints
import TMPackLlamaCpp
import TMPackModels

extension FuzzTarget {
  /// Formats of several files, whose bytes follow one another with a mark between.
  static let folders: [FuzzTarget] = [
    FuzzTarget("adapter", seeds: ["Fixtures/foreign/peft", "Fixtures/foreign/adapters"], longest: 16384) {
      bytes throws(StorageError) in
      let adapter = try LoRAAdapter(
        folder("adapter", bytes, ["adapter_config.json", "adapter_model.safetensors"]), mode: .read)
      _ = adapter
    },
    FuzzTarget("shards") { bytes throws(StorageError) in
      try readAll(
        Checkpoint.open(
          folder("shards", bytes, ["model.safetensors.index.json", "a.safetensors", "b.safetensors"]), mode: .read))
    },
    FuzzTarget("split-gguf", longest: 16384) { bytes throws(StorageError) in
      let folder = folder("split", bytes, ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"])
      try readAll(Checkpoint.open(FileTree.join(folder, "m-00001-of-00002.gguf"), mode: .read))
    },
    FuzzTarget("distributed", longest: 16384) { bytes throws(StorageError) in
      try readAll(Checkpoint.open(folder("distributed", bytes, [".metadata", "__0_0.distcp"]), mode: .read))
    },
    FuzzTarget("quantized", seeds: ["Fixtures/foreign/quantized"], longest: 16384) { bytes throws(StorageError) in
      try readAll(
        Checkpoint.open(folder("quantized", bytes, ["config.json", "model.safetensors"]), mode: .read).dequantized())
    },
    FuzzTarget("tokenizer", longest: 8192) { bytes throws(StorageError) in
      let model = try Checkpoint.open(
        folder(
          "tokenizer", bytes, ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]),
        mode: .read)
      _ = try RunnableModel(model.source, files: model.carriedFiles.map(\.content))
    },
  ]

  private static func folder(_ name: String, _ bytes: [UInt8], _ files: [String]) -> String {
    MemoryFolder.shared.folder(name, zip(files, bytes.pieces(between: separator)).map { (name: $0, bytes: $1) })
  }
}
