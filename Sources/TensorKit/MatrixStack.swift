import TMPackByteIO

/// A tensor seen as a stack of matrices of one shape (TMP-6-28).
///
/// Its elements, in order, are those of an array of [outer, rows, middle, columns, inner]. `outer`, `middle` and `inner` say which
/// matrix an element is of, `rows` and `columns` where in it. The weights of a layer's experts, [E, m, n], are (E, m, 1, n, 1);
/// with two matrices side by side in each of them, one after another or interleaved, (E, m, 2, n ÷ 2, 1) or (E, m, 1, n ÷ 2, 2).
package struct MatrixStack: Sendable, Hashable {
  package let outer: Int
  package let rows: Int
  package let middle: Int
  package let columns: Int
  package let inner: Int

  /// Matrices: at least two.
  package var count: Int { outer * middle * inner }
  package var elementCount: Int { outer * rows * rowStride }
  /// Elements from a row to the next, which is as many as one row of all matrices that lie side by side takes.
  package var rowStride: Int { middle * columns * inner }
  /// Whether the elements of each matrix lie together.
  package var isContiguous: Bool { middle == 1 && inner == 1 }
  /// Of one matrix.
  package var matrixSize: Int { rows * columns }
  /// Matrices that lie side by side.
  package var abreast: Int { middle * inner }

  package var dimensions: [Int] { [outer, rows, middle, columns, inner] }

  /// - Returns: nil unless they are five, positive, of more than one matrix, and of `elementCount` elements.
  package init?(_ dimensions: [Int], of elementCount: Int) {
    guard dimensions.count == 5, dimensions.allSatisfy({ $0 >= 1 }) else { return nil }
    var count = 1
    for dimension in dimensions {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard !overflow else { return nil }
      count = product
    }
    (outer, rows, middle, columns, inner) = (
      dimensions[0], dimensions[1], dimensions[2], dimensions[3], dimensions[4]
    )
    guard count == elementCount, self.count >= 2 else { return nil }
  }

  /// Elements of the tensor from the first to behind the last of a matrix.
  package func extent(of matrix: Int) -> Range<Int> {
    let block = rows * rowStride
    let start = matrix / abreast * block
    return isContiguous ? start..<start + matrixSize : start..<start + block
  }

  /// The matrices that have any of some elements of the tensor, and those that lie side by side with them.
  package func matrices(touching elements: Range<Int>) -> Range<Int> {
    guard !elements.isEmpty else { return 0..<0 }
    let block = rows * rowStride
    return elements.lowerBound / block * abreast..<((elements.upperBound - 1) / block + 1) * abreast
  }

  /// Where a row of a matrix begins, in its extent; its elements are `inner` apart.
  package func rowStart(_ row: Int, of matrix: Int) -> Int {
    let place = matrix % abreast
    return row * rowStride + place / inner * columns * inner + place % inner
  }

  /// Where some elements of a matrix lie in the tensor: runs of them, in order, `inner` from one to the next.
  ///
  /// - Parameter body: is given which elements of the matrix a run is of, and the place in the tensor of its first.
  package func forEachRun(
    of range: Range<Int>, in matrix: Int, _ body: (_ run: Range<Int>, _ place: Int) throws(StorageError) -> Void
  ) throws(StorageError) {
    guard !range.isEmpty else { return }
    let start = extent(of: matrix).lowerBound
    if isContiguous { return try body(range, start + range.lowerBound) }
    for row in range.lowerBound / columns...(range.upperBound - 1) / columns {
      let run = range.clamped(to: row * columns..<(row + 1) * columns)
      try body(run, start + rowStart(row, of: matrix) + (run.lowerBound - row * columns) * inner)
    }
  }

  /// Copies the elements of a matrix out of its extent.
  ///
  /// - Precondition: `elements` are those of `extent(of: matrix)`; `target` has room for the matrix, row-major.
  package func gather<Element>(
    _ matrix: Int, from elements: UnsafeBufferPointer<Element>, into target: UnsafeMutableBufferPointer<Element>
  ) {
    precondition(elements.count == extent(of: matrix).count && target.count == matrixSize)
    for i in 0..<rows {
      let start = rowStart(i, of: matrix)
      for j in 0..<columns { target[i * columns + j] = elements[start + j * inner] }
    }
  }
}
