import TMPackByteIO

/// Of tensors, wherever they come from (Spec/format.md, section 9).
extension Limits {
  package static let tensors = 1 << 20
  package static let dimensions = 16
  package static let tensorBytes = (1 << 53) - 1
}
