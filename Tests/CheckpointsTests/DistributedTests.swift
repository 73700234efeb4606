import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// Checkpoints that several processes wrote together (`Fixtures/foreign/distributed/make.py`).
@Suite struct DistributedTests {
  static let folder = Foreign.path("distributed")
  static func path(_ name: String) -> String { FileTree.join(folder, name) }

  /// A copy of a folder, which a test may damage.
  private func copy(_ name: String) throws -> TemporaryFolder {
    let copy = TemporaryFolder()
    for file in try FileTree.names(in: Self.path(name)) {
      putQuickly(try contents(FileTree.join(Self.path(name), file)), at: copy(file))
    }
    return copy
  }

  @Test(arguments: ["plain", "zstd", "raw"], [InputMode.mmap, .read])
  func putsTensorsTogether(_ name: String, _ mode: InputMode) throws {
    let checkpoint = try Checkpoint.open(Self.path(name), mode: mode)
    let full = try Checkpoint.open(Self.path("full.safetensors")).source
    #expect(checkpoint.source.tensors == full.tensors)
    #expect(try hasSameTensors(checkpoint.source, full))
    #expect(checkpoint.weightFiles.map(FileTree.lastComponent) == [".metadata", "__0_0.distcp", "__1_0.distcp"])
    #expect(checkpoint.skippedFiles.isEmpty)
    let notes = checkpoint.notes.joined(separator: "\n")
    for word in ["\"model\"", "optimizer (1 tensor)", "step", "pair (1 tensor)"] { #expect(notes.contains(word)) }
  }

  @Test func putsPiecesInSafetensorsTogether() throws {
    let checkpoint = try Checkpoint.open(Self.path("pieces"))
    let full = TensorSelection(of: try Checkpoint.open(Self.path("full.safetensors")).source) {
      !["e", "s"].contains($0.name)
    }
    #expect(try hasSameTensors(checkpoint.source, full))
    #expect(checkpoint.source.metadata == ["format": "pt"])
    #expect(checkpoint.notes.joined().contains("2 files of pieces"))
  }

  @Test func refusesOnePartByName() throws {
    for name in ["plain/__0_0.distcp", "raw/__1_0.distcp", "zstd/__0_0.distcp"] {
      let error = failure { _ = try Checkpoint.open(Self.path(name)) }
      #expect(error?.code == .unsupportedFeature)
      #expect(error?.message.contains("name its folder") == true)
    }
    for name in try FileTree.names(in: Self.path("pieces")) {
      let error = failure { _ = try Checkpoint.open(Self.path("pieces/\(name)")) }
      #expect(error?.code == .unsupportedFeature)
      #expect(error?.message.contains("DCP_SHARDING_INFO") == true)
    }
  }

  @Test func missesFilesAndPieces() throws {
    let plain = try copy("plain")
    removeFile(plain("__1_0.distcp"))
    #expect(code { _ = try Checkpoint.open(plain.path) } == .notFound)
    // Of pieces in safetensors only the first can be missed: how many there should be, nothing says.
    let pieces = try copy("pieces")
    removeFile(pieces("shard-00001-model-00001-of-00001.safetensors"))
    #expect(code { _ = try Checkpoint.open(pieces.path) } == .malformed)
  }

  @Test func refusesAChoice() throws {
    let both = try copy("plain")
    try CheckpointDestination(both("model.safetensors")).write(source([info("w", .u8, [1])]))
    let error = failure { _ = try Checkpoint.open(both.path) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("model.safetensors") == true)
  }

  /// Megatron and Lightning keep arguments and counters beside it.
  @Test(arguments: ["common.pt", "meta.pt"]) func leavesWhatTrainingKeepsBeside(_ name: String) throws {
    let folder = try copy("plain")
    try PipelineTests.put("no weights", at: folder(name))
    let full = try Checkpoint.open(Self.path("full.safetensors")).source
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(try hasSameTensors(checkpoint.source, full))
    #expect(checkpoint.skippedFiles.map(\.name) == [name])
  }

  /// What is read is right, or it is an error; only bare elements have no checksum.
  @Test(arguments: ["plain", "zstd", "raw"]) func survivesDamage(_ name: String) throws {
    let full = try Checkpoint.open(Self.path("full.safetensors")).source
    let folder = try copy(name)
    var random = SeededGenerator(seed: 11)
    for file in try FileTree.names(in: folder.path) {
      let original = try contents(folder(file))
      for _ in 0..<150 {
        putQuickly(original.mutated(using: &random), at: folder(file))
        guard let source = try? Checkpoint.open(folder.path, mode: .read).source else { continue }
        for info in source.tensors {
          guard let read = try? bytes(of: source, info.name), file != ".metadata", name != "raw" else { continue }
          #expect(try read == bytes(of: full, info.name), "\(file), \(info.name)")
        }
      }
      for length in stride(from: 0, to: original.count, by: 97) {
        putQuickly(Array(original[..<length]), at: folder(file))
        #expect(throws: StorageError.self) {
          let source = try Checkpoint.open(folder.path, mode: .read).source
          for info in source.tensors { _ = try source.bytes(of: info) }
        }
      }
      putQuickly(original, at: folder(file))
    }
  }
}
