import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit
import TestSupport
import Testing

/// Mixes and merges of models of which some have an output layer of their own, where it is the embedding in others: what a model
/// lacks is equal to its partner.
@Suite struct UntiedModelTests {
  private let folder = TemporaryFolder()
  private let embedding = "model.embed_tokens.weight"
  private let head = "lm_head.weight"

  private enum Kind: UInt64 { case base = 1, first, second }

  private func write(_ name: String, _ kind: Kind, isTied: Bool) throws {
    var tensors = try [
      tensor(embedding, .f32, [32, 16], noise(512, seed: kind.rawValue)),
      tensor("model.layers.0.self_attn.q_proj.weight", .f32, [16, 16], noise(256, seed: 10 + kind.rawValue)),
    ]
    if !isTied { tensors.append(try tensor(head, .f32, [32, 16], noise(512, seed: 20 + kind.rawValue))) }
    let configuration = """
      {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "vocab_size": 32, "tie_word_embeddings": \(isTied)}
      """
    try writeModel(tensors, files: [("config.json", Array(configuration.utf8))], to: folder(name))
  }

  /// The numbers of an output layer.
  private func head(of model: String) throws -> [Double] {
    let source = try Checkpoint.open(folder(model)).source
    let bytes = try bytes(of: source, source.tensor(named: head) == nil ? embedding : head)
    return bytes.withUnsafeBytes { $0.bindMemory(to: Float.self).map(Double.init) }
  }

  private func saysTied(_ model: String) throws -> JSONValue? {
    try JSONValue(parsing: contents(folder("\(model)/config.json"))).asObject("config.json")["tie_word_embeddings"]
  }

  private func expect(_ model: String, _ weights: [(String, Double)]) throws {
    let base = try head(of: "base")
    var expected = base
    for (name, weight) in weights {
      for (index, value) in try head(of: name).enumerated() { expected[index] += weight * (value - base[index]) }
    }
    let made = try head(of: model)
    let worst = zip(made, expected).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
    #expect(worst < 1e-5, "\(weights)")
    #expect(try saysTied(model) == .bool(false))
  }

  private func writeModels(tied: Set<String>) throws {
    for (name, kind) in [("base", Kind.base), ("a", .first), ("b", .second)] {
      try write(name, kind, isTied: tied.contains(name))
    }
  }

  /// In all of them base and `a` disagree.
  static let ties: [Set<String>] = [["base"], ["base", "b"], ["a"], ["a", "b"]]

  @Test(
    arguments: ties,
    [["--lossless", "--shared", "base"], ["--rank", "16", "--factor-dtype", "f32", "--shared", "base"]])
  func mixes(_ tied: Set<String>, _ options: [String]) throws {
    try writeModels(tied: tied)
    let packed = try tmpack(
      ["pack", "--base", folder("base"), "--expert", "a=\(folder("a"))", "--expert", "b=\(folder("b"))"] + options
        + ["-o", folder("zoo.tmpack")])
    try #require(packed.code == 0, "\(packed.talk)")
    for weights in [[("a", 0.25)], [("a", 0.25), ("b", 0.5)], [("a", 0.5), ("b", 0.25)]] {
      let list = weights.map { "\($0.0)=\($0.1)" }.joined(separator: ",")
      let run = try tmpack("unpack", folder("zoo.tmpack"), "--weights", list, "-o", folder("mix"), "--force")
      try #require(run.code == 0, "\(run.talk)")
      try expect("mix", weights)
    }
    // Alone an expert is what it was.
    let alone = try tmpack("unpack", folder("zoo.tmpack"), "--expert", "a", "-o", folder("alone"))
    let said = try saysTied("alone")
    #expect(alone.code == 0 && said == .bool(tied.contains("a")))
  }

  @Test(arguments: ties) func merges(_ tied: Set<String>) throws {
    try writeModels(tied: tied)
    let run = try tmpack(
      "merge", "task-arithmetic", "--lambda", "0.5", "--base", folder("base"), "--expert", "a=\(folder("a"))",
      "--expert",
      "b=\(folder("b"))", "-o", folder("merged"))
    try #require(run.code == 0, "\(run.talk)")
    #expect(!run.talk.contains("left out"), "\(run.talk)")
    try expect("merged", [("a", 0.5), ("b", 0.5)])
  }
}
