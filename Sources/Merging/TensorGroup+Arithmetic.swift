import TMPackByteIO

extension UnsafeMutableBufferPointer<Double> {
  /// Σₖ wₖ · partₖ, in order, element by element.
  package func setToWeightedSum(of parts: [UnsafeMutableBufferPointer<Double>], _ weights: [Double]) {
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

extension TensorGroup {
  /// `forEachTaskVectorChunk`, for methods that compare elements.
  ///
  /// - Throws: `nonFinite`, naming the expert, where a task vector has NaN or infinity.
  package func forEachFiniteTaskVectorChunk(
    ofMultiple multiple: Int = 1, _ body: (Chunk) throws(StorageError) -> Void
  ) throws(StorageError) {
    try forEachTaskVectorChunk(ofMultiple: multiple) { chunk throws(StorageError) in
      for (member, part) in zip(members, chunk.members) where !part.allFinite {
        let index = chunk.range.lowerBound + part.firstIndex { !$0.isFinite }!
        throw StorageError(
          .nonFinite, "element \(index) differs from the base by NaN or infinity, which cannot be merged by magnitude",
          file: member.expert.source.label, expert: member.name)
      }
      try body(chunk)
    }
  }
}

extension UnsafeMutableBufferPointer<Double> {
  fileprivate var allFinite: Bool {
    // NaN where an element is NaN or infinite, 0 otherwise.
    var sum = 0.0
    for value in self { sum += value - value }
    return sum == 0
  }
}
