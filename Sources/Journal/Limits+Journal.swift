import TMPackByteIO

/// Of task lists and parts.
extension Limits {
  package static let taskShares = 65_536
}
