extension UnsafeMutableBufferPointer<Double> {
  /// Σₖ wₖ · partₖ, in order, element by element.
  func setToWeightedSum(of parts: [UnsafeMutableBufferPointer<Double>], _ weights: [Double]) {
    precondition(parts.count == weights.count)
    update(repeating: 0)
    for (part, weight) in zip(parts, weights) {
      if weight == 1 {
        for i in 0..<count { self[i] += part[i] }
      } else {
        for i in 0..<count { self[i] += weight * part[i] }
      }
    }
  }
}

extension TensorGroup.Chunk {
  /// The base plus `scale` times what `result` holds, a merged task vector.
  func addBase(scaledBy scale: Double = 1) {
    for i in 0..<count { result[i] = base[i] + scale * result[i] }
  }
}
