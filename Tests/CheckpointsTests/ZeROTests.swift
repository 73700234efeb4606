import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

/// Folders as DeepSpeed's ZeRO leaves them (`Fixtures/foreign/deepspeed/make.py`).
@Suite struct ZeROTests {
  static func path(_ name: String) -> String { Foreign.path("deepspeed/\(name)") }

  /// A copy of a step's folder, which a test may damage.
  private func copy(_ stage: Int) throws -> TemporaryFolder {
    let copy = TemporaryFolder()
    let step = Self.path("zero\(stage)/global_step2")
    for file in try FileTree.names(in: step) { putQuickly(try contents(FileTree.join(step, file)), at: copy(file)) }
    return copy
  }

  @Test(arguments: [1, 2, 3], ["", "/global_step2"]) func putsWeightsTogether(_ stage: Int, _ step: String) throws {
    let checkpoint = try Checkpoint.open(Self.path("zero\(stage)\(step)"))
    let expected = try Checkpoint.open(Self.path("zero\(stage).safetensors")).source
    #expect(checkpoint.source.tensors == expected.tensors)
    #expect(try hasSameTensors(checkpoint.source, expected))
    #expect(checkpoint.source.ties == ["head.weight": "emb.weight"])
    // Of stage 1 DeepSpeed keeps no list of what was not trained.
    #expect(checkpoint.notes.contains { $0.contains("frozen.weight") } == (stage == 1))
  }

  /// The Trainer of transformers leaves the state of its training beside the folder that `latest` names.
  @Test func isFoundBesideTheStateOfATraining() throws {
    let folder = TemporaryFolder()
    try FileTree.makeFolder(folder("global_step2"))
    let step = Self.path("zero2/global_step2")
    for file in try FileTree.names(in: step) {
      putQuickly(try contents(FileTree.join(step, file)), at: folder("global_step2/\(file)"))
    }
    try PipelineTests.put("global_step2", at: folder("latest"))
    let state = ["rng_state_0.pth", "scheduler.pt", "training_args.bin"]
    for name in state { try PipelineTests.put("no weights", at: folder(name)) }
    let checkpoint = try Checkpoint.open(folder.path)
    #expect(try hasSameTensors(checkpoint.source, Checkpoint.open(Self.path("zero2.safetensors")).source))
    #expect(checkpoint.skippedFiles.map(\.name) == state)
  }

  @Test func refusesTheEmptyWeightsOfOneFile() throws {
    let error = failure {
      _ = try Checkpoint.open(Self.path("zero3/global_step2/zero_pp_rank_0_mp_rank_00_model_states.pt"))
    }
    #expect(error?.code == .unsupportedFeature)
    #expect(error?.message.contains("ZeRO stage 3") == true)
    #expect(error?.tensor != nil)
  }

  @Test(arguments: [2, 3]) func missesFiles(_ stage: Int) throws {
    let prefix = stage == 2 ? "bf16_" : ""
    for rank in 0...1 {
      let folder = try copy(stage)
      removeFile(folder("\(prefix)zero_pp_rank_\(rank)_mp_rank_00_optim_states.pt"))
      #expect(code { _ = try Checkpoint.open(folder.path) } == .malformed, "rank \(rank)")
    }
    let folder = try copy(stage)
    removeFile(folder(stage == 2 ? "mp_rank_00_model_states.pt" : "zero_pp_rank_1_mp_rank_00_model_states.pt"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .malformed)
  }

  @Test func refusesOtherParallelism() throws {
    let folder = try copy(2)
    try put([1], at: folder("mp_rank_01_model_states.pt"))
    #expect(code { _ = try Checkpoint.open(folder.path) } == .unsupportedFeature)
  }

  /// What is read is right, or it is an error.
  @Test(arguments: [2, 3]) func survivesDamage(_ stage: Int) throws {
    let expected = try Checkpoint.open(Self.path("zero\(stage).safetensors")).source
    let folder = try copy(stage)
    var random = SeededGenerator(seed: 3)
    for file in try FileTree.names(in: folder.path) {
      let original = try contents(folder(file))
      for _ in 0..<60 {
        putQuickly(original.mutated(using: &random), at: folder(file))
        guard let source = try? Checkpoint.open(folder.path, mode: .read).source else { continue }
        for info in source.tensors {
          guard let read = try? bytes(of: source, info.name) else { continue }
          #expect(try read == bytes(of: expected, info.name), "\(file), \(info.name)")
        }
      }
      putQuickly(original, at: folder(file))
    }
  }
}
