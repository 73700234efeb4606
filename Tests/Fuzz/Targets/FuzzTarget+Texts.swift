import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackMerging
import TMPackModels
import TMPackReading
import TMPackTensorKit
import TMPackYAML

extension FuzzTarget {
  static let texts: [FuzzTarget] = [
    FuzzTarget("json") { bytes throws(StorageError) in
      let text = try JSONValue(parsing: bytes).compactText
      guard try JSONValue(parsing: Array(text.utf8)).compactText == text else {
        fatalError("another value after writing and reading")
      }
    },
    FuzzTarget("yaml") { bytes throws(StorageError) in _ = try YAMLNode(parsing: bytes) },
    FuzzTarget("recipe") { bytes throws(StorageError) in _ = try MergeRecipe(parsing: bytes) },
    FuzzTarget("receipt") { bytes throws(StorageError) in _ = try MixReceipt(parsing: bytes) },
    FuzzTarget("digests") { bytes throws(StorageError) in
      _ = try ModelDigests(contentsOf: MemoryFolder.shared.file("digests", bytes))
    },
    FuzzTarget("signatures") { bytes throws(StorageError) in
      let file = try SignatureFile(contentsOf: MemoryFolder.shared.file("signatures", bytes))
      for entry in file.entries { _ = entry.isGood }
    },
    FuzzTarget("keys") { bytes throws(StorageError) in
      let path = MemoryFolder.shared.file("key", bytes)
      _ = try? KeyFile.publicKeys(path)
      _ = try KeyFile.privateKey(path)
    },
    FuzzTarget("weights", longest: 256) { bytes throws(StorageError) in
      _ = try RouterWeights(parsing: String(decoding: bytes, as: UTF8.self))
    },
    FuzzTarget("module-pattern", longest: 256) { bytes throws(StorageError) in
      let (pattern, name) = halves(bytes)
      _ = try ModulePattern(pattern).matches(name)
    },
    FuzzTarget("glob", longest: 256) { bytes throws(StorageError) in
      let (pattern, name) = halves(bytes)
      _ = try Glob(pattern).matches(name)
    },
  ]

  private static func halves(_ bytes: [UInt8]) -> (String, String) {
    let pieces = bytes.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
    return (
      String(decoding: pieces[0], as: UTF8.self), pieces.count > 1 ? String(decoding: pieces[1], as: UTF8.self) : ""
    )
  }
}
