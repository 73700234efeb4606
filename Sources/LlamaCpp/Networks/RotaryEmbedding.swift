import TMPackByteIO
import TMPackJSON

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How positions are rotated into a model's heads: `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` of
/// transformers 4. With layers of two kinds, how it is in those that attend to all.
struct RotaryEmbedding {
  let base: Double
  /// The base in layers that attend to a window; nil where all are alike.
  let windowBase: Double?
  /// `default`, `linear`, `yarn`, …
  let type: String
  /// The share of each head that is rotated.
  let share: Double
  private let scaling: JSONObject

  /// - Throws: `malformed` for what are no numbers.
  init(_ settings: ModelSettings, assumedBase: Double?) throws(StorageError) {
    let parameters = settings.object("rope_parameters")
    let full = parameters?["full_attention"]?.asObject ?? parameters
    let window = parameters?["sliding_attention"]?.asObject
    scaling = full ?? settings.object("rope_scaling") ?? [:]
    type = (scaling["rope_type"] ?? scaling["type"])?.asText ?? "default"
    let theta = try settings.number(["rope_theta"])
    guard let base = scaling["rope_theta"]?.asNumber ?? theta ?? assumedBase, base > 0 else {
      throw ModelSettings.missing(["rope_theta"])
    }
    self.base = base
    let localBase = try settings.number(["rope_local_base_freq"])
    windowBase = window?["rope_theta"]?.asNumber ?? localBase
    let ownShare = try settings.number(["partial_rotary_factor"])
    share = scaling["partial_rotary_factor"]?.asNumber ?? ownShare ?? 1
    if window != nil, let other = window?["rope_type"]?.asText, other != "default" {
      throw StorageError(
        .unsupportedFeature, "scales the rotation of layers with a window (\(other)), which llama.cpp does not",
        file: ModelSettings.fileName)
    }
  }

  func number(_ name: String) -> Double? { scaling[name]?.asNumber }

  func numbers(_ name: String) -> [Double]? { scaling[name]?.asNumbers }

  func required(_ name: String) throws(StorageError) -> Double {
    guard let number = number(name), number > 0, number.isFinite else { throw ModelSettings.missing([name]) }
    return number
  }

  /// What each frequency is divided by, as Llama 3.1 has it: nothing for short waves, `factor` for long ones, and between in
  /// between. In binary32, as transformers computes it.
  func llama3Factors(headLength: Int, originalContext: Double) throws(StorageError) -> [Float] {
    let factor = Float(try required("factor"))
    let low = Float(try required("low_freq_factor"))
    let high = Float(try required("high_freq_factor"))
    let context = Float(originalContext)
    return (0..<headLength / 2).map { index in
      let frequency = 1 / powf(Float(base), Float(2 * index) / Float(headLength))
      let wave = 2 * Float.pi / frequency
      if wave < context / high { return 1 }
      if wave > context / low { return factor }
      let smooth = (context / wave - low) / (high - low)
      return 1 / ((1 - smooth) / factor + smooth)
    }
  }

  /// What longrope multiplies sines and cosines by.
  static func longFactor(context: Double, originalContext: Double) -> Double {
    let ratio = context / originalContext
    return ratio > 1 ? (1 + log(ratio) / log(originalContext)).squareRoot() : 1
  }
}
