import TMPackByteIO
import TMPackJSON

/// A member of an index or a manifest that is a list of entries, however long.
struct LongList: Sendable {
  let member: String
  /// What messages call the elements.
  let elements: String
  let most: Int

  /// Throws `limitExceeded` for more elements than there may be.
  func check(count: Int) throws(StorageError) {
    try Limits.check(count, atMost: most, "the number of \(elements)")
  }

  /// The same of a list that comes next, whatever its elements are; one that is no list has none.
  func check(_ reader: consuming JSONReader) throws(StorageError) {
    var count = 0
    do throws(StorageError) {
      try reader.beginArray()
      while try reader.nextElement() {
        try reader.skipValue()
        count += 1
      }
    } catch {
      return
    }
    try check(count: count)
  }
}
