import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit

/// How sentence-transformers makes one vector of a text's: `config.json` in the folder of its pooling.
enum PoolingFile {
  /// `llama_pooling_type`, by the member that is true, or the mode's name.
  private static let numbers: [(member: String, mode: String, number: UInt32)] = [
    ("pooling_mode_mean_tokens", "mean", 1), ("pooling_mode_cls_token", "cls", 2),
    ("pooling_mode_lasttoken", "lasttoken", 3),
  ]

  /// None where nothing says how.
  static func entries(of network: String, _ files: [CarriedContent]) throws(StorageError) -> [TypedMetadata.Entry] {
    guard let file = files.first(where: { $0.name.text.hasSuffix("_Pooling/config.json") }) else { return [] }
    let text = try file.bytes()
    guard let members = try? JSONValue(parsing: text).asObject("the pooling") else { return [] }
    let mode = members["pooling_mode"]?.asText
    let known = numbers.filter { members[$0.member]?.isTrue == true || $0.mode == mode }
    let isOther = members.members.contains {
      $0.name.hasPrefix("pooling_mode_") && $0.value.isTrue && !numbers.map(\.member).contains($0.name)
    }
    guard known.count == 1, !isOther else {
      throw StorageError(
        .unsupportedFeature, "pools in a way that llama.cpp does not: mean, cls and lasttoken it does",
        file: file.name.text)
    }
    return [.init(key: "\(network).pooling_type", value: .uint32(known[0].number))]
  }
}
