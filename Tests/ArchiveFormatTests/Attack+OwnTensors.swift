import TMPackFactors
import TMPackJSON

extension HandArchive {
  /// With `head`, BF16 [2, 3], which the shared model lacks, in the place of the lossy entry.
  static func quantizedOwn(
    isKnown: Bool = true,
    _ payload: [UInt8] = QuantizedDenseFactor(
      symbols: [0, 1, -2, 9, 0, 3], scale: 0.25, rows: 2, columns: 3
    ).payload
  ) -> HandArchive {
    var archive = HandArchive(
      ["factor": "quantized-own", "dtype": "BF16", "shape": [2, 3]], [("payload", payload)])
    archive.expert.manifest["tensors", .at(0), "name"] = "head"
    if isKnown { archive.editIndex = { $0["features", "required"] = ["quantized-own"] } }
    archive.editSummary = {
      $0["parameters"] = 23
      $0["tensors"] = 3
      $0["worst_tensor"] = "head"
    }
    return archive
  }
}

extension Attacks {
  static let ownTensors: [Attack] = [
    Attack("sound", "a quantised tensor that only the expert has", of: .quantizedOwn()) { _ in },
    Attack(
      "sound", "one of no dimensions",
      of: .quantizedOwn(QuantizedDenseFactor(symbols: [1], scale: 2, rows: 1, columns: 1).payload)
    ) {
      $0.expert.manifest["tensors", .at(0), "shape"] = []
      $0.editSummary = {
        $0["parameters"] = 18
        $0["tensors"] = 3
        $0["worst_tensor"] = "head"
      }
    },
    Attack("TMP-6-34", "one without the feature", .malformed, "quantized-own", of: .quantizedOwn(isKnown: false)) {
      _ in
    },
    Attack("TMP-6-34", "one with an optional feature", .malformed, "quantized-own", of: .quantizedOwn()) {
      $0.editIndex = { $0["features", "optional"] = ["quantized-own"] }
    },
    Attack("TMP-6-33", "one that the shared model has", .malformed, "the shared model has it", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "name"] = "m"
    },
    Attack("TMP-6-33", "one of integers", .malformed, "float", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "dtype"] = "I16"
    },
    Attack("TMP-6-33", "one without an element", .malformed, "element", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "shape"] = [0, 3]
    },
    Attack("TMP-6-33", "one of more elements than its message", .malformed, "", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "shape"] = [2, 300]
    },
    Attack("TMP-6-33", "one of fewer elements than its message", .malformed, "", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "shape"] = [1, 3]
    },
    Attack("TMP-6-33", "one without a shape", .malformed, "shape", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "shape"] = nil
    },
    Attack("TMP-6-33", "one whose size overflows", .malformed, "", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "shape"] = [4_611_686_018_427_387, 4096]
    },
    Attack("TMP-6-21", "one of an empty message", .malformed, "element", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "payload"] = ["count": 0, "first": 0, "size": 0]
    },
    Attack("TMP-6-6", "one without a norm", .malformed, "norm", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "norm"] = nil
    },
    Attack("TMP-6-17", "one with a correction", .malformed, "correction", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "correction"] = $0.expert.manifest["tensors", .at(0), "payload"]
    },
    Attack("TMP-6-25", "one with further rows", .malformed, "extra", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "extra"] = $0.expert.manifest["tensors", .at(0), "payload"]
    },
    Attack("TMP-9-11", "one of more symbols than a reader makes room for", .limitExceeded, "", of: .quantizedOwn()) {
      $0.expert.manifest["tensors", .at(0), "shape"] = [1_048_576, 1024]
    },
  ]
}
