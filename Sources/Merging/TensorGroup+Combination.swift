import TMPackByteIO

/// From where an expert's elements are seen as a vector.
package enum VectorOrigin: String, CaseIterable {
  /// The elements themselves.
  case zero
  /// The task vector.
  case base
}

extension MergeSetting {
  static let originName = "origin"

  static func origin(default value: VectorOrigin) -> MergeSetting {
    MergeSetting(
      originName, .choice(VectorOrigin.allCases.map(\.rawValue)), default: value.rawValue,
      "whether directions are those of the tensors or of the task vectors")
  }
}

extension MergeSettings {
  func origin() -> VectorOrigin { VectorOrigin(rawValue: choice("origin"))! }
}

extension TensorGroup {
  func forEachChunk(
    from origin: VectorOrigin, ofMultiple multiple: Int = 1, _ body: (Chunk) throws(StorageError) -> Void
  ) throws(StorageError) {
    switch origin {
    case .zero: try forEachChunk(ofMultiple: multiple, body)
    case .base: try forEachTaskVectorChunk(ofMultiple: multiple, body)
    }
  }

  /// The inner products of the members' vectors, and of the base as one more after them if it is asked for.
  ///
  /// - Throws: `nonFinite` for an expert or a base whose length is not a number below 10¹⁵⁴.
  func innerProducts(
    from origin: VectorOrigin, withBase: Bool = false
  ) throws(StorageError) -> InnerProducts {
    var products = InnerProducts(count: members.count + (withBase ? 1 : 0))
    try forEachChunk(from: origin) { chunk throws(StorageError) in
      var parts = chunk.members.map { UnsafeBufferPointer($0) }
      if withBase { parts.append(chunk.base) }
      products.add(parts)
    }
    try check(products)
    return products
  }

  /// Throws `nonFinite`, naming the expert and its file.
  package func check(_ products: InnerProducts) throws(StorageError) {
    for i in 0..<products.count where !products[i, i].isFinite {
      let expert = i < members.count ? members[i].expert : nil
      throw StorageError(
        .nonFinite, "has elements that are not finite, or too large to be squared",
        file: (expert?.source ?? base.source).label, expert: expert?.name)
    }
  }

  /// Writes Σ wₖ xₖ, plus the base if that is where the vectors begin; or else `baseWeight` times the base.
  func write(
    sumWeightedBy weights: [Double], from origin: VectorOrigin, baseWeight: Double = 0, into merged: MergedTensor
  ) throws(StorageError) {
    let scale = origin == .base ? 1 : baseWeight
    try forEachChunk(from: origin) { chunk throws(StorageError) in
      chunk.result.setToWeightedSum(of: chunk.members, weights)
      if scale != 0 { chunk.result.add(chunk.base, scaledBy: scale) }
      try merged.writeResult(of: chunk)
    }
  }
}

extension PerExpert<Double> {
  /// The members' weights, and what to divide a sum with them by.
  ///
  /// - Returns: a divisor of 1 when they are not to be divided by their sum.
  /// - Throws: `invalidArgument` for a sum of 0.
  func weighting(
    of group: TensorGroup, dividing isDivided: Bool
  ) throws(StorageError) -> (weights: [Double], divisor: Double) {
    let weights = group.names.map { self[$0] }
    guard isDivided else { return (weights, 1) }
    let total = weights.reduce(0, +)
    guard total != 0 else {
      throw StorageError(.invalidArgument, "the weights of the experts that hold it have the sum 0")
    }
    return (weights, total)
  }

  /// The members' weights, divided by their sum if wanted.
  package func weights(of group: TensorGroup, normalized: Bool) throws(StorageError) -> [Double] {
    let (weights, divisor) = try weighting(of: group, dividing: normalized)
    return weights.map { $0 / divisor }
  }
}
