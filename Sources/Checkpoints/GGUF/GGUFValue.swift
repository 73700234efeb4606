/// One value of a GGUF file's metadata, with the type that the file gives it.
public enum GGUFValue: Sendable, Hashable {
  case uint8(UInt8)
  case int8(Int8)
  case uint16(UInt16)
  case int16(Int16)
  case uint32(UInt32)
  case int32(Int32)
  case uint64(UInt64)
  case int64(Int64)
  case float32(Float)
  case float64(Double)
  case bool(Bool)
  case string(String)
  case array(GGUFArray)

  /// A string as it is, a number or a boolean written out; nil for an array.
  public var text: String? {
    switch self {
    case .uint8(let value): "\(value)"
    case .int8(let value): "\(value)"
    case .uint16(let value): "\(value)"
    case .int16(let value): "\(value)"
    case .uint32(let value): "\(value)"
    case .int32(let value): "\(value)"
    case .uint64(let value): "\(value)"
    case .int64(let value): "\(value)"
    case .float32(let value): "\(value)"
    case .float64(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): value
    case .array: nil
    }
  }
}

/// Values of one type. An empty array has a type too.
public enum GGUFArray: Sendable, Hashable {
  case uint8([UInt8])
  case int8([Int8])
  case uint16([UInt16])
  case int16([Int16])
  case uint32([UInt32])
  case int32([Int32])
  case uint64([UInt64])
  case int64([Int64])
  case float32([Float])
  case float64([Double])
  case bool([Bool])
  case string([String])
  /// Arrays, whose own types may differ.
  case array([GGUFArray])
}

/// `gguf_metadata_value_type`.
enum GGUFValueType: UInt32 {
  case uint8 = 0
  case int8 = 1
  case uint16 = 2
  case int16 = 3
  case uint32 = 4
  case int32 = 5
  case float32 = 6
  case bool = 7
  case string = 8
  case array = 9
  case uint64 = 10
  case int64 = 11
  case float64 = 12

  /// The least that a value of it takes in a file.
  var minimumBytes: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string: 8
    case .array: 12
    }
  }
}

extension GGUFValue {
  var type: GGUFValueType {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .uint64: .uint64
    case .int64: .int64
    case .float32: .float32
    case .float64: .float64
    case .bool: .bool
    case .string: .string
    case .array: .array
    }
  }
}

extension GGUFArray {
  var elementType: GGUFValueType {
    switch self {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .uint64: .uint64
    case .int64: .int64
    case .float32: .float32
    case .float64: .float64
    case .bool: .bool
    case .string: .string
    case .array: .array
    }
  }

  public var count: Int {
    switch self {
    case .uint8(let values): values.count
    case .int8(let values): values.count
    case .uint16(let values): values.count
    case .int16(let values): values.count
    case .uint32(let values): values.count
    case .int32(let values): values.count
    case .uint64(let values): values.count
    case .int64(let values): values.count
    case .float32(let values): values.count
    case .float64(let values): values.count
    case .bool(let values): values.count
    case .string(let values): values.count
    case .array(let values): values.count
    }
  }
}
