import TMPackMerging
import TestSupport
import Testing

@Suite struct LayerPositionTests {
  private static let positions = LayerPositions(names: [
    "encoder.layer.0.attention.self.query.weight", "encoder.layer.1.output.dense.bias",
    "encoder.layer.2.output.dense.bias",
    "decoder.block.0.layer.0.wi", "decoder.block.0.layer.1.wi", "decoder.block.1.layer.0.wi",
    "embeddings.weight", "classifier.0.weight", "classifier.3.weight", "only.0.weight", "list.0", "list.1",
    "0.weight", "1.weight", "x.99999999999999999999.y",
  ])

  @Test(arguments: [
    ("encoder.layer.0.attention.self.query.weight", "encoder.layer", 0, 3, 0.0),
    ("encoder.layer.1.output.dense.bias", "encoder.layer", 1, 3, 0.5),
    ("encoder.layer.2.another", "encoder.layer", 2, 3, 1),
    ("decoder.block.1.layer.0.wi", "decoder.block", 1, 2, 1), ("1.weight", "", 1, 2, 1),
  ]) func findsTheBlockOfATensor(_ name: String, _ stack: String, _ index: Int, _ count: Int, _ depth: Double) throws {
    let position = try #require(Self.positions[name])
    #expect(position.stack == stack && position.index == index && position.count == count && position.depth == depth)
  }

  @Test(
    "Outside of stacks: no number, a gap between numbers, one block only, a number at the end, a block beyond the last",
    arguments: [
      "embeddings.weight", "classifier.3.weight", "only.0.weight", "list.1", "encoder.layer.3.x",
      "x.99999999999999999999.y", "", ".",
    ])
  func isOutside(_ name: String) { #expect(Self.positions[name] == nil) }

  @Test func scalesWhatAMethodChangesByDepth() throws {
    let folder = TemporaryFolder()
    let names = ["layers.0.w", "layers.1.w", "layers.2.w", "head.w"]
    let base = try writeModel(try names.map { try tensor($0, .f32, [2], [1, -1]) }, to: folder("base.safetensors"))
    let tuned = try writeModel(try names.map { try tensor($0, .f32, [2], [5, 3]) }, to: folder("tuned.safetensors"))
    let method = try MergingMethodKind.named("task-arithmetic").method([
      .init("lambda"): "1", .init("lines_alpha"): "0.25", .init("lines_beta"): "0.5",
    ])
    #expect(method.record.parameters == ["lambda": "1", "lines_alpha": "0.25", "lines_beta": "0.5"])
    let merged = try SharedModelSource(
      MergeSources(base: base.source, experts: [.init(name: "t", source: tuned.source)]), method: method)
    let first = try names.map { name in
      try merged.bytes(of: merged.tensor(named: name)!).withBytes { $0.loadUnaligned(as: Float.self) }
    }
    #expect(first == [2, 3, 4, 2])
  }
}
