import ByteIO
import Factorization
import Parallel
import TensorKit

/// One tensor of a mix: the shared tensor and what experts add to it (TMP-7-4 to TMP-7-9).
///
/// Low-rank factors are added in one pass, where the tensor keeps its dtype. Other tensors are made a panel of elements
/// at a time, which stays in the cache from its widening to its rounding. Neither shows in the bits: every element's sum
/// is in the order of the addends.
struct TensorSum: Sendable {
  enum Addend: Sendable {
    case factor(WeightedFactor)
    /// weight · (own − shared)
    case difference(own: TensorBytes, weight: Float)
  }

  let shared: TensorBytes
  /// Of the shared tensor, and of the experts' own ones.
  let format: FloatFormat
  let addends: [Addend]

  /// About what a panel holds: half of a second-level cache.
  private static let panelBytes = 1 << 20

  /// Writes every element, rounded once to `output`: panels on all threads that are free, see `concurrently`.
  ///
  /// Memory: a panel a thread in binary32 (F64: binary64), or the right sides of the factors once more.
  func write(as output: FloatFormat, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    if format == output, MixedProduct.supports(format), let products {
      try write(MixedProduct(products), destination)
    } else if format == .f64 {
      try write(through: Double.self, output, destination)
    } else {
      try write(through: Float.self, output, destination)
    }
  }

  /// The addends, if all are low-rank factors and there is one.
  private var products: [LowRankProduct]? {
    var products: [LowRankProduct] = []
    for addend in addends {
      guard case .factor(let factor) = addend, let product = factor.product else { return nil }
      products.append(product)
    }
    return products.isEmpty ? nil : products
  }

  private func write(_ mixed: MixedProduct, _ destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    nonisolated(unsafe) let destination = destination
    let (shared, format) = (shared, format)
    let panel = mixed.rowCount(about: Self.panelBytes, format)
    let rowBytes = shared.count / mixed.rows
    try concurrently((mixed.rows + panel - 1) / panel) { index throws(StorageError) in
      let rows = index * panel..<min((index + 1) * panel, mixed.rows)
      let bytes = rows.lowerBound * rowBytes..<rows.upperBound * rowBytes
      try shared.withBytes { raw in
        mixed.add(
          to: UnsafeRawBufferPointer(rebasing: raw[bytes]), format,
          into: UnsafeMutableRawBufferPointer(rebasing: destination[bytes]), rows: rows)
      }
    }
  }

  private func write<Scalar: ReconstructionScalar>(
    through _: Scalar.Type, _ output: FloatFormat, _ destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let count = shared.count / format.byteWidth
    guard count > 0 else { return }
    let size = panelSize(count, MemoryLayout<Scalar>.size)
    nonisolated(unsafe) let destination = destination
    let sum = self
    try concurrently((count + size - 1) / size) { index throws(StorageError) in
      try sum.writePanel(index * size..<min((index + 1) * size, count), through: Scalar.self, output, destination)
    }
  }

  private func writePanel<Scalar: ReconstructionScalar>(
    _ elements: Range<Int>, through _: Scalar.Type, _ output: FloatFormat,
    _ destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let panel = UnsafeMutableBufferPointer<Scalar>.allocate(capacity: elements.count)
    defer { panel.deallocate() }
    try shared.withBytes { raw throws(StorageError) in
      let own = slice(raw, elements)
      format.widen(own, into: panel)
      for addend in addends {
        switch addend {
        case .factor(let factor): factor.add(to: panel, from: elements.lowerBound)
        case .difference(let bytes, let weight):
          try bytes.withBytes {
            Scalar.addDifference(slice($0, elements), own, format, weight: weight, to: panel)
          }
        }
      }
    }
    let bytes = elements.lowerBound * output.byteWidth..<elements.upperBound * output.byteWidth
    output.round(UnsafeBufferPointer(panel), into: UnsafeMutableRawBufferPointer(rebasing: destination[bytes]))
  }

  /// Elements of a panel.
  private func panelSize(_ count: Int, _ width: Int) -> Int {
    let granularity = addends.reduce(1) { granularity, addend in
      if case .factor(let factor) = addend { max(granularity, factor.granularity) } else { granularity }
    }
    return WeightedFactor.runLength(count, about: Self.panelBytes / width, granularity: granularity)
  }

  private func slice(_ bytes: UnsafeRawBufferPointer, _ elements: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      rebasing: bytes[elements.lowerBound * format.byteWidth..<elements.upperBound * format.byteWidth])
  }
}
