import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

extension FuzzTarget {
  /// Formats of one file. Those in ZIP archives are given what is in the archive: a checksum would stop all else.
  static let checkpoints: [FuzzTarget] = [
    FuzzTarget("safetensors", seeds: ["Fixtures/foreign/arrays.safetensors"], readFile),
    FuzzTarget("gguf", seeds: ["Fixtures/foreign/gguf"], longest: 16384, readFile),
    FuzzTarget(
      "npy", seeds: ["Fixtures/foreign/v1.npy", "Fixtures/foreign/v2.npy", "Fixtures/foreign/v3.npy"], readFile),
    FuzzTarget("torch-legacy", seeds: ["Fixtures/foreign/state-legacy.bin"], longest: 16384, readFile),
    FuzzTarget(
      "zip",
      seeds: ["Fixtures/foreign/arrays.npz", "Fixtures/foreign/arrays-deflated.npz", "Fixtures/foreign/zip64.npz"],
      readFile),
    FuzzTarget("pickle") { bytes throws(StorageError) in
      let storage = [UInt8](repeating: 0x3C, count: 256)
      try readFile(
        zip([
          ("a/data.pkl", bytes), ("a/byteorder", Array("little".utf8)), ("a/data/0", storage), ("a/data/1", storage),
        ]))
    },
    FuzzTarget("npz") { bytes throws(StorageError) in
      try readFile(zip(bytes.pieces(between: separator).enumerated().map { ("\($0).npy", $1) }))
    },
    FuzzTarget("deflate") { bytes throws(StorageError) in
      // Long enough for some matches, and what a sound stream makes is another size as a rule: that is refused at its end.
      try readFile(zip([("a.npy", bytes)], deflatedTo: 1 << 12))
    },
  ]

  static let separator = "\n====\n"

  static func readFile(_ bytes: [UInt8]) throws(StorageError) {
    try readAll(Checkpoint.open(MemoryFolder.shared.file("input", bytes), mode: .read))
  }

  static func readAll(_ checkpoint: Checkpoint) throws(StorageError) {
    let source = checkpoint.source
    var left = 1 << 20
    for info in source.tensors where info.byteCount <= left {
      left -= info.byteCount
      _ = try TensorBytes(count: info.byteCount) { target throws(StorageError) in try source.read(info, into: target) }
    }
  }
}
