import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// Pickles with more in them than tensors (`Fixtures/foreign/objects/make.py`).
@Suite struct OpaqueObjectsTests {
  private func floats(of source: any TensorSource, _ name: String) throws -> [Float] {
    try source.bytes(of: #require(source.tensor(named: name))).withElements(of: Float.self) { Array($0) }
  }

  static func path(_ name: String) -> String { Foreign.path("objects/\(name)") }

  @Test(arguments: [
    "beside-2.ckpt", "beside-4.ckpt", "among-2.pt", "among-4.pt", "among-legacy.pt", "default.pt",
  ]) func readsTheTensorsBesideThem(_ name: String) throws {
    let source = try Checkpoint.open(Self.path(name)).source
    #expect(source.tensors == [try info("b", .f32, [2]), try info("w", .f32, [2, 3])])
    #expect(try floats(of: source, "w") == [0, 1, 2, 3, 4, 5])
    #expect(try floats(of: source, "b") == [1, 1])
  }

  @Test func saysWhichTensorsAreOnlyInObjects() throws {
    let among = try Checkpoint.open(Self.path("among-2.pt")).notes.joined(separator: "\n")
    #expect(among.contains("1 tensor inside of objects"))
    #expect(among.contains("node.children.0.weight"))
    #expect(among.contains("namespace (argparse.Namespace)"))
    let beside = try Checkpoint.open(Self.path("beside-4.ckpt")).notes.joined(separator: "\n")
    #expect(beside.contains("node (1 tensor)"))
    #expect(try Checkpoint.open(Self.path("default.pt")).notes == [])
  }

  @Test func understandsTensorsOfOtherClasses() throws {
    let subclass = try Checkpoint.open(Self.path("subclass.pt")).source
    #expect(try floats(of: subclass, "t") == [0, 1, 2, 3])
    let spread = try Checkpoint.open(Self.path("dtensor.pt")).source
    #expect(spread.tensors == [try info("r", .f32, [6, 4]), try info("s", .f32, [6, 4])])
    #expect(try floats(of: spread, "s") == (0..<24).map { Float($0) })
  }

  /// PyTorch counts pairs, safetensors single numbers.
  @Test func readsPairsOfFourBits() throws {
    let source = try Checkpoint.open(Self.path("f4.pt")).source
    #expect(source.tensors == [try info("f4", .f4, [4, 16])])
    #expect(try bytes(of: source, "f4") == Array(0..<32))
  }

  @Test(
    arguments: [
      ("refused-model.pt", "torch.nn.modules.linear.Linear", nil), ("refused-module.pt", "state_dict()", nil),
      ("refused-objects.pt", "inside of objects", nil), ("refused-dtensor.pt", "[6, 4] of [12, 4]", "t"),
      ("refused-partial.pt", "full_tensor()", "t"), ("refused-sparse.pt", "to_dense()", "t"),
      ("refused-quantized.pt", "dequantize()", "t"), ("refused-nested.pt", "unbind()", "t"),
      ("refused-meta.pt", "meta device", "t"), ("refused-torchao.pt", "torchao.quantization.Int8Tensor", "0.weight"),
    ] as [(String, String, String?)]) func refusesByName(_ name: String, _ word: String, _ tensor: String?)
  {
    let error = failure { _ = try Checkpoint.open(Self.path(name)) }
    #expect(error?.code == .unsupportedFeature)
    #expect(error?.tensor == tensor)
    #expect(error?.message.contains(word) == true, "\(String(describing: error))")
  }

  /// Whatever stands in a pickle: an error, or tensors.
  @Test(arguments: ["among-2.pt", "among-legacy.pt", "dtensor.pt", "f4.pt"])
  func survivesDamage(_ name: String) throws {
    let folder = TemporaryFolder()
    var original = try contents(Self.path(name))
    // Without checksums the pickle itself is damaged: PyTorch may leave them zero.
    for index in original.indices.dropLast(20) {
      for (signature, place) in [([0x50, 0x4B, 3, 4], 14), ([0x50, 0x4B, 1, 2], 16), ([0x50, 0x4B, 7, 8], 4)]
      where original[index..<index + 4].elementsEqual(signature.map { UInt8($0) }) {
        original.replaceSubrange(index + place..<index + place + 4, with: [0, 0, 0, 0])
      }
    }
    var random = SeededGenerator(seed: 5)
    for _ in 0..<400 {
      putQuickly(original.mutated(using: &random), at: folder("x"))
      guard let source = try? Checkpoint.open(folder("x")).source else { continue }
      for info in source.tensors { _ = try? source.bytes(of: info) }
    }
  }
}
