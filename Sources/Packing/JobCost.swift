import TMPackTensorKit

extension Packer {
  /// Whether rate control decides on a tensor of an expert.
  package func isControlled(_ info: TensorInfo, _ base: TensorInfo?) -> Bool {
    guard case .controlled = rules.treatment(of: info.name) else { return false }
    return info.dtype.floatFormat != nil && base?.matches(info) == true
  }
}

/// About what jobs cost, in nanoseconds of one core, from the shapes alone: so that every process shares them out alike, and the time
/// that is left can be foreseen. Only the proportions matter.
package struct JobCost {
  private let packer: Packer
  /// Models that are read to merge a tensor.
  private let mergedModels: Int

  package init(_ packer: Packer, mergedModels: Int) {
    self.packer = packer
    self.mergedModels = mergedModels
  }

  /// Reading and digesting so many bytes of weight files.
  package static func digesting(_ bytes: UInt64) -> UInt64 { 1 + bytes / 10 * 7 }

  package func sharing(_ info: TensorInfo) -> UInt64 {
    let merging = info.dtype.floatFormat == nil ? 0 : 3 * mergedModels * info.shape.elementCount
    return Self.cost(merging + (packer.isDetached ? 1 : 7) * info.byteCount)
  }

  package func analysing(_ info: TensorInfo, _ base: TensorInfo?, rank: Int) -> UInt64 {
    guard packer.isControlled(info, base) else { return packing(info, base) }
    return Self.cost(4 * info.shape.elementCount) + decomposing(info, rank: rank)
  }

  /// Looking for a rate: a few times all that it decides on is quantised and coded.
  package func fitting(_ info: TensorInfo, _ base: TensorInfo?) -> UInt64 {
    packer.isControlled(info, base) ? Self.cost(120 * info.shape.elementCount) : 0
  }

  /// Writing what a rate was found for.
  package func placing(_ info: TensorInfo) -> UInt64 { Self.cost(20 * info.shape.elementCount) }

  package func packing(_ info: TensorInfo, _ base: TensorInfo?) -> UInt64 {
    let exact = Self.cost(8 * info.byteCount)
    guard info.dtype.floatFormat != nil, base?.matches(info) == true else { return exact }
    let correction = packer.storesCorrections ? exact : 0
    switch packer.rules.treatment(of: info.name) {
    case .exact: return exact
    case .factor(let plan):
      let own = Self.cost(20 * info.shape.elementCount) + correction
      guard let matrices = packer.rules.foreseenMatrices(of: info),
        case .lowRank(let rank) = plan.form(rows: matrices.rows, columns: matrices.columns).method
      else { return own }
      return own + decomposing(info, rank: rank)
    // A list of tasks has none of these (`checkSharesNothing`).
    case .tallMask: return exact
    case .controlled:
      guard let rate = packer.rate else { return exact }
      let rank = rate.objective == .balanced ? Int(min((rate.fixedQuality ?? 1).rounded(.up), 0x1p31)) : 128
      return Self.cost(25 * info.shape.elementCount) + correction + decomposing(info, rank: rank)
    }
  }

  /// A randomised SVD with two power iterations, or the Gram matrix's eigenvectors where that is as cheap.
  private func decomposing(_ info: TensorInfo, rank: Int) -> UInt64 {
    guard let matrices = packer.rules.foreseenMatrices(of: info), matrices.shortSide > 1 else { return 0 }
    let (rows, columns, short) = (Double(matrices.rows), Double(matrices.columns), Double(matrices.shortSide))
    let components = min(2 * Double(min(rank, matrices.shortSide)) + 16, short)
    let one = 0.15 * rows * columns * components + 0.5 * components * components * short
    return UInt64(min(Double(matrices.count) * one, 0x1p50))
  }

  private static func cost(_ nanoseconds: Int) -> UInt64 { UInt64(max(1, min(nanoseconds, 1 << 50))) }
}
