import TMPackTensorKit

/// A factor times a router weight, ready to be added to its tensor a run of elements at a time.
///
/// Runs may be added in any order and from several threads: what each element becomes does not depend on it.
package struct WeightedFactor: Sendable {
  private enum Form: Sendable {
    case product(WeightedProduct)
    case sparse(SparseElements, gain: Float)
    case dense(DenseFactor)
    case quantizedDense(QuantizedDenseFactor)
    /// The one, then the other.
    case layered(WeightedProduct, residual: QuantizedDenseFactor)
    case masked(MaskedFactor)
    /// nil for matrices to which nothing is added.
    indirect case stack(MatrixStack, [WeightedFactor?])
  }

  private let form: Form
  private let weight: Float

  /// - Complexity: see `PreparedFactor`.
  package init(_ factor: Factor, weight: Float) { self.init(PreparedFactor(factor), weight: weight) }

  /// - Complexity: of a low-rank factor, holds rank · rows floats more.
  package init(_ factor: PreparedFactor, weight: Float) {
    self.weight = weight
    form =
      switch factor.form {
      case .product(let product): .product(product.weighted(weight))
      case .layered(let product, let residual): .layered(product.weighted(weight), residual: residual)
      case .sparse(let elements): .sparse(elements, gain: weight * elements.scale)
      case .dense(let factor): .dense(factor)
      case .quantizedDense(let factor): .quantizedDense(factor)
      case .masked(let factor): .masked(factor)
      case .stack(let stack, let matrices):
        .stack(stack, matrices.map { $0.map { WeightedFactor($0, weight: weight) } })
      }
  }

  /// The factor as a product; nil for one that is not of low rank.
  package var product: WeightedProduct? { if case .product(let product) = form { product } else { nil } }

  /// A good length for runs of a tensor of `count` elements: about `target`, and as many rows as the kernels like to
  /// work on at once, an even number, so that runs begin where any factor allows.
  package static func runLength(_ count: Int, about target: Int, granularity: Int) -> Int {
    let (step, overflow) = granularity.multipliedReportingOverflow(by: 12)
    return overflow ? count : min(count, max(1, target / step) * step)
  }

  /// Runs begin at multiples of this many elements, and end so or at the tensor's end.
  package var granularity: Int {
    switch form {
    case .product(let product), .layered(let product, _): product.columns
    case .sparse, .quantizedDense, .masked: 1
    case .dense: 2  // Nibbles stay paired.
    case .stack(let stack, _): stack.rowStride
    }
  }

  /// Adds the elements from `start` on to `run`.
  package func add<Scalar: FactorAccumulator>(
    to run: UnsafeMutableBufferPointer<Scalar>, from start: Int, using isa: InstructionSet = .best
  ) {
    guard let target = run.baseAddress, !run.isEmpty else { return }
    precondition(start.isMultiple(of: granularity), "a run begins where the factor allows")
    switch form {
    case .product(let product): product.add(to: run, from: start, using: isa)
    case .layered(let product, let residual):
      product.add(to: run, from: start, using: isa)
      residual.accumulate(weight: weight, into: run, from: start, using: isa)
    case .sparse(let elements, let gain):
      let (positions, values) = (elements.positions, elements.values)
      let begin = positions.partitioningIndex { $0 >= start }
      let end = positions.partitioningIndex { $0 >= start + run.count }
      guard begin < end else { return }
      withUnsafeTemporaryAllocation(of: Int.self, capacity: min(end - begin, 2048)) { places in
        values.withUnsafeBufferPointer { values in
          for first in stride(from: begin, to: end, by: places.count) {
            let size = min(places.count, end - first)
            for i in 0..<size { places[i] = positions[first + i] - start }
            Scalar.accumulateSparse(
              isa, target, places.baseAddress!, values.baseAddress! + first, count: size, gain: gain)
          }
        }
      }
    case .dense(let factor): factor.accumulate(weight: weight, into: run, from: start, using: isa)
    case .quantizedDense(let factor): factor.accumulate(weight: weight, into: run, from: start, using: isa)
    case .masked(let factor): factor.accumulate(weight: weight, into: run, from: start, using: isa)
    case .stack(let stack, let matrices): stack.add(matrices, to: run, from: start, using: isa)
    }
  }
}

extension MatrixStack {
  /// Adds the elements from `start` on, whole rows of all matrices that lie side by side.
  fileprivate func add<Scalar: FactorAccumulator>(
    _ matrices: [WeightedFactor?], to run: UnsafeMutableBufferPointer<Scalar>, from start: Int,
    using isa: InstructionSet
  ) {
    var place = start
    let end = start + run.count
    while place < end {
      let (block, row) = (place / rowStride / rows, place / rowStride % rows)
      let count = min(rows - row, (end - place) / rowStride)
      let part = UnsafeMutableBufferPointer(rebasing: run[place - start..<place - start + count * rowStride])
      for number in block * abreast..<(block + 1) * abreast {
        guard let matrix = matrices[number] else { continue }
        if isContiguous {
          matrix.add(to: part, from: row * columns, using: isa)
        } else {
          withUnsafeTemporaryAllocation(of: Scalar.self, capacity: columns) { line in
            for i in 0..<count {
              let first = rowStart(i, of: number)
              for j in 0..<columns { line[j] = part[first + j * inner] }
              matrix.add(to: line, from: (row + i) * columns, using: isa)
              for j in 0..<columns { part[first + j * inner] = line[j] }
            }
          }
        }
      }
      place += count * rowStride
    }
  }
}
