import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels

/// What matrices are to be quantised to.
enum QuantizationTarget: ExpressibleByArgument, Hashable {
  case ggml(GGUFTensorType)
  /// With a scale for each block of 128 by 128, in a folder.
  case fp8

  static var allValueStrings: [String] {
    GGUFTensorType.allCases.filter { $0.isQuantized && $0.isWritable }.map { $0.description.lowercased() } + ["fp8"]
  }

  init?(argument: String) {
    let name = argument.lowercased()
    guard Self.allValueStrings.contains(name) else { return nil }
    self = GGUFTensorType.allCases.first { $0.description.lowercased() == name }.map { .ggml($0) } ?? .fp8
  }

  var ggml: GGUFTensorType? { if case .ggml(let type) = self { type } else { nil } }
}
extension Convert {
  /// What quantising has cost, in words and for machines.
  func quantizationLoss(
    _ scaled: BlockScaledFloats?, _ quantization: GGUFQuantization?
  ) -> (notes: [String], members: JSONObject) {
    if let scaled {
      let error = scaled.source.relativeError
      let rest = scaled.kept.isEmpty ? "" : "; \(scaled.kept.count) as they are (\(scaled.kept[0]))"
      return (
        ["\(counted(scaled.count, "weight")) in FP8 with scales, relative error \(error.significant(3))\(rest)"],
        ["error": .number(error)]
      )
    }
    guard let errors = quantization?.errors, let worst = errors.byTensor.max(by: { $0.error < $1.error }) else {
      return ([], [:])
    }
    return (
      ["relative error \(errors.total.significant(3)), worst \(worst.error.significant(3)) of \(worst.tensor)"],
      [
        "error": .number(errors.total),
        "errors": .array(errors.byTensor.map { ["tensor": .string($0.tensor), "error": .number($0.error)] }),
      ]
    )
  }
}
