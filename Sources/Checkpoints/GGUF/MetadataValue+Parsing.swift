import TMPackByteIO
import TMPackTensorKit

// docs/gguf.md, "File Structure": `gguf_metadata_value_t`.
//
// | value  | bytes                                                           |
// |--------|-----------------------------------------------------------------|
// | number | itself                                                          |
// | bool   | one byte, 0 or 1                                                |
// | string | length in bytes (8), UTF-8                                      |
// | array  | type of the elements (4), their number (8), the elements        |

/// What the values read so far leave to those that follow.
struct GGUFArrayBudget {
  private var members = 0

  mutating func take(_ count: Int) throws(StorageError) {
    // Both are far below 2⁶²: a count fits the file, the sum is checked each time.
    members += count
    try Limits.check(members, atMost: Limits.ggufArrayMembers, "the number of strings and arrays in arrays")
  }
}

extension MetadataValue {
  init(parsing input: inout ByteReader, _ budget: inout GGUFArrayBudget) throws(StorageError) {
    switch try GGUFValueType(parsing: &input) {
    case .uint8: self = .uint8(try input.integer())
    case .int8: self = .int8(try input.integer())
    case .uint16: self = .uint16(try input.integer())
    case .int16: self = .int16(try input.integer())
    case .uint32: self = .uint32(try input.integer())
    case .int32: self = .int32(try input.integer())
    case .uint64: self = .uint64(try input.integer())
    case .int64: self = .int64(try input.integer())
    case .float32: self = .float32(Float(bitPattern: try input.integer()))
    case .float64: self = .float64(Double(bitPattern: try input.integer()))
    case .bool: self = .bool(try input.ggufBool())
    case .string: self = .string(try input.ggufString(atMost: Limits.ggufStringBytes, "the length of a string"))
    case .array: self = .array(try MetadataArray(parsing: &input, &budget, depth: 1))
    }
  }
}

extension GGUFValueType {
  init(parsing input: inout ByteReader) throws(StorageError) {
    let place = input.offset
    let code = try input.integer(UInt32.self)
    guard let type = GGUFValueType(rawValue: code) else {
      throw StorageError(.malformed, "the type \(code) of a value is unknown", offset: place)
    }
    self = type
  }
}

extension MetadataArray {
  /// - Parameter depth: 1 for an array that is in no other.
  init(parsing input: inout ByteReader, _ budget: inout GGUFArrayBudget, depth: Int) throws(StorageError) {
    try Limits.check(depth, atMost: Limits.ggufArrayDepth, "the depth of an array")
    let type = try GGUFValueType(parsing: &input)
    // Every element takes some bytes, so that what is allocated below is bounded by the file.
    let count = try input.ggufCount("an array", minimumBytes: type.minimumBytes)
    switch type {
    case .uint8: self = .uint8(try input.ggufNumbers(count))
    case .int8: self = .int8(try input.ggufNumbers(count))
    case .uint16: self = .uint16(try input.ggufNumbers(count))
    case .int16: self = .int16(try input.ggufNumbers(count))
    case .uint32: self = .uint32(try input.ggufNumbers(count))
    case .int32: self = .int32(try input.ggufNumbers(count))
    case .uint64: self = .uint64(try input.ggufNumbers(count))
    case .int64: self = .int64(try input.ggufNumbers(count))
    case .float32: self = .float32(try input.ggufNumbers(count))
    case .float64: self = .float64(try input.ggufNumbers(count))
    case .bool:
      let place = input.offset
      let bytes: [UInt8] = try input.ggufNumbers(count)
      if let index = bytes.firstIndex(where: { $0 > 1 }) {
        throw StorageError(.malformed, "a boolean is \(bytes[index])", offset: place + UInt64(index))
      }
      self = .bool(bytes.map { $0 == 1 })
    case .string:
      try budget.take(count)
      var values: [String] = []
      values.reserveCapacity(count)
      for _ in 0..<count {
        values.append(try input.ggufString(atMost: Limits.ggufStringBytes, "the length of a string"))
      }
      self = .string(values)
    case .array:
      try budget.take(count)
      var values: [MetadataArray] = []
      values.reserveCapacity(count)
      for _ in 0..<count { values.append(try MetadataArray(parsing: &input, &budget, depth: depth + 1)) }
      self = .array(values)
    }
  }
}

extension ByteReader {
  /// A number of things that follow, each of at least `minimumBytes`.
  ///
  /// - Throws: `truncated` when they cannot all be there.
  mutating func ggufCount(_ what: String, minimumBytes: Int) throws(StorageError) -> Int {
    let place = offset
    let count = try integer(UInt64.self)
    guard count <= UInt64(remaining / minimumBytes) else {
      throw StorageError(
        .truncated, "\(what) declares \(count) elements, \(remaining) bytes are left", offset: place)
    }
    return Int(count)
  }

  mutating func ggufString(atMost limit: Int, _ what: String) throws(StorageError) -> String {
    let place = offset
    let length = try integer(UInt64.self)
    do throws(StorageError) { try Limits.check(length, atMost: limit, what) } catch { throw error.at(offset: place) }
    guard let text = String(validating: try take(Int(length)), as: UTF8.self) else {
      throw StorageError(.malformed, "a string is not UTF-8", offset: place)
    }
    return text
  }

  fileprivate mutating func ggufBool() throws(StorageError) -> Bool {
    let place = offset
    switch try integer(UInt8.self) {
    case 0: return false
    case 1: return true
    case let byte: throw StorageError(.malformed, "a boolean is \(byte)", offset: place)
    }
  }

  fileprivate mutating func ggufNumbers<Number: BitwiseCopyable>(_ count: Int) throws(StorageError) -> [Number] {
    let raw = try take(count.multiplied(by: MemoryLayout<Number>.size, "the size of an array"))
    return [Number](unsafeUninitializedCapacity: count) { memory, initialized in
      let bytes = UnsafeMutableRawBufferPointer(memory)
      bytes.copyMemory(from: raw)
      if isBigEndian { swapBytes(of: bytes, width: MemoryLayout<Number>.size) }
      initialized = count
    }
  }
}
