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
    members.withUnsafeBufferPointer { members in
      weights.withUnsafeBufferPointer { weights in
        for i in 0..<count {
          var elected = 0.0
          switch election {
          case .sum:
            for k in members.indices { elected += weights[k] * members[k][i] }
            if elected == 0, tiesArePositive { elected = 1 }
          case .count:
            for k in members.indices { elected += (weights[k] * members[k][i]).signum }
            elected = elected >= 0 ? 1 : -1
          }
          var sum = 0.0
          var divisor = 0.0
          for k in members.indices {
            let element = weights[k] * members[k][i]
            let agrees = elected > 0 ? element > 0 : elected < 0 && element < 0
            sum += agrees ? element : 0
            divisor += agrees ? weights[k] : 0
          }
          result[i] = isNormalized && divisor != 0 ? sum / divisor : sum
        }
      }
    }
  }
}

extension Double {
  /// −1, 0 or 1.
  fileprivate var signum: Double { self > 0 ? 1 : self < 0 ? -1 : 0 }
}
