import TMPackCKernels

/// How the sign of an element of the merged task vector is found (Yadav et al. 2023, section 3, step 2).
enum SignElection: String, Sendable, CaseIterable {
  /// The sign of the sum, as in the paper; where the sum is zero, no sign is elected and no expert agrees. By mergekit's
  /// convention plus is elected then.
  case sum
  /// The sign that more experts have; plus, if as many have either.
  case count
}

extension TensorGroup.Chunk {
  /// Sets `result` to the sum, over the members whose weighted element has the elected sign, of their weighted elements;
  /// divided by the sum of their weights if `isNormalized`: with weights of 1, the disjoint mean of TIES (step 3).
  ///
  /// Weights that add up to 0 are not divided by.
  func setResultToDisjointMerge(
    _ weights: [Double], election: SignElection, tiesArePositive: Bool = false, isNormalized: Bool
  ) {
    precondition(weights.count == members.count)
    guard let result = result.baseAddress else { return }
    withAddresses(of: members) {
      tmpack_disjoint_merge(
        tmpack_best_isa(), result, $0, weights, members.count, count, election == .count, tiesArePositive, isNormalized)
    }
  }
}
