import TMPackByteIO
import TMPackTensorKit

extension MetadataValue {
  func write(to output: inout ByteWriter) {
    output.integer(type.rawValue)
    switch self {
    case .uint8(let value): output.integer(value)
    case .int8(let value): output.integer(value)
    case .uint16(let value): output.integer(value)
    case .int16(let value): output.integer(value)
    case .uint32(let value): output.integer(value)
    case .int32(let value): output.integer(value)
    case .uint64(let value): output.integer(value)
    case .int64(let value): output.integer(value)
    case .float32(let value): output.integer(value.bitPattern)
    case .float64(let value): output.integer(value.bitPattern)
    case .bool(let value): output.integer(UInt8(value ? 1 : 0))
    case .string(let value): output.ggufString(value)
    case .array(let value): value.write(to: &output)
    }
  }
}

extension MetadataArray {
  func write(to output: inout ByteWriter) {
    output.integer(elementType.rawValue)
    output.integer(UInt64(count))
    switch self {
    case .uint8(let values): output.append(values)
    case .int8(let values): for value in values { output.integer(value) }
    case .uint16(let values): for value in values { output.integer(value) }
    case .int16(let values): for value in values { output.integer(value) }
    case .uint32(let values): for value in values { output.integer(value) }
    case .int32(let values): for value in values { output.integer(value) }
    case .uint64(let values): for value in values { output.integer(value) }
    case .int64(let values): for value in values { output.integer(value) }
    case .float32(let values): for value in values { output.integer(value.bitPattern) }
    case .float64(let values): for value in values { output.integer(value.bitPattern) }
    case .bool(let values): for value in values { output.integer(UInt8(value ? 1 : 0)) }
    case .string(let values): for value in values { output.ggufString(value) }
    case .array(let values): for value in values { value.write(to: &output) }
    }
  }
}

extension ByteWriter {
  mutating func ggufString(_ text: String) {
    integer(UInt64(text.utf8.count))
    append(text.utf8)
  }
}
