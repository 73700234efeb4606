/// What the scales of quantised components are chosen for.
///
/// Quantising a vector turns part of it into noise, which is orthogonal to it. The scale that makes the squared error least shrinks
/// what is left of the vector, to shrink the noise with it. But the inputs of a layer, and the gradients of its outputs, lie mostly
/// along the strong directions of what training changed: they feel the shrinking, and next to nothing of the noise
/// (Spec/decisions/0023).
package enum ComponentScales: Sendable, Hashable, CaseIterable {
  /// The least squared error.
  case nearest
  /// The least error along the directions of the matrix, weighed by how strong it is there.
  case faithful

  /// Components of which less is left, all but the first, are dropped: the share of their energy that their symbols have.
  var leastLikeness: Double { self == .nearest ? 0 : 0.1 }

  /// What the nearest scale of a component is to be multiplied by: 1 ÷ its likeness where noise is for nothing, 1 where it counts
  /// as much as in the squared error.
  ///
  /// - Parameters:
  ///   - left, right: the share of the energy of each vector that its symbols have at the nearest scale, 0 to 1.
  ///   - value: the singular value.
  ///   - energy: of the whole matrix, of `rows` × `columns`.
  package func factor(
    left: Double, right: Double, value: Double, rows: Int, columns: Int, energy: Double
  ) -> Double {
    guard self == .faithful else { return 1 }
    func denominator(_ likeness: Double, _ side: Int) -> Double {
      // The energy of an average direction by this component's own: how much noise there counts.
      let ratio = min(1, energy / (Double(side) * value * value))
      return likeness + ratio * ratio.squareRoot() * (1 - likeness)
    }
    return 1 / (denominator(left, rows) * denominator(right, columns))
  }
}
