import TMPackMerging
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct PerExpertTests {
  /// A name in two Unicode spellings, which are two names.
  private static let (composed, decomposed) = ("\u{E9}", "e\u{301}")

  @Test func spellingsAreNames() {
    var weights = PerExpert(1.0)
    weights[Self.composed] = 2
    #expect(weights[Self.composed] == 2 && weights[Self.decomposed] == 1)
    let name = MergeSettings.Name(parsing: "weight@\(Self.composed)")
    #expect(name != MergeSettings.Name("weight", expert: Self.decomposed))
    #expect(name == MergeSettings.Name("weight", expert: Self.composed) && name.expert == Self.composed)
  }

  @Test func settingsAreOfOneExpert() throws {
    func model(_ value: Double) throws -> any TensorSource {
      try MemoryTensorSource([tensor("x", .f32, [1], [value])])
    }
    let sources = MergeSources(
      base: try model(0),
      experts: [
        .init(name: Self.composed, source: try model(1)), .init(name: Self.decomposed, source: try model(10)),
      ])
    func merged(_ settings: [MergeSettings.Name: String]) throws -> Float {
      let method = try MergingMethodKind.named("task-arithmetic").method(
        settings.merging([.init("lambda"): "1"]) { $1 })
      let source = try SharedModelSource(sources, method: method)
      return try source.bytes(of: source.tensors[0]).withBytes { $0.loadUnaligned(as: Float.self) }
    }
    #expect(try merged([.init("weight", expert: Self.composed): "5"]) == 15)
    #expect(try merged([.init("weight", expert: Self.decomposed): "5"]) == 51)
    // An archive's record of the method has one place for both.
    let both = [Self.composed, Self.decomposed].map { MergeSettings.Name("weight", expert: $0) }
    #expect(code { _ = try merged([both[0]: "5", both[1]: "6"]) } == .invalidArgument)
  }
}
