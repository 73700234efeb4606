import TMPackByteIO

/// Of task lists.
extension Limits {
  package static let taskListBytes: UInt64 = 64 << 20
  /// Names of members counted too.
  package static let taskListValues = 1 << 23
  package static let taskJobs = 1 << 20
}
