/// Every bound that is put on a number from a file, before anything proportional to it is allocated.
///
/// Each module has its own, in extensions; `Spec/format.md` section 9 states the ones of the archive.
package enum Limits {
  // Names and files that go along with models (TMP-9)
  package static let nameBytes = 1024
  package static let carriedFiles = 4096
  package static let carriedFileBytes: UInt64 = 64 << 20
  /// Components of a carried file's name.
  package static let carriedFileDepth = 8

  /// Throws `limitExceeded`, naming the limit, when `value` is above `maximum`.
  @inlinable
  package static func check<Value: BinaryInteger>(
    _ value: Value, atMost maximum: some BinaryInteger, _ what: @autoclosure () -> String
  ) throws(StorageError) {
    guard value <= maximum else {
      throw StorageError(.limitExceeded, "\(what()) is \(value), above the limit of \(maximum)")
    }
  }
}
