import TMPackByteIO
import TMPackFactors
import TMPackParallel
import TMPackTensorKit

/// What experts add to one shared tensor, ready for any run of its elements (TMP-7-4 to TMP-7-9).
///
/// Low-rank factors are added in one pass, where the tensor keeps its dtype. Other tensors are made a panel of elements
/// at a time, which stays in the cache from its widening to its rounding. Neither shows in the bits: every element's sum
/// is in the order of the addends.
package struct WeightedSum: Sendable {
  enum Addend: Sendable {
    case factor(WeightedFactor)
    /// weight · (own − shared)
    case difference(own: TensorBytes, weight: Float)
  }

  /// Of the shared tensor, and of the experts' own ones.
  package let format: FloatFormat
  /// What sums are rounded to.
  package let output: FloatFormat
  private let addends: [Addend]
  /// Of sums that are rounded to another dtype.
  private let overflows: OverflowCount?
  /// All addends together, where one kernel does them.
  private let product: MixedProduct?

  /// About what a panel holds: half of a second-level cache.
  private static let panelBytes = 1 << 20

  /// Memory: of low-rank factors, their right sides once more, which these keep.
  init(_ addends: [Addend], to format: FloatFormat, as output: FloatFormat, overflows: OverflowCount? = nil) {
    self.format = format
    self.output = output
    self.overflows = format == output ? nil : overflows
    self.addends = addends
    let products = format == output ? Self.products(addends) : nil
    product = products.flatMap { MixedProduct($0, for: format) }
  }

  /// The addends, if all are low-rank factors and there is one.
  private static func products(_ addends: [Addend]) -> [WeightedProduct]? {
    var products: [WeightedProduct] = []
    for addend in addends {
      guard case .factor(let factor) = addend, let product = factor.product else { return nil }
      products.append(product)
    }
    return products.isEmpty ? nil : products
  }

  /// Runs begin at multiples of this many elements, and end so or at the tensor's end.
  package var granularity: Int {
    addends.reduce(1) { granularity, addend in
      if case .factor(let factor) = addend {
        leastCommonMultiple(granularity, factor.granularity)
      } else {
        granularity
      }
    }
  }

  /// Elements of a run of a tensor of `count` of them, of which several may be written at the same time.
  package func runLength(_ count: Int) -> Int {
    if let product { return product.rowCount(about: Self.panelBytes) * product.columns }
    let width = format == .f64 ? 8 : 4
    return WeightedFactor.runLength(count, about: Self.panelBytes / width, granularity: granularity)
  }

  /// Writes all elements of a tensor, rounded once: runs on all threads that are free, see `concurrently`.
  ///
  /// Memory: a panel a thread in binary32 (F64: binary64).
  package func write(_ shared: TensorBytes, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let count = shared.count / format.byteWidth
    guard count > 0 else { return }
    let length = runLength(count)
    nonisolated(unsafe) let destination = destination
    let sum = self
    try concurrently((count + length - 1) / length) { index throws(StorageError) in
      let run = index * length..<min((index + 1) * length, count)
      let bytes = run.lowerBound * sum.output.byteWidth..<run.upperBound * sum.output.byteWidth
      try shared.withBytes { raw throws(StorageError) in
        try sum.write(
          run, shared: sum.slice(raw, run.lowerBound, run.count),
          into: UnsafeMutableRawBufferPointer(rebasing: destination[bytes]))
      }
    }
  }

  /// Writes the elements of a run, rounded once.
  ///
  /// Memory: a panel in binary32 (F64: binary64).
  /// - Parameters:
  ///   - shared: the shared tensor's elements of the run.
  ///   - destination: for those of the result.
  package func write(
    _ run: Range<Int>, shared: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    precondition(shared.count == run.count * format.byteWidth && destination.count == run.count * output.byteWidth)
    if let product {
      product.add(
        to: shared, into: destination,
        rows: run.lowerBound / product.columns..<(run.upperBound + product.columns - 1) / product.columns)
    } else if format == .f64 {
      try write(run, shared, through: Double.self, destination)
    } else {
      try write(run, shared, through: Float.self, destination)
    }
  }

  private func write<Scalar: ReconstructionScalar>(
    _ run: Range<Int>, _ shared: UnsafeRawBufferPointer, through _: Scalar.Type,
    _ destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    guard !run.isEmpty else { return }
    let length = min(run.count, runLength(run.upperBound))
    let room = UnsafeMutableBufferPointer<Scalar>.allocate(capacity: length)
    defer { room.deallocate() }
    for start in stride(from: run.lowerBound, to: run.upperBound, by: length) {
      let panel = UnsafeMutableBufferPointer(rebasing: room[..<min(length, run.upperBound - start)])
      let place = start - run.lowerBound
      let own = slice(shared, place, panel.count)
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
      let bytes = place * output.byteWidth..<(place + panel.count) * output.byteWidth
      output.round(UnsafeBufferPointer(panel), into: UnsafeMutableRawBufferPointer(rebasing: destination[bytes]))
      overflows?.add(ConversionFormat(output).overflowCount(of: UnsafeBufferPointer(panel)))
    }
  }

  private func slice(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[start * format.byteWidth..<(start + count) * format.byteWidth])
  }
}

/// Of positive numbers; the largest there is where it is beyond that.
func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
  var (x, y) = (a, b)
  while y != 0 { (x, y) = (y, x % y) }
  let (product, overflow) = (a / x).multipliedReportingOverflow(by: b)
  return overflow ? .max : product
}
