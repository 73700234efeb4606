import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackTensorKit
import TestSupport
import Testing

/// Adapters that are wrong, each refused with the file and what of it is at fault.
@Suite struct HostileAdapterTests {
  private let folder = TemporaryFolder()

  private static let configuration = #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4}"#
  private static let a = "base_model.model.l.lora_A.weight"
  private static let b = "base_model.model.l.lora_B.weight"

  private func adapter(
    _ shapes: [(name: String, shape: [Int])] = [(a, [2, 4]), (b, [3, 2])],
    configuration: String = Self.configuration, dtype: DType = .f32
  ) throws -> String {
    let path = folder("adapter")
    try FileTree.makeFolder(path)
    try put(Array(configuration.utf8), at: FileTree.join(path, "adapter_config.json"))
    let tensors = try source(shapes.map { try info($0.name, dtype, $0.shape) })
    try CheckpointDestination(FileTree.join(path, "adapter_model.safetensors")).write(tensors)
    return path
  }

  /// With a base of `l.weight` [3, 4].
  private func open(_ path: String) throws {
    _ = try AdapterTargets(of: LoRAAdapter(path), in: AdapterBase(source([info("l.weight", .f32, [3, 4])])))
  }

  @Test func acceptsASoundOne() throws { try open(adapter()) }

