import TMPackCOpenBLAS
import TMPackFactors

/// Products of float32 matrices in float64, one converted panel at a time, so that no whole copy is ever held.
///
/// A matrix is taken by its short side s: as itself when it is wide (s = rows), as its transpose when it is tall.
extension MatrixView {
  private var isWide: Bool { rows <= columns }

  /// What of the long side is converted at once. Enough for `dgemm` to run at full speed.
  private static var panelThickness: Int { 384 }

  /// A Aᵀ of a wide matrix, AᵀA of a tall one: s × s, the lower triangle by rows.
  ///
  /// Float64 makes it as good as an SVD in float32: its rounding errors are below those of the entries squared.
  /// - Complexity: O(s² · long side); holds s² + 384 s doubles.
  package func gram() -> [Double] {
    let s = shortSide
    var gram = [Double](repeating: 0, count: s * s)
    let order = Int32(s)
    forEachPanel { _, count, panel in
      cblas_dsyrk(
        CblasRowMajor, CblasLower, isWide ? CblasNoTrans : CblasTrans, order, Int32(count), 1, panel,
        Int32(isWide ? count : s), 1, &gram, order)
    }
    return gram
  }

  /// W A of a wide matrix, W Aᵀ of a tall one, where W is `count` × s: `count` rows of the long side's length.
  ///
  /// - Complexity: O(count · elements); holds the result, and 384 (s + count) doubles.
  package func multiplied(by w: [Double], count: Int) -> [Double] {
    let s = shortSide
    let long = longSide
    precondition(w.count == count * s)
    var block = [Double](repeating: 0, count: count * Self.panelThickness)
    return [Double](unsafeUninitializedCapacity: count * long) { result, initialized in
      forEachPanel { start, width, panel in
        cblas_dgemm(
          CblasRowMajor, CblasNoTrans, isWide ? CblasNoTrans : CblasTrans, Int32(count), Int32(width), Int32(s), 1, w,
          Int32(s), panel, Int32(isWide ? width : s), 0, &block, Int32(width))
        for k in 0..<count {
          for j in 0..<width { result.initializeElement(at: k * long + start + j, to: block[k * width + j]) }
        }
      }
      initialized = count * long
    }
  }

  /// Calls `body` with the first index, the thickness and the converted elements of each panel: row-major,
  /// s × thickness of a wide matrix, thickness × s of a tall one.
  func forEachPanel(_ body: (_ start: Int, _ count: Int, _ panel: UnsafeMutablePointer<Double>) -> Void) {
    let s = shortSide
    let long = longSide
    let panel = UnsafeMutablePointer<Double>.allocate(capacity: s * min(long, Self.panelThickness))
    defer { panel.deallocate() }
    for start in stride(from: 0, to: long, by: Self.panelThickness) {
      let count = min(Self.panelThickness, long - start)
      if isWide {
        for i in 0..<s {
          let row = base + i * columns + start
          for j in 0..<count { panel[i * count + j] = Double(row[j]) }
        }
      } else {
        let source = base + start * s
        for j in 0..<count * s { panel[j] = Double(source[j]) }
      }
      body(start, count, panel)
    }
  }
}
