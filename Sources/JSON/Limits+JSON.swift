import TMPackByteIO

/// Of JSON.
extension Limits {
  package static let jsonDepth = 16
  /// Of texts that are no archive's; names of members count as values.
  package static let jsonValues = 1 << 20
}
