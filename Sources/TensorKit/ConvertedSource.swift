import ByteIO
import Synchronization

/// What becomes of a number that is too large for the format that it is converted to. Infinities and NaN in the source
/// are no overflow: they stay what they are.
public enum Overflow: String, Sendable, CaseIterable {
  /// Infinity, as IEEE 754 rounds.
  case infinity
  /// The largest number of its sign.
  case saturate
  /// `nonFinite`, naming the tensor.
  case error
}

/// Another source with its floating-point tensors (f64, f32, f16, bf16) in one format; the rest is as it was.
///
/// Each value is rounded once, to nearest even.
public struct ConvertedSource: TensorSource {
  public let tensors: [TensorInfo]
  private let overflow: Overflow
  private let overflows = OverflowCount()
  private let source: any TensorSource
  private let format: FloatFormat
  /// The source's infos, in the order of `tensors`.
  private let originals: [TensorInfo]

  public init(
    _ source: any TensorSource, to format: FloatFormat, overflow: Overflow = .infinity
  ) throws(StorageError) {
    self.overflow = overflow
    originals = source.tensors
    tensors = try originals.map { info throws(StorageError) in
      guard info.dtype.floatFormat != nil else { return info }
      return try TensorInfo(name: info.name, dtype: format.dtype, shape: info.shape)
    }
    self.source = source
    self.format = format
  }

  public var metadata: [String: String] { source.metadata }
  public var label: String { source.label }
  public var ties: [String: String] { source.ties }
  public var notes: [String] { source.notes }

  /// Numbers that were too large, in all tensors that have been read so far, each time that they were.
  public var overflowCount: Int { overflows.total.load(ordering: .relaxed) }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let original = originals[tensors.index(ofTensor: info.name)!]
    guard let from = original.dtype.floatFormat, from != format else {
      return try source.read(original, into: destination)
    }
    let count = try source.bytes(of: original).withBytes { bytes in
      from.convert(bytes, to: format, saturating: overflow == .saturate, into: destination)
    }
    guard count > 0 else { return }
    guard overflow != .error else {
      throw StorageError(
        .nonFinite, "\(count) numbers are too large for \(format.dtype.rawValue)", file: label, tensor: info.name)
    }
    overflows.total.add(count, ordering: .relaxed)
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let original = originals[tensors.index(ofTensor: info.name)!]
    // Unchanged tensors keep their views.
    if original.dtype == info.dtype { return try source.bytes(of: original) }
    return try TensorBytes(count: info.byteCount) { memory throws(StorageError) in try read(info, into: memory) }
  }
}

private final class OverflowCount: Sendable {
  let total = Atomic(0)
}

extension FloatFormat {
  /// Converts packed elements of this format to another, each rounded once to nearest even.
  ///
  /// - Parameter saturating: whether what is too large becomes the largest number instead of infinity.
  /// - Returns: how many numbers were too large.
  /// - Precondition: both hold the same number of elements.
  @discardableResult
  public func convert(
    _ bytes: UnsafeRawBufferPointer, to target: FloatFormat, saturating: Bool = false,
    into destination: UnsafeMutableRawBufferPointer
  ) -> Int {
    // f64 needs `Double` on the way; everything else is exact in `Float`, which is quicker.
    if self == .f64 {
      convert(bytes, to: target, saturating, into: destination, through: Double.self)
    } else {
      convert(bytes, to: target, saturating, into: destination, through: Float.self)
    }
  }

  private func convert<Scalar: Accumulator>(
    _ bytes: UnsafeRawBufferPointer, to target: FloatFormat, _ saturating: Bool,
    into destination: UnsafeMutableRawBufferPointer, through _: Scalar.Type
  ) -> Int {
    let count = bytes.count / byteWidth
    precondition(destination.count == count * target.byteWidth, "one element for each element")
    // A block's values stay in the first-level cache.
    let block = 2048
    var overflows = 0
    withUnsafeTemporaryAllocation(of: Scalar.self, capacity: block) { values in
      for start in stride(from: 0, to: count, by: block) {
        let length = min(block, count - start)
        let values = UnsafeMutableBufferPointer(rebasing: values[..<length])
        let from = start * byteWidth..<(start + length) * byteWidth
        let into = start * target.byteWidth..<(start + length) * target.byteWidth
        widen(UnsafeRawBufferPointer(rebasing: bytes[from]), into: values)
        let rounded = UnsafeMutableRawBufferPointer(rebasing: destination[into])
        target.round(UnsafeBufferPointer(values), into: rounded)
        if target.largest < largest {
          overflows += target.settle(UnsafeBufferPointer(values), rounded, saturating)
        }
      }
    }
    return overflows
  }

  /// The largest number.
  private var largest: Double {
    switch self {
    case .f64: .greatestFiniteMagnitude
    case .f32: Double(Float.greatestFiniteMagnitude)
    case .f16: 65504
    case .bf16: Double(BFloat16.float(bits: 0x7F7F))
    }
  }

  /// Counts the finite values that were rounded to infinity, and makes them the largest number if that is wanted.
  private func settle<Scalar: Accumulator>(
    _ values: UnsafeBufferPointer<Scalar>, _ rounded: UnsafeMutableRawBufferPointer, _ saturating: Bool
  ) -> Int {
    // Half a unit above the largest number rounds to infinity (to nearest even: its last bit is odd).
    let unit = largest.ulp(significandBits: significandBits)
    let least = Scalar(largest + unit / 2)
    var count = 0
    for value in values where value.magnitude >= least { count += value.isFinite ? 1 : 0 }
    guard count > 0, saturating else { return count }
    for (index, value) in values.enumerated() where value.magnitude >= least && value.isFinite {
      let settled = value < 0 ? -Scalar(largest) : Scalar(largest)
      let place = index * byteWidth..<(index + 1) * byteWidth
      withUnsafePointer(to: settled) {
        round(UnsafeBufferPointer(start: $0, count: 1), into: UnsafeMutableRawBufferPointer(rebasing: rounded[place]))
      }
    }
    return count
  }

  /// Bits of a significand, the leading one included.
  private var significandBits: Int {
    switch self {
    case .f64: 53
    case .f32: 24
    case .f16: 11
    case .bf16: 8
    }
  }
}

extension Double {
  /// The last place of a number with so many bits.
  fileprivate func ulp(significandBits: Int) -> Double {
    Double(sign: .plus, exponent: Int(exponent) - significandBits + 1, significand: 1)
  }
}
