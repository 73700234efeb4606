import TMPackByteIO
import TMPackCheckpoints
import TMPackReading
import TMPackRouterTraining
import TMPackTensorKit
import TestSupport
import Testing

/// Networks that PyTorch has made and evaluated, as routers.
@Suite(.enabled(if: Python.runs("import torch"), "needs python3 with torch")) struct TorchRouterTests {
  struct Network: CustomTestStringConvertible, Sendable {
    let name: String
    /// Python: the modules by name, in the order in which they run; `R` is the rectifier.
    let modules: String
    var settings = RouterImport()
    var testDescription: String { name }
  }

  private static func settings(_ edit: (inout RouterImport) -> Void) -> RouterImport {
    var settings = RouterImport()
    edit(&settings)
    return settings
  }

  static let networks = [
    Network(name: "one layer", modules: "('0', L(5, 3))"),
    Network(name: "without bias", modules: "('a', L(5, 4, bias=False)), R, ('b', L(4, 3, bias=False))"),
    Network(
      name: "numbered, normalised",
      modules:
        "('net.0', L(5, 8)), ('net.1', B(8)), R, D, ('net.4', L(8, 8)), ('net.5', B(8)), R, D, ('net.8', L(8, 3))"),
    Network(
      name: "more than ten numbered",
      modules:
        "('0', L(5, 6)), ('1', B(6)), R, ('3', L(6, 6)), ('4', B(6)), R, ('6', L(6, 6)), R, ('9', L(6, 6)), ('10', B(6)), R, ('12', L(6, 3))"
    ),
    Network(
      name: "named", modules: "('fc1', L(5, 8)), ('bn1', B(8)), R, ('fc2', L(8, 7)), ('bn2', B(7)), R, ('fc3', L(7, 3))"
    ),
    Network(
      name: "inputs normalised",
      modules: "('bn0', B(5)), ('fc1', L(5, 8)), ('bn1', B(8)), R, ('fc2', L(8, 3)), ('bn2', B(3))"),
    Network(
      name: "normalisation without parameters", modules: "('0', L(5, 4)), ('1', B(4, affine=False)), R, ('3', L(4, 3))"),
    Network(
      name: "normalised after the rectifier",
      modules: "('0', L(5, 8)), R, ('2', B(8)), ('3', L(8, 7)), R, ('5', B(7)), ('6', L(7, 3))",
      settings: settings { $0.normalization = .after }),
    Network(
      name: "with dropout before the normalisation",
      modules: "('0', L(5, 8)), D, ('2', B(8)), R, ('4', L(8, 3))", settings: settings { $0.normalization = .before }),
    Network(
      name: "in an order that must be said", modules: "('z', L(5, 5)), ('y', B(5)), R, ('x', L(5, 3))",
      settings: settings { $0.order = ["z", "y", "x"] }),
    Network(
      name: "ReLU and another ε", modules: "('0', L(5, 8)), ('1', B(8, eps=0.01)), R, ('3', L(8, 3))",
      settings: settings {
        $0.slope = 0
        $0.epsilon = 0.01
      }),
  ]

  /// Saves the network's state dictionary, and says its logits for some inputs.
  private func make(_ network: Network, at path: String) throws -> (inputs: [Float], logits: [Double]) {
    let script = """
      import torch
      torch.manual_seed(4)
      L, B = torch.nn.Linear, torch.nn.BatchNorm1d
      R = (None, torch.nn.LeakyReLU(\(network.settings.slope)))
      D = (None, torch.nn.Dropout(0.5))
      parts = [\(network.modules)]
      net = torch.nn.Sequential(*(m for _, m in parts)).double()
      net.train()
      for _ in range(20):
          net(torch.randn(64, 5, dtype=torch.double) * 3 + 1)
      for m in net:
          if isinstance(m, B) and m.affine:
              torch.nn.init.normal_(m.weight, 1, 0.5)
              torch.nn.init.normal_(m.bias)
      net = net.float().eval()
      names = [n for n, _ in parts]
      state = {}
      for name, m in parts:
          if name is not None:
              for key, value in m.state_dict().items():
                  state[name + '.' + key] = value
      torch.save(state, '\(path)')
      x = torch.randn(6, 5) * 3 + 1
      print(*x.flatten().tolist())
      print(*net.double()(x.double()).flatten().tolist())
      """
    let run = try #require(Python.run(["-c", script]))
    try #require(run.code == 0, "\(run.talk)")
    let lines = run.output.split(separator: "\n").map { $0.split(separator: " ").map { Double($0)! } }
    return (lines[0].map { Float($0) }, lines[1])
  }

  @Test(arguments: networks) func givesTheLogitsOfPyTorch(_ network: Network) throws {
    let folder = TemporaryFolder()
    let (inputs, logits) = try make(network, at: folder("router.pt"))
    let model = try network.settings.model(Checkpoint.open(folder("router.pt")).source)
    #expect(model.dimension == 5 && model.classCount == 3)
    let scale = logits.map(abs).max()!
    for row in 0..<6 {
      let own = try model.logits(of: inputs[5 * row..<5 * row + 5])
      for c in 0..<3 { #expect(abs(own[c] - logits[3 * row + c]) < 2e-6 * scale, "row \(row), class \(c)") }
    }
    // The same from a safetensors file, where there is no order at all.
    try CheckpointDestination(folder("router.safetensors")).write(Checkpoint.open(folder("router.pt")).source)
    let again = try network.settings.model(Checkpoint.open(folder("router.safetensors")).source)
    #expect(try again.logits(of: inputs[..<5]) == model.logits(of: inputs[..<5]))
  }
}

@Suite struct RouterImportTests {
  private func source(_ tensors: [(name: String, shape: [Int])]) throws -> MemoryTensorSource {
    try MemoryTensorSource(
      tensors.map { name, shape in
        let values = noise(shape.reduce(1, *), seed: 1)
        // Variances are not negative.
        return try tensor(name, .f32, shape, name.hasSuffix("running_var") ? values.map(abs) : values)
      })
  }

  private func failure(
    _ tensors: [(name: String, shape: [Int])], _ edit: (inout RouterImport) -> Void = { _ in }
  ) throws -> StorageError? {
    var settings = RouterImport()
    edit(&settings)
    let source = try source(tensors)
    return TestSupport.failure { _ = try settings.model(source) }
  }

  @Test func refusesOtherModules() throws {
    let strange: [[(name: String, shape: [Int])]] = [
      [(name: "conv.weight", shape: [2, 3, 4])], [("norm.weight", [4]), ("norm.bias", [4])],
      [("lstm.weight_ih_l0", [4, 4])], [("a.weight", [2, 3]), ("a.bias", [3])], [("a.bias", [3])],
      [("a.weight", [0, 3])],
    ]
    for members in strange {
      let error = try failure(members)
      #expect(error?.code == .unsupportedFeature, "\(members)")
      #expect(error?.message.contains(members[0].name.split(separator: ".")[0]) == true)
    }
    #expect(try failure([])?.code == .unsupportedFeature)
    let normalization = ["weight", "bias", "running_mean", "running_var"].map { (name: "n.\($0)", shape: [3]) }
    #expect(try failure(normalization)?.code == .unsupportedFeature)
  }

  @Test func refusesLayersThatDoNotFit() throws {
    #expect(try failure([("0.weight", [4, 3]), ("1.weight", [2, 5])])?.code == .shapeMismatch)
    #expect(try failure([("0.weight", [65_537, 1])])?.code == .limitExceeded)
    let many = (0..<17).map { (name: "\($0).weight", shape: [1, 1]) }
    #expect(try failure(many)?.code == .limitExceeded)
  }

  // A normalisation whose place the names do not tell, and whose size fits nowhere.
  @Test func asksForTheOrder() throws {
    let strange: [(name: String, shape: [Int])] = [
      ("fc.weight", [4, 3]), ("out.weight", [2, 4]), ("n.running_mean", [9]), ("n.running_var", [9]),
    ]
    let error = try failure(strange)
    #expect(error?.code == .invalidArgument || error?.code == .shapeMismatch)
    #expect(try failure(strange) { $0.order = ["fc", "out"] }?.code == .invalidArgument)
    #expect(try failure(strange) { $0.order = ["fc", "n", "x"] }?.code == .invalidArgument)
    #expect(try failure(strange) { $0.order = ["fc", "n", "out"] }?.code != nil)
  }

  // Modules 0 and 2 of a Sequential: the rectifier may be module 1.
  @Test func asksWhereANormalisationStands() throws {
    func numbered(_ normalization: String) -> [(name: String, shape: [Int])] {
      [
        ("0.weight", [4, 3]), ("\(normalization).running_mean", [4]), ("\(normalization).running_var", [4]),
        ("\(Int.max).weight", [2, 4]),
      ]
    }
    let error = try failure(numbered("2"))
    #expect(error?.code == .invalidArgument && error?.message.contains("\"2\"") == true)
    #expect(try failure(numbered("2")) { $0.normalization = .after } == nil)
    #expect(try failure(numbered("2")) { $0.normalization = .before } == nil)
    #expect(try failure(numbered("1")) == nil)
  }

  @Test func refusesWhatIsNotFinite() throws {
    let source = try MemoryTensorSource([tensor("0.weight", .f32, [2, 2], [1, 2, .nan, 3])])
    #expect(code { _ = try RouterImport().model(source) } == .nonFinite)
    var settings = RouterImport()
    settings.slope = -1
    #expect(code { _ = try settings.model(source) } == .invalidArgument)
    let negative = try MemoryTensorSource([
      tensor("0.weight", .f32, [2, 2], [1, 2, 3, 4]), tensor("1.running_mean", .f32, [2], [0, 0]),
      tensor("1.running_var", .f32, [2], [1, -1]),
    ])
    #expect(code { _ = try RouterImport().model(negative) } == .malformed)
  }

  @Test func takesHalfPrecision() throws {
    let source = try MemoryTensorSource([
      tensor("0.weight", .bf16, [2, 2], [1, 2, 3, 4]), tensor("0.bias", .f16, [2], [0.5, -0.5]),
    ])
    #expect(try RouterImport().model(source).logits(of: [1, 1]) == [3.5, 6.5])
  }
}
