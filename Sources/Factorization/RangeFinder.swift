import TMPackCOpenBLAS
import TMPackFactors

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension SingularVectors {
  /// Through a random subspace that power iterations turn towards the leading left vectors.
  ///
  /// Halko, Martinsson and Tropp, “Finding structure with randomness” (SIAM Review 53, 2011), algorithms 4.4 and 5.1,
  /// with a fixed seed. The number of iterations is not fixed: they go on until the energy that the subspace
  /// captures stops growing.
  package init(rangeOf matrix: MatrixView, rank: Int, largest: Float) {
    // Far from 1, squares of float32 products would overflow or vanish. A power of two changes no digit.
    guard largest > 0x1p-40 && largest < 0x1p40 else {
      let exponent = Double(largest).exponent
      let factor = Double(sign: .plus, exponent: -Int(exponent), significand: 1)
      let copy = matrix.values.map { Float(Double($0) * factor) }
      self = copy.withUnsafeBufferPointer { values in
        Self(rangeOf: MatrixView(values, rows: matrix.rows, columns: matrix.columns), rank: rank, scale: 1 / factor)
      }
      return
    }
    self.init(rangeOf: matrix, rank: rank, scale: 1)
  }

  private init(rangeOf matrix: MatrixView, rank: Int, scale: Double) {
    BLAS.prepare()
    var finder = RangeFinder(matrix, dimension: min(rank + max(rank, 16), matrix.shortSide))
    var convergence = Convergence(total: matrix.energy())
    while true {
      var gram = finder.image.withView { $0.gram() }
      let dimension = finder.range.count
      let energies = SymmetricEigen.largestValues(dimension, of: gram, order: dimension)
      let count = min(rank, dimension)
      let filter = Filter(energies: energies)
      let isDone =
        finder.isExhausted
        || convergence.isReached(
          captured: energies.prefix(count).reduce(0, +), contraction: filter.contraction(at: energies[count - 1]),
          isSteep: filter.isSteep)
      guard isDone else {
        finder.apply(filter, imageGram: gram)
        continue
      }
      let mixing = SymmetricEigen.largest(count, of: &gram, order: dimension).vectors
      self.init(
        rows: matrix.rows, columns: matrix.columns,
        unitVectors: finder.range.withView { $0.multiplied(by: mixing, count: count) }, areLeft: true,
        scaledVectors: finder.image.withView { $0.multiplied(by: mixing, count: count) }, scale: scale)
      return
    }
  }
}

/// Decides when more power iterations would not pay.
private struct Convergence {
  /// ‖A‖².
  package let total: Double
  private var captured: [Double] = []

  /// How much larger than the best the error may be, relative to it.
  private static let excess = 1e-4
  /// A relative error that is as good as none.
  private static let negligible = 3e-5
  private static let maximumIterations = 16

  init(total: Double) { self.total = total }

  /// - Parameters:
  ///   - captured: what of `total` the best approximation within the subspace keeps.
  ///   - contraction: by how much an iteration shrinks what is missing of the wanted energy that converges last.
  ///   - isSteep: whether that is to be trusted: energies of a flat spectrum seem farther apart at first than they are.
  mutating func isReached(captured energy: Double, contraction: Double, isSteep: Bool) -> Bool {
    captured.append(energy)
    let lost = total - energy
    if lost <= Self.negligible * Self.negligible * total { return true }
    guard captured.count > 1 else { return false }
    if captured.count > Self.maximumIterations { return true }
    let gain = captured[captured.count - 1] - captured[captured.count - 2]
    guard captured.count > 2 else { return isSteep && isEnough(gain, contraction, lost) }
    // The gains shrink geometrically, more slowly as they go on. The last two may still be those of a few dominant
    // directions, which converge at once and say nothing of the others: hence the second bound.
    let before = captured[captured.count - 2] - captured[captured.count - 3]
    guard gain > 0, before > 0 else { return true }
    return isEnough(gain, min(max(gain / before, contraction), 0.95), lost)
  }

  /// Whether what is still to be gained does not matter, when each gain is `ratio` times the one before.
  private func isEnough(_ gain: Double, _ ratio: Double, _ lost: Double) -> Bool {
    // The error is the root of what is lost.
    gain * ratio / (1 - ratio) <= max(2 * Self.excess * lost, Self.negligible * Self.negligible * total)
  }
}

/// Orthonormal vectors and their products with a matrix.
private struct RangeFinder {
  package let matrix: MatrixView
  /// Orthonormal rows of length `matrix.rows`.
  package private(set) var range: RowVectors
  /// `range` times the matrix: rows of length `matrix.columns`.
  private(set) var image: RowVectors

