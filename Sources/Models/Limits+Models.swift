import TMPackByteIO

/// Of what says how a model is to be read.
extension Limits {
  /// Of `config.json`: a quantisation's groups nest in a part of a model's in the model's.
  package static let configurationDepth = 32
  /// A tensor that says how others are to be read.
  package static let quantizationDescriptionBytes = 1 << 16
}
