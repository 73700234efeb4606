import TMPackByteIO
import TMPackTensorKit

extension FactorDType {
  /// nil for integers.
  package var floatFormat: FloatFormat? {
    switch self {
    case .f32: .f32
    case .bf16: .bf16
    case .f16: .f16
    case .int8, .int4: nil
    }
  }

  /// The largest integer; nil for floats.
  package var largestInteger: Float? {
    switch self {
    case .f32, .bf16, .f16: nil
    case .int8: 127
    case .int4: 7
    }
  }

  /// This type, or half precision in place of integers: for what is too small, or too sensitive, for less.
  package var atLeast16Bits: FactorDType { largestInteger == nil ? self : .f16 }

  /// Bytes of `count` elements that start on a byte boundary.
  package func byteCount(of count: Int) throws(StorageError) -> Int {
    self == .int4 ? componentBytes(count) : try count.multiplied(by: bitWidth / 8, "the size of a factor's elements")
  }
}

extension FactorDType {
  /// Throws `malformed` unless `bytes` are exactly `runs` runs of `count` valid elements each.
  package func validate(_ bytes: [UInt8], runs: Int, of count: Int, _ what: String) throws(StorageError) {
    let run = try byteCount(of: count)
    let expected = try run.multiplied(by: runs, "the size of a factor's elements")
    guard bytes.count == expected else {
      throw StorageError(.malformed, "the \(what) are \(bytes.count) bytes, not \(expected)")
    }
    let sound: Bool =
      switch self {
      case .f32: bytes.allLanes(as: UInt32.self) { $0 & 0x7F80_0000 != 0x7F80_0000 }
      case .bf16: bytes.allLanes(as: UInt16.self) { $0 & 0x7F80 != 0x7F80 }
      case .f16: bytes.allLanes(as: UInt16.self) { $0 & 0x7C00 != 0x7C00 }
      case .int8: bytes.allLanes(as: UInt8.self) { $0 != 0x80 }
      case .int4: bytes.allLanes(as: UInt8.self) { $0 & 0x0F != 0x08 && $0 & 0xF0 != 0x80 }
      }
    guard sound else {
      throw StorageError(.malformed, "an element of the \(what) is not a number that \(rawValue) factors may hold")
    }
    if self == .int4, count % 2 == 1 {
      for k in 0..<runs where bytes[(k + 1) * run - 1] & 0xF0 != 0 {
        throw StorageError(.malformed, "the nibble after the last element of the \(what) is not zero")
      }
    }
  }

  /// The values of `values.count` elements that start on a byte boundary.
  ///
  /// - Precondition: `bytes` is as long as they are.
  package func widen(_ bytes: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Float>) {
    if let floatFormat {
      floatFormat.widen(bytes, into: values)
      return
    }
    let source = bytes.bindMemory(to: Int8.self)
    if self == .int8 {
      precondition(source.count == values.count)
      for i in 0..<values.count { values[i] = Float(source[i]) }
    } else {
      precondition(source.count == (values.count + 1) / 2)
      for i in 0..<values.count / 2 {
        values[2 * i] = Float((source[i] << 4) >> 4)
        values[2 * i + 1] = Float(source[i] >> 4)
      }
      if values.count % 2 == 1 { values[values.count - 1] = Float((source[values.count / 2] << 4) >> 4) }
    }
  }

  /// Appends the elements nearest to `values`, ties to even, padded to a whole byte.
  ///
  /// - Precondition: integers are within range after rounding.
  package func append(_ values: UnsafeBufferPointer<Float>, to bytes: inout [UInt8]) {
    let count = values.count
    if let floatFormat {
      let start = bytes.count
      bytes.append(contentsOf: repeatElement(0, count: count * floatFormat.byteWidth))
      bytes.withUnsafeMutableBytes { floatFormat.round(values, into: .init(rebasing: $0[start...])) }
    } else if self == .int8 {
      for value in values { bytes.append(UInt8(truncatingIfNeeded: nearestInteger(value))) }
    } else {
      for i in stride(from: 0, to: count - 1, by: 2) {
        bytes.append(UInt8(nearestInteger(values[i]) & 0xF | (nearestInteger(values[i + 1]) & 0xF) << 4))
      }
      if count % 2 == 1 { bytes.append(UInt8(nearestInteger(values[count - 1]) & 0xF)) }
    }
  }
}

/// Ties to even, for magnitudes below 2²². Adding 1.5 · 2²³ leaves the integer in the low bits, without the library
/// call that rounding is on processors before SSE4.1.
func nearestInteger(_ value: Float) -> Int32 {
  let magic: Float = 0x1.8p23
  return Int32(bitPattern: (value + magic).bitPattern &- magic.bitPattern)
}

extension [UInt8] {
  /// Whether every little-endian lane satisfies `predicate`; a rest too short for a lane is ignored.
  fileprivate func allLanes<Lane: FixedWidthInteger>(as _: Lane.Type, _ predicate: (Lane) -> Bool) -> Bool {
    withUnsafeBytes { bytes in
      let width = MemoryLayout<Lane>.size
      // No early exit: sound data is the rule, and the loop vectorises.
      var all = true
      for i in 0..<bytes.count / width {
        all = predicate(Lane(littleEndian: bytes.loadUnaligned(fromByteOffset: i * width, as: Lane.self))) && all
      }
      return all
    }
  }
}
