import TMPackByteIO

/// Tensors as a whole, for methods that decompose them.
extension TensorGroup {
  /// Σ wₖ τₖ.
  ///
  /// - Complexity: holds the elements once.
  func taskVectorSum(_ weights: [Double]) throws(StorageError) -> [Double] {
    var sum = [Double](repeating: 0, count: count)
    try sum.withUnsafeMutableBufferPointer { sum throws(StorageError) in
      try forEachTaskVectorChunk { chunk throws(StorageError) in
        UnsafeMutableBufferPointer(rebasing: sum[chunk.range]).setToWeightedSum(of: chunk.members, weights)
      }
    }
    return sum
  }

  /// The elements of one member.
  package func elements(ofMember member: Int) throws(StorageError) -> [Double] {
    try located(expert: members[member].name) { () throws(StorageError) in
      try members[member].elements.elements(0..<count)
    }
  }

  /// τₖ of one member.
  func taskVector(ofMember member: Int) throws(StorageError) -> [Double] {
    let only = TensorGroup(info: info, format: format, base: base, members: [members[member]])
    return try only.taskVectorSum([1])
  }

  /// Writes the base plus `scale` times `vector`.
  package func write(basePlus scale: Double, times vector: [Double], into merged: MergedTensor) throws(StorageError) {
    let none = TensorGroup(info: info, format: format, base: base, members: [])
    try none.forEachChunk { chunk throws(StorageError) in
      for i in 0..<chunk.count { chunk.result[i] = chunk.base[i] + scale * vector[chunk.range.lowerBound + i] }
      try merged.writeResult(of: chunk)
    }
  }
}
