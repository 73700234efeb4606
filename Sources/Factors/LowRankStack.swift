import TMPackByteIO
import TMPackTensorKit

/// A stack of matrices, each a `LowRankFactor` or nothing, all of one dtype (TMP-6-29).
package struct LowRankStack: Sendable, Hashable {
  package let stack: MatrixStack
  /// nil for a matrix that is approximated by zeros; one at least is not.
  package let matrices: [LowRankFactor?]
  package let dtype: FactorDType

  /// - Precondition: there is a factor or nil for each matrix, one at least is a factor, and they are of the stack's shape and of one dtype.
  package init(stack: MatrixStack, matrices: [LowRankFactor?]) {
    let factors = matrices.compactMap(\.self)
    precondition(matrices.count == stack.count && !factors.isEmpty)
    dtype = factors[0].dtype
    precondition(
      factors.allSatisfy { [dtype] in
        $0.rows == stack.rows && $0.columns == stack.columns && $0.dtype == dtype
      })
    self.stack = stack
    self.matrices = matrices
  }

  /// A factor from an archive's arrays, checked.
  ///
  /// - Parameter ranks: of each matrix; 0 for one that is approximated by zeros.
  /// - Throws: `malformed` when the sizes do not belong together, or an element or scale is not one that may occur.
  package init(
    left: [UInt8], right: [UInt8], scales: [UInt8], dtype: FactorDType, stack: MatrixStack, ranks: [Int]
  ) throws(StorageError) {
    guard ranks.count == stack.count, ranks.contains(where: { $0 > 0 }) else {
      throw StorageError(.malformed, "a stack of \(stack.count) matrices has \(ranks.count) ranks")
    }
    var matrices: [LowRankFactor?] = []
    var (lefts, rights, sizes) = (left[...], right[...], scales[...])
    func take(_ bytes: inout ArraySlice<UInt8>, _ count: Int) throws(StorageError) -> [UInt8] {
      guard count >= 0, count <= bytes.count else {
        throw StorageError(.malformed, "the vectors of a stack of matrices end too early")
      }
      defer { bytes = bytes.dropFirst(count) }
      return Array(bytes.prefix(count))
    }
    for rank in ranks {
      guard rank > 0 else {
        matrices.append(nil)
        continue
      }
      guard rank <= stack.rows, rank <= stack.columns else {
        throw StorageError(
          .malformed, "a factor of rank \(rank) cannot make a matrix of \(stack.rows) × \(stack.columns)")
      }
      matrices.append(
        try LowRankFactor(
          left: take(&lefts, rank.multiplied(by: dtype.componentBytes(stack.rows), "the size of a factor")),
          right: take(&rights, rank.multiplied(by: dtype.componentBytes(stack.columns), "the size of a factor")),
          scales: take(&sizes, 4 * rank), dtype: dtype, rows: stack.rows, columns: stack.columns, rank: rank))
    }
    guard lefts.isEmpty, rights.isEmpty, sizes.isEmpty else {
      throw StorageError(.malformed, "a stack of matrices has more vectors than its ranks say")
    }
    self.stack = stack
    self.matrices = matrices
    self.dtype = dtype
  }

  package var ranks: [Int] { matrices.map { $0?.rank ?? 0 } }
  /// Those of all matrices, one after another.
  package var left: [UInt8] { matrices.flatMap { $0?.left ?? [] } }
  package var right: [UInt8] { matrices.flatMap { $0?.right ?? [] } }
  package var scales: [UInt8] { matrices.flatMap { $0?.scales ?? [] } }
  package var byteCount: Int { matrices.reduce(0) { $0 + ($1?.byteCount ?? 0) } }
}
