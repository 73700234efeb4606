import ByteIO
import Factorization
import TensorKit

/// One tensor of a mix: the shared tensor and what experts add to it (TMP-7-4 to TMP-7-9).
///
/// Low-rank factors are added in one pass, where the tensor keeps its dtype. Other tensors are made a panel of elements
/// at a time, which stays in the cache from its widening to its rounding. Neither shows in the bits: every element's sum
/// is in the order of the addends.
struct TensorSum {
  enum Addend {
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

  /// Writes every element, rounded once to `output`.
  ///
  /// Memory: a panel in binary32 (F64: binary64), or the right sides of the factors once more.
  func write(as output: FloatFormat, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    if format == output, MixedProduct.supports(format), let products {
      let mixed = MixedProduct(products)
      try shared.withBytes { mixed.add(to: $0, format, into: destination) }
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

  private func write<Scalar: ReconstructionScalar>(
    through _: Scalar.Type, _ output: FloatFormat, _ destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let count = shared.count / format.byteWidth
    let size = panelSize(count, MemoryLayout<Scalar>.size)
    let room = UnsafeMutableBufferPointer<Scalar>.allocate(capacity: size)
    defer { room.deallocate() }
    try shared.withBytes { raw throws(StorageError) in
      for start in stride(from: 0, to: count, by: size) {
        let panel = UnsafeMutableBufferPointer(rebasing: room[..<min(size, count - start)])
        let own = slice(raw, start, panel.count)
        format.widen(own, into: panel)
        for addend in addends {
          switch addend {
          case .factor(let factor): factor.add(to: panel, from: start)
          case .difference(let bytes, let weight):
            try bytes.withBytes {
              Scalar.addDifference(slice($0, start, panel.count), own, format, weight: weight, to: panel)
            }
          }
        }
        let bytes = start * output.byteWidth..<(start + panel.count) * output.byteWidth
        output.round(UnsafeBufferPointer(panel), into: UnsafeMutableRawBufferPointer(rebasing: destination[bytes]))
      }
    }
  }

  /// Elements of a panel.
  private func panelSize(_ count: Int, _ width: Int) -> Int {
    let granularity = addends.reduce(1) { granularity, addend in
      if case .factor(let factor) = addend { max(granularity, factor.granularity) } else { granularity }
    }
    return WeightedFactor.runLength(count, about: Self.panelBytes / width, granularity: granularity)
  }

  private func slice(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[start * format.byteWidth..<(start + count) * format.byteWidth])
  }
}
