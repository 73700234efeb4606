import ArchiveSupport
import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct MixReceiptTests {
  let archive: RoutedArchive

  init() throws {
    archive = try RoutedArchive(["a", "b"])
    let layer = try LayeredRouter.Layer(inputs: 2, outputs: 2, bias: [0, 0], weights: [1, 0.5, -1, 2])
    try archive.open().put(
      RouterDraft(
        classes: ["b", "a"], model: .layers(LayeredRouter([layer])), dtype: .f32, provenance: noProvenance))
  }

  private func output(_ weights: RouterWeights, dtype: FloatFormat? = nil) throws -> DigestedSource {
    DigestedSource(try Reconstructor(archive.open()).mix(weights, dtype: dtype))
  }

  private func routed(_ inputs: Embeddings) throws -> MixReceipt {
    let opened = try archive.open()
    let router = try Router(opened)
    let options = try RoutingOptions(temperature: 2, top: 2, fallback: .above(0.999))
    let routing = try router.route(inputs, pooling: .all, options)[0]
    return try MixReceipt(
      of: opened, routing.weights, routed: MixReceipt.Routed(router, inputs, options, routing),
      output: output(routing.weights))
  }

  private func faults(_ receipt: MixReceipt, inputs: Embeddings? = nil) throws -> [StorageError] {
    try Verification(archive.open()).prove(receipt, inputs: inputs).faults
  }

  /// As if its text had been changed, and its digest with it.
  private func forged(_ receipt: MixReceipt, _ edit: (inout JSONObject) -> Void) throws -> MixReceipt {
    guard case .object(var object) = receipt.json else { throw StorageError(.malformed, "no object") }
    edit(&object)
    object["digest"] = nil
    object["digest"] = .string(ContentDigest(of: JSONValue.object(object).canonicalText).hexadecimal)
    return try MixReceipt(parsing: Array(JSONValue.object(object).compactText.utf8))
  }

  private let inputs = try! Embeddings([1, 2, 0.5, -1, 3, 3], dimension: 2)

  @Test func isProvedByMakingItAgain() throws {
    let receipt = try routed(inputs)
    #expect(receipt.tensors.map(\.info.name) == ["b", "ids", "same", "w"])
    #expect(try faults(receipt).isEmpty && faults(receipt, inputs: inputs).isEmpty)
    let plain = try MixReceipt(
      of: archive.open(), RouterWeights([("a", 0.1)]), dtype: .bf16,
      output: output(RouterWeights([("a", 0.1)]), dtype: .bf16))
    #expect(try faults(plain).isEmpty)
    #expect(code { _ = try faults(plain, inputs: inputs) } == .invalidArgument)
  }

  @Test func comesBackFromItsText() throws {
    let receipt = try routed(inputs)
    let path = archive.folder("receipt.json")
    try receipt.write(to: path)
    #expect(try MixReceipt(contentsOf: path) == receipt)
    #expect(code { try receipt.write(to: path) } == .outputExists)
    // Spaces and the order of members are no part of it; everything else is.
    let text = try contents(path)
    #expect(try MixReceipt(parsing: Array(receipt.json.compactText.utf8)).digest == receipt.digest)
    #expect(try MixReceipt(parsing: receipt.json.canonicalText).digest == receipt.digest)
    let other = String(decoding: text, as: UTF8.self).replacing("\"exact\": false", with: "\"exact\": true")
    #expect(code { _ = try MixReceipt(parsing: Array(other.utf8)) } == .digestMismatch)
  }

  @Test func namesWhatIsNotTrue() throws {
    let receipt = try routed(inputs)
    let zeros = JSONValue.string(String(repeating: "0", count: 64))
    let otherArchive = try faults(forged(receipt) { $0["archive_root"] = zeros })
    #expect(otherArchive.count == 1 && otherArchive[0].message.contains("archive"))
    let otherTensor = try faults(
      forged(receipt) { object in
        guard case .array(var tensors) = object["tensors"], case .object(var tensor) = tensors[3] else { return }
        tensor["digest"] = zeros
        tensors[3] = .object(tensor)
        object["tensors"] = .array(tensors)
      })
    #expect(otherTensor.map(\.tensor) == ["w"])
    let fewer = try faults(
      forged(receipt) { object in
        guard case .array(let tensors) = object["tensors"] else { return }
        object["tensors"] = .array(tensors.dropLast())
      })
    #expect(fewer.map(\.tensor) == ["w"])
    let otherWeights = try forged(receipt) {
      $0["weights"] = [["name": "b", "weight": "0.5"], ["name": "a", "weight": "0.5"]]
    }
    #expect(try faults(otherWeights).contains { $0.tensor == "w" })
    #expect(try faults(otherWeights, inputs: inputs).contains { $0.expert == "b" })
    // Other inputs, another router, another entropy.
    #expect(try faults(receipt, inputs: Embeddings([1, 2], dimension: 2)).count == 1)
    for member in ["digest", "inputs"] {
      let own = try forged(receipt) { object in
        guard case .object(var router) = object["router"] else { return }
        router[member] = zeros
        object["router"] = .object(router)
      }
      #expect(try faults(own).isEmpty && faults(own, inputs: inputs).count == 1)
    }
    let entropy = try forged(receipt) { object in
      guard case .object(var router) = object["router"] else { return }
      router["entropy"] = "0.123"
      object["router"] = .object(router)
    }
    #expect(try faults(entropy, inputs: inputs).count == 1)
  }

  @Test func refusesOtherTexts() throws {
    let receipt = try routed(inputs)
    func code(_ edit: (inout JSONObject) -> Void) -> StorageError.Code? {
      TestSupport.code { _ = try forged(receipt, edit) }
    }
    #expect(code { $0["receipt"] = "tmpack-mix-2" } == .unsupportedVersion)
    #expect(code { $0["x"] = 1 } == .malformed)
    for member in ["receipt", "tool", "archive_root", "weights", "exact", "patterns", "tensors"] {
      #expect(code { $0[member] = nil } == .malformed)
      #expect(code { $0[member] = 7 } == .malformed)
    }
    #expect(code { $0["weights"] = [["name": "a", "weight": "x"]] } == .malformed)
    #expect(code { $0["weights"] = [["name": "a", "weight": "inf"]] } == .invalidArgument)
    #expect(code { $0["dtype"] = "I8" } == .malformed)
    #expect(code { $0["router"] = [:] } == .malformed)
    // Beyond what canonical JSON can write.
    let text = receipt.json.compactText.replacing("\"shape\":[6]", with: "\"shape\":[0,9007199254740992]")
    #expect(text.contains("9007199254740992"))
    #expect(TestSupport.code { _ = try MixReceipt(parsing: Array(text.utf8)) } == .malformed)
    for text in ["", "{", "[]", "null", "{}"] {
      #expect(TestSupport.code { _ = try MixReceipt(parsing: Array(text.utf8)) } == .malformed)
    }
  }

  @Test func recordsExactExpertsAndPatterns() throws {
    let opened = try archive.open()
    let mix = try Reconstructor(opened).mix(.expert("a"))
    let selected = TensorSelection(of: mix, including: [try Glob("w")])
    let receipt = try MixReceipt(of: opened, .expert("a"), patterns: ["w"], output: DigestedSource(selected))
    #expect(receipt.tensors.count == 1)
    #expect(try faults(receipt).isEmpty)
    #expect(try MixReceipt(parsing: receipt.json.canonicalText) == receipt)
    let exact = try MixReceipt(of: opened, .expert("a"), isExact: true, output: DigestedSource(mix))
    // The expert is stored with loss and without corrections.
    #expect(code { _ = try faults(exact) } == .invalidArgument)
  }
}
