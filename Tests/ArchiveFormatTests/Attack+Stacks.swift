import TMPackFactors
import TMPackJSON
import TMPackTensorKit
import TestSupport

extension HandArchive {
  /// The matrix as three of one row: two of rank 1, one of zeros.
  static func stack(isKnown: Bool = true) -> HandArchive {
    var archive = HandArchive(
      ["factor": "low-rank-stack", "dtype": "I8", "ranks": [1, 0, 1], "stack": [3, 1, 1, 5, 1]],
      [
        ("left", [1, 2]), ("right", [1, 2, 3, 4, 5, 5, 4, 3, 2, 1]),
        ("scales", lanes([Float(0.5).bitPattern, Float(2).bitPattern])),
      ])
    archive.makeStack(isKnown)
    return archive
  }

  /// The same quantised: the first of rank 1, the second with all elements, the third with both.
  static func quantizedStack(isKnown: Bool = true) -> HandArchive {
    let stack = MatrixStack([3, 1, 1, 5, 1], of: 15)!
    let product = QuantizedLowRankFactor(left: [2], right: [1, 0, -2, 0, 1], scales: [0.5], rows: 1, columns: 5)
    let dense = QuantizedDenseFactor(symbols: [0, 1, 0, -3, 0], scale: 0.25, rows: 1, columns: 5)
    let layered = QuantizedLayeredFactor(product, dense)
    let factor = QuantizedStack(
      stack: stack, quantizer: .uniform, matrices: [.lowRank(product), .dense(dense), .layered(layered)])
    var archive = HandArchive(
      ["factor": "quantized-stack", "dense": [1, 2], "ranks": [1, 0, 1], "stack": [3, 1, 1, 5, 1]],
      [("payload", factor.payload)])
    archive.makeStack(isKnown)
    return archive
  }

  private mutating func makeStack(_ isKnown: Bool) {
    shared.manifest["tensors", .at(0), "shape"] = [3, 1, 5]
    if isKnown { editIndex = { $0["features", "required"] = ["stacks"] } }
  }
}

extension Attacks {
  static let stacks: [Attack] = [
    Attack("sound", "a stack", of: .stack()) { _ in },
    Attack("sound", "a quantised stack", of: .quantizedStack()) { _ in },
    Attack("sound", "matrices side by side", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "stack"] = [1, 1, 3, 5, 1]
    },
    Attack("sound", "matrices whose columns alternate", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "stack"] = [1, 1, 1, 5, 3]
    },
    Attack("TMP-6-32", "a stack without the feature", .malformed, "stacks", of: .stack(isKnown: false)) { _ in },
    Attack("TMP-6-32", "a quantised stack without it", .malformed, "stacks", of: .quantizedStack(isKnown: false)) {
      _ in
    },
    Attack("TMP-6-32", "a stack with an optional feature", .malformed, "stacks", of: .stack()) {
      $0.editIndex = { $0["features", "optional"] = ["stacks"] }
    },
    Attack("TMP-6-28", "a stack of other elements", .malformed, "does not fit", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "stack"] = [3, 1, 1, 4, 1]
    },
    Attack("TMP-6-28", "a stack of no elements", .malformed, "does not fit", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "stack"] = [3, 0, 1, 5, 1]
    },
    Attack("TMP-6-28", "a stack whose size overflows", .malformed, "does not fit", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "stack"] = [1_099_511_627_776, 1_099_511_627_776, 1_099_511_627_776, 5, 1]
    },
    Attack("TMP-6-28", "a stack of four numbers", .malformed, "does not fit", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "stack"] = [3, 1, 1, 5]
    },
    Attack("TMP-6-28", "a stack of one matrix", .malformed, "does not fit", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "stack"] = [1, 3, 1, 5, 1]
      $0.expert.manifest["tensors", .at(0), "ranks"] = [2]
    },
    Attack("TMP-6-28", "a stack of six numbers", .limitExceeded, "", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "stack"] = [3, 1, 1, 5, 1, 1]
    },
    Attack("TMP-6-28", "a stack of a matrix", .malformed, "does not fit", of: .stack()) {
      $0.shared.manifest["tensors", .at(0), "shape"] = [3, 5]
    },
    Attack("TMP-6-28", "too few ranks", .malformed, "2 ranks", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "ranks"] = [1, 1]
    },
    Attack("TMP-6-28", "too many ranks", .malformed, "4 ranks", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "ranks"] = [1, 0, 1, 0]
    },
    Attack("TMP-6-28", "a rank above the sides", .malformed, "does not fit", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "ranks"] = [2, 0, 0]
    },
    Attack("TMP-9-20", "too many matrices", .limitExceeded, "", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "ranks"] = .array([JSONValue](repeating: 0, count: 65_537))
    },
    Attack("TMP-6-28", "ranks of nothing", .malformed, "does not fit", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "ranks"] = [0, 0, 0]
    },
    Attack("TMP-6-28", "a rank that is no number", .malformed, "ranks", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "ranks"] = [1, 0, "1"]
    },
    Attack("TMP-6-29", "ranks that ask for more vectors", .malformed, "left factors", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "ranks"] = [1, 1, 1]
    },
    Attack("TMP-6-29", "a rank beside the ranks", .malformed, "rank", of: .stack()) {
      $0.expert.manifest["tensors", .at(0), "rank"] = 1
    },
    Attack("TMP-6-30", "an empty list of dense matrices", .malformed, "dense", of: .quantizedStack()) {
      $0.expert.manifest["tensors", .at(0), "dense"] = []
    },
    Attack("TMP-6-30", "a dense matrix that is not there", .malformed, "dense", of: .quantizedStack()) {
      $0.expert.manifest["tensors", .at(0), "dense"] = [1, 3]
    },
    Attack("TMP-6-30", "dense matrices out of order", .malformed, "dense", of: .quantizedStack()) {
      $0.expert.manifest["tensors", .at(0), "dense"] = [2, 1]
    },
    Attack("TMP-6-30", "a message of fewer matrices", .malformed, "", of: .quantizedStack()) {
      $0.expert.manifest["tensors", .at(0), "dense"] = [1]
    },
    Attack("TMP-6-30", "an empty message", .malformed, "quantised into nothing", of: .quantizedStack()) {
      $0.expert.manifest["tensors", .at(0), "payload"] = ["count": 0, "first": 0, "size": 0]
    },
  ]
}