  @Test(arguments: [
    ("{}", StorageError.Code.malformed, "peft_type"),
    ("[]", .malformed, "object"), ("{", .malformed, "JSON"), (#"{"peft_type": 3}"#, .malformed, "peft_type"),
    (#"{"peft_type": "LORA", "lora_alpha": 4}"#, .malformed, "\"r\""),
    (#"{"peft_type": "LORA", "r": 2}"#, .malformed, "lora_alpha"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": NaN}"#, .malformed, "JSON"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": null}"#, .malformed, "lora_alpha"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": "4"}"#, .malformed, "lora_alpha"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 1e300}"#, .malformed, "lora_alpha"),
    (#"{"peft_type": "LORA", "r": 0, "lora_alpha": 4}"#, .malformed, "rank"),
    (#"{"peft_type": "LORA", "r": -2, "lora_alpha": 4}"#, .malformed, "\"r\""),
    (#"{"peft_type": "LORA", "r": 2.5, "lora_alpha": 4}"#, .malformed, "\"r\""),
    (#"{"peft_type": "LORA", "r": 9000000000, "lora_alpha": 4}"#, .limitExceeded, "\"r\""),
    (#"{"peft_type": "LORA", "r": 2, "r": 2, "lora_alpha": 4}"#, .malformed, "JSON"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "rank_pattern": [1]}"#, .malformed, "rank_pattern"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "rank_pattern": {"l": "2"}}"#, .malformed, "rank_pattern"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "rank_pattern": {"l": 0}}"#, .malformed, "rank_pattern"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "alpha_pattern": {"l": true}}"#, .malformed, "alpha_pattern"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "alpha_pattern": {"(?=l)": 1}}"#, .unsupportedFeature, "(?=l)"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "use_rslora": 1}"#, .malformed, "use_rslora"),
    (#"{"peft_type": "IA3", "r": 2, "lora_alpha": 4}"#, .unsupportedFeature, "IA3"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "layer_replication": [[0, 1]]}"#, .unsupportedFeature, "layer"),
    (
      #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "init_lora_weights": "pissa_niter_4"}"#, .unsupportedFeature,
      "pissa"
    ),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "some_future_thing": 1}"#, .unsupportedFeature, "some_future"),
    (
      #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "init_lora_weights": "lora_ga"}"#, .unsupportedFeature,
      "path_initial_model_for_weight_conversion"
    ),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "init_lora_weights": "OLoRA"}"#, .unsupportedFeature, "OLoRA"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "init_lora_weights": "new"}"#, .unsupportedFeature, "new"),
    (#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "kasa_config": {"beta": 1}}"#, .unsupportedFeature, "KaSA"),
    (
      #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "alora_invocation_tokens": [1]}"#, .unsupportedFeature, "alora"
    ),
    (
      #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "trainable_token_indices": "1"}"#, .malformed,
      "trainable_token_indices"
    ),
  ]) func refusesConfigurations(_ text: String, _ code: StorageError.Code, _ word: String) throws {
    let path = try adapter(configuration: text)
    let error = try #require(failure { try open(path) })
    #expect(error.code == code)
    #expect(error.message.contains(word), "\(error)")
    #expect(error.file == FileTree.join(path, "adapter_config.json"))
  }

  @Test func refusesDeepAndLargeConfigurations() throws {
    let deep = try adapter(configuration: String(repeating: "[", count: 100_000))
    #expect(code { try open(deep) } == .limitExceeded)
    let name = FileTree.join(deep, "adapter_config.json")
    try put([UInt8](repeating: 0x20, count: 2 << 20), at: name)
    #expect(failure { try open(deep) }?.code == .limitExceeded)
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var shapes: [(name: String, shape: [Int])]
    var code = StorageError.Code.malformed
    /// At fault.
    var tensor: String?
    var dtype = DType.f32
    var configuration = HostileAdapterTests.configuration
  }

  static let cases: [Case] = [
    Case(testDescription: "no tensors", shapes: []),
    Case(testDescription: "A without B", shapes: [(a, [2, 4])], tensor: a),
    Case(testDescription: "B without A", shapes: [(b, [3, 2])], tensor: b),
    Case(testDescription: "ranks differ", shapes: [(a, [2, 4]), (b, [3, 1])], tensor: b),
    Case(testDescription: "another rank than said", shapes: [(a, [1, 4]), (b, [3, 1])], tensor: a),
    Case(testDescription: "rank 0", shapes: [(a, [0, 4]), (b, [3, 0])], tensor: a),
    Case(testDescription: "A is a vector", shapes: [(a, [8]), (b, [3, 2])], tensor: a),
    Case(testDescription: "B has a kernel", shapes: [(a, [2, 4]), (b, [3, 2, 2])], tensor: b),
    Case(testDescription: "another base", shapes: [(a, [2, 5]), (b, [3, 2])], code: .shapeMismatch, tensor: a),
    Case(
      testDescription: "absent from the base",
      shapes: [("base_model.model.k.lora_A.weight", [2, 4]), ("base_model.model.k.lora_B.weight", [3, 2])],
      code: .shapeMismatch, tensor: "base_model.model.k.lora_A.weight"),
    Case(
      testDescription: "two adapters",
      shapes: [(a, [2, 4]), (b, [3, 2]), ("base_model.model.l.lora_A.x.weight", [2, 4])],
      tensor: "base_model.model.l.lora_A.x.weight"),
    Case(
      testDescription: "the same without the prefix",
      shapes: [(a, [2, 4]), (b, [3, 2]), ("l.lora_A.weight", [2, 4])],
      tensor: "l.lora_A.weight"),
    Case(
      testDescription: "an embedding's and a linear one",
      shapes: [(a, [2, 4]), (b, [3, 2]), ("l.lora_embedding_A", [2, 4]), ("l.lora_embedding_B", [3, 2])], tensor: a),
    Case(
      testDescription: "an unknown part", shapes: [(a, [2, 4]), (b, [3, 2]), ("l.lora_diag", [2])],
      code: .unsupportedFeature, tensor: "l.lora_diag"),
    Case(
      testDescription: "a bias that is not said", shapes: [(a, [2, 4]), (b, [3, 2]), ("l.lora_B.bias", [3])],
      tensor: "l.lora_B.bias"),
    Case(
      testDescription: "no bias, which is said", shapes: [(a, [2, 4]), (b, [3, 2])], tensor: b,
      configuration: #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "lora_bias": true}"#),
    Case(
      testDescription: "a bias that the base has not", shapes: [(a, [2, 4]), (b, [3, 2]), ("l.lora_B.bias", [3])],
      code: .shapeMismatch, tensor: "l.lora_B.bias",
      configuration: #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "lora_bias": true}"#),
    Case(
      testDescription: "rows that are not said", shapes: [("l.token_adapter.trainable_tokens_delta", [1, 4])],
      tensor: "l.token_adapter.trainable_tokens_delta"),
    Case(
      testDescription: "rows beyond the base", shapes: [("l.token_adapter.trainable_tokens_delta", [1, 4])],
      code: .shapeMismatch, tensor: "l.token_adapter.trainable_tokens_delta",
      configuration: #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "trainable_token_indices": [3]}"#),
    Case(
      testDescription: "fewer rows than said", shapes: [("l.token_adapter.trainable_tokens_delta", [1, 4])],
      tensor: "l.token_adapter.trainable_tokens_delta",
      configuration: #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "trainable_token_indices": {"l": [0, 1]}}"#),
    Case(
      testDescription: "a magnitude without DoRA",
      shapes: [(a, [2, 4]), (b, [3, 2]), ("l.lora_magnitude_vector", [3])],
      tensor: "l.lora_magnitude_vector"),
    Case(
      testDescription: "DoRA without a magnitude", shapes: [(a, [2, 4]), (b, [3, 2])], tensor: a,
      configuration: #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "use_dora": true}"#),
    Case(
      testDescription: "a magnitude of another length",
      shapes: [(a, [2, 4]), (b, [3, 2]), ("l.lora_magnitude_vector", [4])], tensor: "l.lora_magnitude_vector",
      configuration: #"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "use_dora": true}"#),
    Case(
      testDescription: "integers", shapes: [(a, [2, 4]), (b, [3, 2])], code: .unsupportedFeature, tensor: a, dtype: .i32
    ),
  ]

  @Test(arguments: cases) func refusesTensors(_ c: Case) throws {
    let path = try adapter(c.shapes, configuration: c.configuration, dtype: c.dtype)
    let error = try #require(failure { try open(path) })
    #expect(error.code == c.code, "\(error)")
    #expect(error.tensor == c.tensor)
    #expect(error.file == FileTree.join(path, "adapter_model.safetensors"))
  }

  @Test func refusesAFolderWithAWholeCheckpointToo() throws {
    let path = try adapter()
    try put([1], at: FileTree.join(path, "model.safetensors"))
    #expect(code { try open(path) } == .invalidArgument)
  }

  @Test func asksForNothingButAnAdapter() throws {
    #expect(LoRAAdapter.isAdapter(try adapter()))
    #expect(!LoRAAdapter.isAdapter(folder("nothing")))
    #expect(!LoRAAdapter.isAdapter(folder("adapter/adapter_config.json")))
  }

  /// Random damage to the configuration never crashes, and what is accepted fits the tensors.
  @Test func survivesDamagedConfigurations() throws {
    let path = try adapter()
    var random = SeededGenerator(seed: 11)
    for _ in 0..<500 {
      putQuickly(
        Array(Self.configuration.utf8).mutated(using: &random), at: FileTree.join(path, "adapter_config.json"))
      if let adapter = try? LoRAAdapter(path) {
        #expect(adapter.updates.allSatisfy { $0.rank == 2 && $0.scale.isFinite })
      }
    }
  }

  @Test(arguments: [
    (["transformer.h.0.c", "transformer.h.1.c"], ["h.0.c.weight", "h.1.c.weight"]),
    (["h.0.c", "h.1.c"], ["model.h.0.c.weight", "model.h.1.c.weight"]),
    (["h.0.c", "head"], ["head.weight", "model.h.0.c.weight"]),
    (["a.c", "b.c"], ["a.c.weight", "b.c.weight"]),
  ]) func findsTensorsBehindAPrefix(_ modules: [String], _ tensors: [String]) throws {
    let path = try adapter(
      modules.flatMap {
        [("base_model.model.\($0).lora_A.weight", [2, 4]), ("base_model.model.\($0).lora_B.weight", [3, 2])]
      })
    let targets = try AdapterTargets(
      of: LoRAAdapter(path), in: AdapterBase(source(tensors.map { try info($0, .f32, [3, 4]) })))
    #expect(targets.tensors.keys.map(\.text).sorted() == tensors)
  }
}
