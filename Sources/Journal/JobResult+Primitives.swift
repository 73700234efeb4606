import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

extension ByteReader {
  package mutating func digest() throws(StorageError) -> ContentDigest {
    ContentDigest(bytes: try take(ContentDigest.byteCount))
  }

  package mutating func optionalDigest() throws(StorageError) -> ContentDigest? {
    try optional { reader throws(StorageError) in try reader.digest() }
  }

  /// What follows a byte of 1; nil after a byte of 0.
  package mutating func optional<Value>(
    _ body: (inout ByteReader) throws(StorageError) -> Value
  ) throws(StorageError) -> Value? {
    switch try integer(UInt8.self) {
    case 0: return nil
    case 1: return try body(&self)
    default: throw StorageError(.malformed, "neither there nor absent", offset: offset)
    }
  }

  /// A number of elements or bytes.
  package mutating func count() throws(StorageError) -> Int {
    let value: UInt64 = try integer()
    try Limits.check(value, atMost: Limits.tensorBytes, "a number of elements or bytes")
    return Int(value)
  }

  package mutating func factorDType() throws(StorageError) -> FactorDType {
    let number = Int(try integer(UInt8.self))
    guard number < FactorDType.allCases.count else {
      throw StorageError(.malformed, "a factor has an unknown dtype", offset: offset)
    }
    return FactorDType.allCases[number]
  }

  package mutating func rankAndQuantizer() throws(StorageError) -> (rank: Int, quantizer: Quantizer) {
    let rank = Int(try integer(UInt32.self))
    let number = Int(try integer(UInt8.self))
    guard number < Quantizer.allCases.count else {
      throw StorageError(.malformed, "a factor has an unknown quantiser", offset: offset)
    }
    return (rank, Quantizer.allCases[number])
  }

  /// Numbers as memory has them, little-endian.
  package mutating func numbers<Number: BitwiseCopyable>(_ count: Int) throws(StorageError) -> [Number] {
    let size = try count.multiplied(by: MemoryLayout<Number>.size, "a size")
    let raw = try take(size)
    return [Number](unsafeUninitializedCapacity: count) { buffer, initialized in
      UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<count])).copyMemory(from: raw)
      initialized = count
    }
  }
}

extension ByteWriter {
  package mutating func optional(_ digest: ContentDigest?) { optional(digest) { $0.append($1.bytes) } }

  package mutating func optional<Value>(_ value: Value?, _ body: (inout ByteWriter, Value) -> Void) {
    integer(UInt8(value == nil ? 0 : 1))
    if let value { body(&self, value) }
  }

  package mutating func factorDType(_ dtype: FactorDType) {
    integer(UInt8(FactorDType.allCases.firstIndex(of: dtype)!))
  }

  package mutating func rankAndQuantizer(_ rank: Int, _ quantizer: Quantizer) {
    integer(UInt32(rank))
    integer(UInt8(Quantizer.allCases.firstIndex(of: quantizer)!))
  }

  package mutating func numbers<Number: BitwiseCopyable>(_ numbers: [Number]) {
    numbers.withUnsafeBytes { append($0) }
  }
}
