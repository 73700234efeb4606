import TMPackJSON

extension HandArchive {
  /// Whose matrix has so many more bytes in the expert, of rows of 20.
  static func extended(by extra: Int, isKnown: Bool = true) -> HandArchive {
    var archive = HandArchive(
      lowRank, [("extra", [UInt8](repeating: 7, count: extra))] + lowRankPayloads)
    if isKnown { archive.editIndex = { $0["features", "required"] = ["extra-rows"] } }
    archive.editSummary = { $0["parameters"] = JSONValue(17 + extra / 4) }
    return archive
  }
}

extension Attacks {
  static let extraRows: [Attack] = [
    Attack("sound", "a further row", of: .extended(by: 20)) { _ in },
    Attack("sound", "three further rows", of: .extended(by: 60)) { _ in },
    Attack("sound", "the feature of further rows, and none", .malformed, "") {
      $0.editIndex = { $0["features", "required"] = ["extra-rows"] }
    },
    Attack("TMP-6-25", "a part of a row", .malformed, "a row has 20", of: .extended(by: 19)) { _ in },
    Attack("TMP-6-25", "a row and a part of one", .malformed, "a row has 20", of: .extended(by: 24)) { _ in },
    Attack("TMP-6-25", "no row", .malformed, "have 0 bytes", of: .extended(by: 20)) {
      $0.expert.manifest["tensors", .at(0), "extra"] = ["count": 0, "first": 0, "size": 0]
    },
    Attack("TMP-6-25", "further rows of integers", .malformed, "I32", of: .extended(by: 20)) {
      $0.expert.manifest["tensors", .at(1), "extra"] = $0.expert.manifest["tensors", .at(1), "payload"]
    },
    Attack("TMP-6-25", "further rows of a scalar", .malformed, "[]", of: .extended(by: 20)) {
      $0.shared.manifest["tensors", .at(0), "shape"] = []
      $0.shared.manifest["tensors", .at(0), "payload", "size"] = 4
      for member in ["left", "rank", "right"] { $0.expert.manifest["tensors", .at(0), .member(member)] = nil }
      $0.expert.manifest["tensors", .at(0), "factor"] = "dropped"
      for member in ["dtype", "scales"] { $0.expert.manifest["tensors", .at(0), .member(member)] = nil }
    },
    Attack("TMP-6-25", "further rows of a whole tensor", .malformed, "\"extra\"", of: .extended(by: 20)) {
      $0.expert.manifest["tensors", .at(1), "factor"] = "replaced"
      $0.expert.manifest["tensors", .at(1), "dtype"] = "U8"
      $0.expert.manifest["tensors", .at(1), "shape"] = [8]
      $0.expert.manifest["tensors", .at(1), "extra"] = $0.expert.manifest["tensors", .at(1), "payload"]
    },
    Attack("TMP-6-26", "rows in common, and no others", .malformed, "no further rows", of: .extended(by: 20)) {
      $0.expert.manifest["tensors", .at(1), "factor"] = "common"
      $0.expert.manifest["tensors", .at(1), "payload"] = nil
    },
    Attack(
      "TMP-6-27", "further rows without the feature", .malformed, "extra-rows", of: .extended(by: 20, isKnown: false)
    ) { _ in },
    Attack("TMP-6-27", "further rows with an optional feature", .malformed, "extra-rows", of: .extended(by: 20)) {
      $0.editIndex = { $0["features", "optional"] = ["extra-rows"] }
    },
    Attack("TMP-4-10", "a summary without the further rows", .malformed, "", of: .extended(by: 20)) {
      $0.editSummary = { _ in }
    },
  ]
}
