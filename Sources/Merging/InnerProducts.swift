import TMPackCKernels

/// The inner products of a few long vectors, gathered some elements at a time.
///
/// What depends on lengths and angles alone follows from them: the vectors need be read twice, and never held.
package struct InnerProducts {
  package let count: Int
  /// ⟨xᵢ, xⱼ⟩ at i · count + j, for i ≤ j.
  private var sums: [Double]

  init(count: Int) {
    self.count = count
    sums = [Double](repeating: 0, count: count * count)
  }

  subscript(i: Int, j: Int) -> Double { sums[min(i, j) * count + max(i, j)] }

  /// ‖xᵢ‖
  package func norm(_ i: Int) -> Double { self[i, i].squareRoot() }

  /// The norm of Σ cᵢ xᵢ. What rounding makes negative under the root is 0.
  package func norm(ofSum coefficients: [Double]) -> Double {
    var sum = 0.0
    for i in 0..<count {
      for j in 0..<count { sum += coefficients[i] * coefficients[j] * self[i, j] }
    }
    return max(0, sum).squareRoot()
  }

  /// cos ∠(xᵢ, xⱼ); 0 where a vector is zero.
  package func cosine(_ i: Int, _ j: Int) -> Double {
    let lengths = norm(i) * norm(j)
    return lengths > 0 ? max(-1, min(1, self[i, j] / lengths)) : 0
  }

  /// Takes in more elements, the same ones of each vector.
  package mutating func add(_ parts: [UnsafeBufferPointer<Double>]) {
    precondition(parts.count == count)
    // A block of every vector stays in the cache while all pairs are formed.
    let length = parts.first?.count ?? 0
    for begin in stride(from: 0, to: length, by: 1024) {
      let block = begin..<min(begin + 1024, length)
      for i in 0..<count {
        for j in i..<count {
          sums[i * count + j] += dotProduct(
            UnsafeBufferPointer(rebasing: parts[i][block]), UnsafeBufferPointer(rebasing: parts[j][block]))
        }
      }
    }
  }
}

/// Σ aᵢ bᵢ in sixteen running sums, which is the same on every processor.
func dotProduct(_ a: UnsafeBufferPointer<Double>, _ b: UnsafeBufferPointer<Double>) -> Double {
  precondition(a.count == b.count)
  guard let x = a.baseAddress, let y = b.baseAddress else { return 0 }
  let whole = a.count / 16 * 16
  var lanes = SIMD8<Double>.zero
  withUnsafeMutableBytes(of: &lanes) {
    tmpack_inner_product(tmpack_best_isa(), x, y, whole, $0.baseAddress!.assumingMemoryBound(to: Double.self))
  }
  var sum = lanes.sum()
  for i in whole..<a.count { sum += a[i] * b[i] }
  return sum
}
