/// Arithmetic on numbers that came from a file. Overflow is the file's fault, so it throws instead of trapping.
extension FixedWidthInteger {
  @inlinable
  package func adding(_ other: Self, _ what: @autoclosure () -> String) throws(StorageError) -> Self {
    let (sum, overflow) = addingReportingOverflow(other)
    guard !overflow else { throw StorageError(.malformed, "\(what()) overflows 64 bits") }
    return sum
  }

  @inlinable
  package func multiplied(by other: Self, _ what: @autoclosure () -> String) throws(StorageError) -> Self {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    guard !overflow else { throw StorageError(.malformed, "\(what()) overflows 64 bits") }
    return product
  }

  /// The smallest multiple of `alignment`, a power of two, that is not below `self`.
  @inlinable
  package func roundedUp(toMultipleOf alignment: Self) -> Self {
    (self + (alignment - 1)) & ~(alignment - 1)
  }
}
