/// The order of rows in matrices that make heads.
package enum HeadRows {
  /// Row i of a head's first half goes to 2 i, of its second half to 2 i + 1.
  ///
  /// - Precondition: both have the same bytes, and the rows are whole heads of an even length.
  package static func interleave(
    _ source: UnsafeRawBufferPointer, heads: Int, rows: Int, into target: UnsafeMutableRawBufferPointer
  ) {
    guard rows > 0, source.count > 0 else { return }
    let row = source.count / rows
    let half = rows / heads / 2
    for head in 0..<heads {
      for index in 0..<2 * half {
        let from = (head * 2 * half + index) * row
        let to = (head * 2 * half + index % half * 2 + index / half) * row
        UnsafeMutableRawBufferPointer(rebasing: target[to..<to + row]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: source[from..<from + row]))
      }
    }
  }
}