  /// How many vectors there were at first.
  private let dimension: Int

  /// Whether vectors were dropped as rounding noise, so that the range holds all of the matrix above it.
  ///
  /// There is nothing left to find then, and looking on would do harm: the last captured energy, which a filter
  /// pushes down, is no longer one to spare but one that is wanted. The energies themselves cannot tell, since what
  /// they lack of the total is rounding error of either sign.
  var isExhausted: Bool { range.count < dimension }

  init(_ matrix: MatrixView, dimension: Int) {
    self.matrix = matrix
    self.dimension = dimension
    var random = RandomBits(seed: 0x746D_7061_636B)
    let probes = RowVectors(random.signs(dimension * matrix.columns), count: dimension, length: matrix.columns)
    range = probes.timesTransposed(matrix)
    range.orthonormalize()
    image = range.times(matrix)
  }

  /// Turns the range towards the leading vectors.
  /// - Parameter imageGram: the Gram matrix of `image`.
  mutating func apply(_ filter: Filter, imageGram: [Double]) {
    if filter.degree < 1 {
      image.orthonormalize(gram: imageGram)
      range = image.timesTransposed(matrix)
    } else {
      var before = range
      range = image.timesTransposed(matrix)
      range.combine(Float(2 / filter.edge), before, -1)
      for _ in 1..<filter.degree {
        var next = range.times(matrix).timesTransposed(matrix)
        next.combine(Float(4 / filter.edge), range, -2)
        next.combine(1, before, -1)
        (before, range) = (range, next)
      }
    }
    range.orthonormalize()
    image = range.times(matrix)
  }
}

/// The polynomial of A Aᵀ that an iteration applies.
///
/// A steep spectrum gets a power iteration, with a change of basis after each half of it so that small singular values
/// do not drown in the rounding errors of large ones. A flat one, where that would converge slowly, gets the Chebyshev
/// polynomial that is at most 1 below the last captured energy and grows as fast as any can above it (Zhou, Saad, Tiago
/// and Chelikowsky, 2006); of degree 1 it is a shifted power iteration.
private struct Filter {
  /// The last captured energy: what is below is not wanted.
  let edge: Double
  /// Of the Chebyshev polynomial; 0 for a power iteration.
  let degree: Int

  private static let maximumDegree = 4.0
  /// How much more the largest energy may be amplified than the smallest before float32 loses the latter.
  private static let maximumSpread = 1e5

  /// - Parameter energies: those that the range captures, descending.
  init(energies: [Double]) {
    edge = energies.last!
    degree =
      edge > 0
      ? Int(min(Self.maximumDegree, log(2 * Self.maximumSpread) / Self.growth(energies[0] / edge))) : 0
  }

  /// The polynomial's value at an energy is cosh(degree · growth).
  private static func growth(_ relativeEnergy: Double) -> Double { acosh(max(1, 2 * relativeEnergy - 1)) }

  var isSteep: Bool { degree <= 1 }

  /// By how much an iteration shrinks what is missing of an energy that is wanted, at least.
  func contraction(at energy: Double) -> Double {
    guard edge > 0 else { return 0 }
    let amplification = degree < 1 ? energy / edge : cosh(Double(degree) * Self.growth(energy / edge))
    return 1 / (amplification * amplification)
  }
}

extension RowVectors {
  /// X A.
  fileprivate func times(_ matrix: MatrixView) -> RowVectors {
    precondition(length == matrix.rows)
    return product(with: matrix, CblasNoTrans, length: matrix.columns)
  }

  /// X Aᵀ.
  fileprivate func timesTransposed(_ matrix: MatrixView) -> RowVectors {
    precondition(length == matrix.columns)
    return product(with: matrix, CblasTrans, length: matrix.rows)
  }

  /// X becomes a · X + b · Y.
  fileprivate mutating func combine(_ a: Float, _ other: RowVectors, _ b: Float) {
    cblas_saxpby(Int32(values.count), b, other.values, 1, a, &values, 1)
  }

  private func product(with matrix: MatrixView, _ transposed: CBLAS_TRANSPOSE, length newLength: Int) -> RowVectors {
    let products = [Float](unsafeUninitializedCapacity: count * newLength) { result, initialized in
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, transposed, Int32(count), Int32(newLength), Int32(length), 1, values,
        Int32(length), matrix.base, Int32(matrix.columns), 0, result.baseAddress, Int32(newLength))
      initialized = count * newLength
    }
    return RowVectors(products, count: count, length: newLength)
  }
}
