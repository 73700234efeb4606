import TMPackByteIO

/// Of recipes.
extension Limits {
  package static let yamlBytes = 1 << 20
  package static let yamlDepth = 32
}
