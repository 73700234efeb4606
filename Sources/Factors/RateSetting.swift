/// One number for a whole archive or expert, from which rank and step of every tensor follow.
package struct RateSetting: Sendable, Hashable {
  package enum Objective: String, Sendable, CaseIterable {
    /// The same step everywhere: reverse water-filling.
    case leastError
    /// The same number of components in every matrix, steps relative to what each one keeps, and scales that shrink nothing:
    /// keeps the task scores, at an error that is far from the least.
    case balanced
  }

  /// How to encode one tensor.
  package struct Point: Sendable, Hashable {
    /// At most this many components.
    package let rank: Int
    /// Of the quantiser, in units of the tensor.
    package let step: Double
    /// What a bit is worth, in squared error, where it is decided whether a component or the tensor is kept, and as what.
    package let price: Double
    /// Whether the tensor may be left out where that is the cheapest at this price. Every layer needs its leading directions,
    /// so `balanced` keeps what it can.
    package let mayBeLeftOut: Bool
    /// Of low-rank components.
    package let scales: ComponentScales

    package init(
      rank: Int = .max, step: Double, mayBeLeftOut: Bool = true, scales: ComponentScales = .nearest
    ) {
      self.rank = rank
      self.step = step
      price = slope * step * step
      self.mayBeLeftOut = mayBeLeftOut
      self.scales = scales
    }

    /// Components of less are hardly coded: half a step everywhere is nothing.
    package func leastSingularValue(rows: Int, columns: Int) -> Double {
      0.3 * step * Double(max(rows, columns)).squareRoot()
    }
  }

  /// The squared error, in squared steps, that a bit is worth: −dD/dR of a uniform quantiser with small steps, 2 ln 2 ÷ 12,
  /// which also is about best at coarse ones.
  package static let slope = 0.11

  package let objective: Objective
  /// Positive. More is larger and better. For `leastError` 1 ÷ the step, for `balanced` the number of components.
  package let quality: Double

  package init(_ objective: Objective, quality: Double) {
    precondition(quality > 0 && quality.isFinite)
    self.objective = objective
    self.quality = quality
  }

  /// Components of a matrix that has so many.
  private var components: Double { min(max(1, quality.rounded()), 0x1p31) }

  /// For a matrix with these leading singular values, of which there are as many as could be wanted.
  package func point(singularValues: [Double], rows: Int, columns: Int) -> Point {
    switch objective {
    case .leastError: return Point(step: 1 / quality)
    case .balanced:
      let rank = min(Int(components), rows, columns)
      let kept = singularValues.prefix(rank)
      let energy = kept.reduce(0) { $0 + $1 * $1 } / Double(max(1, kept.count))
      // The RMS of an entry of U diag(σ) or V diag(σ).
      let rms = (energy * 2 / (Double(rows) + Double(columns))).squareRoot()
      return Point(
        rank: rank, step: Self.coarsening * coarseness(Double(rank)) * rms, mayBeLeftOut: false, scales: .faithful)
    }
  }

  /// For a tensor that is no matrix.
  package func point(rms: Double) -> Point {
    switch objective {
    case .leastError: Point(step: 1 / quality)
    case .balanced: Point(step: coarseness(components) * rms, mayBeLeftOut: false)
    }
  }

  /// How much coarser the steps of components are than those of other tensors: where the scales make good what coarse steps
  /// shrink, bits are better spent on more components (Spec/decisions/0023).
  private static let coarsening = 1.4

  /// The step as a multiple of the RMS, for `rank` ≈ quality components: 1.2 up to 16, 0.93 at 32, 0.71 at 64. Where the rank
  /// was rounded, it changes as much as keeps the size; where it is bounded by the matrix's, the step shrinks on.
  private func coarseness(_ rank: Double) -> Double {
    // Roots alone, so that the bytes do not depend on a library's `pow`.
    func fourth(_ x: Double) -> Double { x.squareRoot().squareRoot() }
    let above = min(1, 16 / quality)
    let smooth = 1.2 * fourth(above) * fourth(above.squareRoot())
    let rounding = (rank / quality).squareRoot() * fourth(rank / quality)
    return min(max(smooth * rounding, 1e-4), 2.5)
  }
}
