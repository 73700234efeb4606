/// The leading singular triplets of a matrix: A ≈ Σₖ σₖ · leftₖ · rightₖᵀ.
package struct SingularVectors: Sendable, Hashable {
  /// Length of a left vector.
  package let rows: Int
  /// Length of a right vector.
  package let columns: Int
  /// Not negative, descending but where directions are weighed. Doubles, since they may be beyond what the matrix's float32 can hold.
  package let singularValues: [Double]
  /// Unit vectors of length `rows`, one after another.
  package let left: [Float]
  /// Unit vectors of length `columns`, one after another.
  package let right: [Float]

  /// Triplets that are known already.
  package init(rows: Int, columns: Int, singularValues: [Double], left: [Float], right: [Float]) {
    precondition(left.count == rows * singularValues.count && right.count == columns * singularValues.count)
    self.rows = rows
    self.columns = columns
    self.singularValues = singularValues
    self.left = left
    self.right = right
  }

  /// How many triplets there are; at least 1.
  package var rank: Int { singularValues.count }
}

extension SingularVectors {
  /// What a triplet's value must exceed, relative to the largest one's, to be told from rounding noise.
  private static let noise = 0x1p-22

  /// From vectors of one side, orthonormal, and of the other, each still multiplied by its singular value.
  ///
  /// Triplets lost in rounding noise are left out, all but the first. Each sign is fixed: the entry of the left vector
  /// that is the largest in magnitude, the first of equals, is positive. So the bytes that follow do not depend on
  /// LAPACK's choice.
  /// - Parameter scale: what to multiply the singular values by.
  package init(
    rows: Int, columns: Int, unitVectors: [Double], areLeft: Bool, scaledVectors: [Double], scale: Double
  ) {
    let unitLength = areLeft ? rows : columns
    let scaledLength = areLeft ? columns : rows
    let count = scaledVectors.count / scaledLength
    let norms = (0..<count).map { k in norm(scaledVectors[k * scaledLength..<(k + 1) * scaledLength]) }
    let largest = norms.max() ?? 0
    guard largest > 0 else {
      self.init(zeroOfRows: rows, columns: columns)
      return
    }
    // Sorted by the values as computed last, which in the noise may be in another order than LAPACK's.
    let order = (0..<count).filter { norms[$0] > Self.noise * largest }
      .sorted { (norms[$1], $0) < (norms[$0], $1) }

    var unit: [Float] = []
    var scaled: [Float] = []
    unit.reserveCapacity(order.count * unitLength)
    scaled.reserveCapacity(order.count * scaledLength)
    for k in order {
      let one = unitVectors[k * unitLength..<(k + 1) * unitLength]
      let other = scaledVectors[k * scaledLength..<(k + 1) * scaledLength]
      let sign: Double = signOfLargest(areLeft ? one : other)
      let factor = sign / norms[k]
      for value in one { unit.append(Float(value * sign)) }
      for value in other { scaled.append(Float(value * factor)) }
    }
    self.init(
      rows: rows, columns: columns, singularValues: order.map { norms[$0] * scale },
      left: areLeft ? unit : scaled, right: areLeft ? scaled : unit)
  }

  /// The zero matrix, whose one triplet is arbitrary.
  package init(zeroOfRows rows: Int, columns: Int) {
    var left = [Float](repeating: 0, count: rows)
    var right = [Float](repeating: 0, count: columns)
    left[0] = 1
    right[0] = 1
    self.init(rows: rows, columns: columns, singularValues: [0], left: left, right: right)
  }
}

private func norm(_ vector: ArraySlice<Double>) -> Double {
  vector.withUnsafeBufferPointer { values in
    var sum = 0.0
    for value in values { sum += value * value }
    return sum.squareRoot()
  }
}

private func signOfLargest(_ vector: ArraySlice<Double>) -> Double {
  var largest = 0.0
  for value in vector where value.magnitude > largest.magnitude { largest = value }
  return largest < 0 ? -1 : 1
}
