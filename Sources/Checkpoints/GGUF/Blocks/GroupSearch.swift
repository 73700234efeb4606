/// Scales for groups of elements that lose little: what `quantize_row_q4_K_ref` and its like of ggml-quants.c search for, by the same
/// sums in the same order, so that the bits are ggml's.
enum GroupSearch {
  /// Below this a group is all zeros.
  static let least: Float = 1e-15

  /// To the nearest, halves to even; what is far beyond all quants to one that is, too.
  @inline(__always)
  static func nearest(_ value: Float) -> Int32 {
    let bound: Float = 4_194_304
    if value.magnitude < bound { return Int32(value.rounded(.toNearestOrEven)) }
    return value.isNaN ? 0 : value > 0 ? 4_194_304 : -4_194_304
  }

  /// How a group was rounded: q = (x − least) · inverse.
  struct Rounding {
    var inverse: Float = 0
    var least: Float = 0

    /// From `low` to `high`.
    @inline(__always)
    func quant(_ value: Float, from low: Int32, to high: Int32) -> Int32 {
      max(low, min(high, GroupSearch.nearest(inverse * (value - least))))
    }
  }

  /// x ≈ scale · q − minimum with q from 0 to `most`: least squares for each of several ways to round, the best of which counts.
  ///
  /// - Parameters:
  ///   - weights: of the squares.
  ///   - first, step, count: of what is added to `most` when x is rounded.
  static func scaleAndMinimum(
    _ x: UnsafePointer<Float>, weights: UnsafePointer<Float>, elements n: Int, most: Int32,
    first: Float, step: Float, count: Int
  ) -> (scale: Float, minimum: Float, rounding: Rounding) {
    var (low, high) = (x[0], x[0])
    var sumOfWeights = weights[0]
    var sum = weights[0] * x[0]
    for i in 1..<n {
      if x[i] < low { low = x[i] }
      if x[i] > high { high = x[i] }
      sumOfWeights += weights[i]
      sum += weights[i] * x[i]
    }
    if low > 0 { low = 0 }
    guard high != low else { return (0, -low, Rounding()) }
    let most32 = Float(most)
    @inline(__always) func quant(_ value: Float, _ rounding: Rounding) -> Float {
      Float(rounding.quant(value, from: 0, to: most))
    }
    var bestRounding = Rounding(inverse: most32 / (high - low), least: low)
    var scale = 1 / bestRounding.inverse
    var minimum = low
    var best: Float = 0
    for i in 0..<n {
      let difference = scale * quant(x[i], bestRounding) + minimum - x[i]
      best += weights[i] * (difference * difference)
    }
    // Later ways to round begin at the least element of the best so far.
    for way in 0...count {
      let rounding = Rounding(
        inverse: (first + step * Float(way) + most32) / (high - minimum), least: minimum)
      var (sumOfQuants, sumOfSquares, sumOfProducts): (Float, Float, Float) = (0, 0, 0)
      for i in 0..<n {
        let q = quant(x[i], rounding)
        let weight = weights[i]
        sumOfQuants += weight * q
        sumOfSquares += weight * q * q
        sumOfProducts += weight * q * x[i]
      }
      let determinant = sumOfWeights * sumOfSquares - sumOfQuants * sumOfQuants
      guard determinant > 0 else { continue }
      var ownScale = (sumOfWeights * sumOfProducts - sum * sumOfQuants) / determinant
      var ownMinimum = (sumOfSquares * sum - sumOfQuants * sumOfProducts) / determinant
      if ownMinimum > 0 {
        ownMinimum = 0
        ownScale = sumOfProducts / sumOfSquares
      }
      var error: Float = 0
      for i in 0..<n {
        let difference = ownScale * quant(x[i], rounding) + ownMinimum - x[i]
        error += weights[i] * (difference * difference)
      }
      if error < best {
        best = error
        scale = ownScale
        minimum = ownMinimum
        bestRounding = rounding
      }
    }
    return (scale, -minimum, bestRounding)
  }

  /// x ≈ scale · q with q from −`most` to `most` − 1.
  ///
  /// - Parameter weights: of the squares; nil for x².
  static func scale(
    _ x: UnsafePointer<Float>, weights: UnsafePointer<Float>? = nil, elements n: Int, most: Int32
  ) -> (scale: Float, rounding: Rounding) {
    var extreme: Float = 0
    for i in 0..<n where x[i].magnitude > extreme.magnitude { extreme = x[i] }
    guard extreme.magnitude >= least else { return (0, Rounding()) }
    func sums(_ inverse: Float) -> (products: Float, squares: Float) {
      var (products, squares): (Float, Float) = (0, 0)
      for i in 0..<n {
        let q = Float(max(-most, min(most - 1, nearest(inverse * x[i]))))
        let weight = weights.map { $0[i] } ?? x[i] * x[i]
        products += weight * x[i] * q
        squares += weight * q * q
      }
      return (products, squares)
    }
    var rounding = Rounding(inverse: Float(-most) / extreme)
    let first = sums(rounding.inverse)
    var scale = first.squares != 0 ? first.products / first.squares : 0
    var best = scale * first.products
    for way in -9...9 where way != 0 {
      let inverse = -(Float(most) + 0.1 * Float(way)) / extreme
      let own = sums(inverse)
      if own.squares > 0, own.products * own.products > best * own.squares {
        scale = own.products / own.squares
        best = scale * own.products
        rounding.inverse = inverse
      }
    }
    return (scale, rounding)
  }

  /// x ≈ scale · q with q from 0 to `most`, of numbers that are not negative: a search for the scale, then for each q by itself.
  static func scaleOfPositive(_ x: [Float], weights: [Float], most: Int32) -> (scale: Float, quants: [UInt8]) {
    let largest = x.reduce(0) { $1 > $0 ? $1 : $0 }
    guard largest >= least else { return (0, x.map { _ in 0 }) }
    let most32 = Float(most)
    func loss(_ inverse: Float) -> Float {
      var sum: Float = 0
      for i in x.indices {
        let difference = x[i] - 1 / inverse * Float(min(most, nearest(inverse * x[i])))
        sum += weights[i] * difference * difference
      }
      return sum
    }
    var inverse = most32 / largest
    var best = loss(inverse)
    for way in -4...4 where way != 0 {
      let own = (0.1 * Float(way) + most32) / largest
      let error = loss(own)
      if error < best { (best, inverse) = (error, own) }
    }
    var quants = x.map { Float(max(0, min(most, nearest(inverse * $0)))) }
    var (products, squares): (Float, Float) = (0, 0)
    for i in x.indices {
      products += weights[i] * x[i] * quants[i]
      squares += weights[i] * quants[i] * quants[i]
    }
    for _ in 0..<5 {
      var isSettled = true
      for i in x.indices {
        var own = products - weights[i] * x[i] * quants[i]
        var ownSquares = squares - weights[i] * quants[i] * quants[i]
        guard own > 0, ownSquares > 0 else { continue }
        let quant = Float(max(0, min(most, nearest(x[i] * ownSquares / own))))
        guard quant != quants[i] else { continue }
        own += weights[i] * x[i] * quant
        ownSquares += weights[i] * quant * quant
        if own * own * squares > products * products * ownSquares {
          (quants[i], products, squares) = (quant, own, ownSquares)
          isSettled = false
        }
      }
      if isSettled { break }
    }
    return (squares > 0 ? products / squares : 0, quants.map { UInt8($0) })
  }
}
