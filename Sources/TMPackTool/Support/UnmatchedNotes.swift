import TMPackJSON
import TMPackModels

extension UnmatchedParameters {
  /// For packing, which loses nothing: what is not shared, and what that costs.
  var note: String {
    let cause = likelyCause.isEmpty ? "" : "; \(likelyCause)"
    return "\(expert): \(summary), and are stored whole, \(ByteSize.text(byteCount)) before compression\(cause)"
  }

  var json: JSONValue {
    [
      "expert": .string(expert), "tensors": JSONValue(tensors.count), "parameters": JSONValue(unmatchedCount),
      "share": .number(share), "bytes": JSONValue(byteCount), "example": .string(tensors.first?.name ?? ""),
      "likely_cause": .string(likelyCause),
    ]
  }
}
