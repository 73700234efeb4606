import TMPackByteIO

/// Of decompositions.
extension Limits {
  /// The shorter side of a matrix of which all singular vectors are computed: hours of work, and 32-bit workspaces.
  package static let decomposedSide = 16_384
}
