/// Which elements of the multi-task vector τ, the sum of the experts' task vectors, are of use to an expert (Wang et al.,
/// 2024, arXiv 2405.07813, section 4).
package enum TALLMask {
  /// |τₜ| ≥ λₜ |τ − τₜ|.
  ///
  /// - Parameters:
  ///   - own: τₜ, the expert's.
  ///   - sum: τ.
  ///   - factor: λₜ: the greater, the fewer elements are selected.
  @inline(__always)
  package static func selects(_ own: Double, of sum: Double, factor: Double) -> Bool {
    own.magnitude >= factor * (sum - own).magnitude
  }
}
