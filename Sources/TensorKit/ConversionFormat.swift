/// The floating-point types that tensors are converted from and to: those that arithmetic is done on, and those of
/// eight bits.
public enum ConversionFormat: Sendable, Hashable, CaseIterable {
  case f64, f32, f16, bf16, f8e4m3, f8e5m2

  public init(_ format: FloatFormat) {
    switch format {
    case .f64: self = .f64
    case .f32: self = .f32
    case .f16: self = .f16
    case .bf16: self = .bf16
    }
  }

  public var dtype: DType {
    switch self {
    case .f64: .f64
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    case .f8e4m3: .f8e4m3
    case .f8e5m2: .f8e5m2
    }
  }

  public var byteWidth: Int { dtype.bitWidth / 8 }

  /// Converts packed elements of this format to another, each rounded once to nearest even.
  ///
  /// - Parameters:
  ///   - bytes: elements of this format, little-endian.
  ///   - target: the other format.
  ///   - saturating: whether what is too large becomes the largest number instead of infinity (or NaN, in E4M3).
  ///   - destination: room for them.
  /// - Returns: how many numbers were too large. E4M3 has no infinity: there one counts as a number.
  /// - Precondition: both hold the same number of elements.
  @discardableResult
  public func convert(
    _ bytes: UnsafeRawBufferPointer, to target: ConversionFormat, saturating: Bool = false,
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
    _ bytes: UnsafeRawBufferPointer, to target: ConversionFormat, _ saturating: Bool,
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

  /// Eight bits, or one of the others.
  private enum Kind {
    case wide(FloatFormat)
    case eight(Float8)
  }

  private var kind: Kind {
    switch self {
    case .f64: .wide(.f64)
    case .f32: .wide(.f32)
    case .f16: .wide(.f16)
    case .bf16: .wide(.bf16)
    case .f8e4m3: .eight(.e4m3)
    case .f8e5m2: .eight(.e5m2)
    }
  }

  private func widen<Scalar: Accumulator>(
    _ bytes: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Scalar>
  ) {
    switch kind {
    case .wide(let format): format.widen(bytes, into: values)
    case .eight(let format):
      for (index, byte) in bytes.enumerated() { values[index] = Scalar(format.float(bits: byte)) }
    }
  }

  private func round<Scalar: Accumulator>(
    _ values: UnsafeBufferPointer<Scalar>, into bytes: UnsafeMutableRawBufferPointer
  ) {
    switch kind {
    case .wide(let format): format.round(values, into: bytes)
    case .eight(.e4m3): for index in values.indices { bytes[index] = Float8.e4m3.bits(values[index].narrowed) }
    case .eight(.e5m2): for index in values.indices { bytes[index] = Float8.e5m2.bits(values[index].narrowed) }
    }
  }

  /// The largest number.
  private var largest: Double {
    switch self {
    case .f64: .greatestFiniteMagnitude
    case .f32: Double(Float.greatestFiniteMagnitude)
    case .f16: 65504
    case .bf16: Double(BFloat16.float(bits: 0x7F7F))
    case .f8e4m3: Double(Float8.e4m3.largest)
    case .f8e5m2: Double(Float8.e5m2.largest)
    }
  }

  /// The least number that is too large: halfway to the one that would come after the largest. A tie goes there, for
  /// the largest has an odd last bit; only E4M3's is even.
  private func leastOverflow<Scalar: Accumulator>(_: Scalar.Type) -> Scalar {
    let unit = Double(sign: .plus, exponent: Int(largest.exponent) - significandBits + 1, significand: 1)
    let halfway = Scalar(largest + unit / 2)
    return self == .f8e4m3 ? halfway.nextUp : halfway
  }

  /// How many of the values are too large.
  package func overflowCount<Scalar: Accumulator>(of values: UnsafeBufferPointer<Scalar>) -> Int {
    let (least, most) = overflowRange(Scalar.self)
    var count = 0
    for value in values where value.magnitude >= least { count += value.magnitude <= most ? 1 : 0 }
    return count
  }

  private func overflowRange<Scalar: Accumulator>(_: Scalar.Type) -> (least: Scalar, most: Scalar) {
    (leastOverflow(Scalar.self), self == .f8e4m3 ? .infinity : .greatestFiniteMagnitude)
  }

  /// Counts the values that are too large, and makes them the largest number if that is wanted.
  private func settle<Scalar: Accumulator>(
    _ values: UnsafeBufferPointer<Scalar>, _ rounded: UnsafeMutableRawBufferPointer, _ saturating: Bool
  ) -> Int {
    let count = overflowCount(of: values)
    guard count > 0, saturating else { return count }
    let (least, most) = overflowRange(Scalar.self)
    for (index, value) in values.enumerated() where value.magnitude >= least && value.magnitude <= most {
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
    case .f8e4m3: 4
    case .f8e5m2: 3
    }
  }
}

extension FloatFormat {
  /// Converts packed elements of this format to another, each rounded once to nearest even; what is too large becomes
  /// infinity.
  ///
  /// - Returns: how many numbers were too large.
  /// - Precondition: both hold the same number of elements.
  @discardableResult
  public func convert(
    _ bytes: UnsafeRawBufferPointer, to target: FloatFormat, into destination: UnsafeMutableRawBufferPointer
  ) -> Int {
    ConversionFormat(self).convert(bytes, to: ConversionFormat(target), into: destination)
  }
}
