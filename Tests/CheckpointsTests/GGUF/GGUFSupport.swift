import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit
import TestSupport

/// Files that other libraries made: see `Fixtures/foreign`.
enum ForeignFixtures {
  static let folder: String = {
    let parts = #filePath.split(separator: "/").dropLast(4)
    return "/" + parts.joined(separator: "/") + "/Fixtures/foreign"
  }()

  static func gguf(_ name: String) -> String { "\(folder)/gguf/\(name)" }
}

/// What `make_gguf.py --describe` tells of a file.
struct GGUFDescription: Equatable {
  var metadata: [String]
  var tensors: [String: Tensor]

  struct Tensor: Equatable {
    var type: String
    var dtype: String
    var shape: [Int]
    var bytes: String
  }

  init(json path: String) throws {
    let members = try JSONValue(parsing: contents(path)).asObject("the file")
    metadata = try members.required("metadata", of: "the file").asArray("metadata").map { try $0.asString("an entry") }
    tensors = [:]
    for (name, value) in try members.required("tensors", of: "the file").asObject("tensors").members {
      let parts = try value.asObject("a tensor")
      func text(_ key: String) throws -> String { try parts.required(key, of: "a tensor").asString(key) }
      tensors[name] = Tensor(
        type: try text("type"), dtype: try text("dtype"),
        shape: try parts.required("shape", of: "a tensor").asArray("shape").map { try $0.asCount("a dimension") },
        bytes: try text("bytes"))
    }
  }

  /// What we read in a file.
  init(_ file: GGUFFile) throws {
    metadata = file.typedMetadata.entries.map { "\($0.key) = \($0.value.description(asElement: false))" }
    tensors = [:]
    for info in file.tensors {
      tensors[info.name] = Tensor(
        type: "\(try file.storedType(of: info))", dtype: info.dtype.rawValue, shape: info.shape.dimensions,
        bytes: hex(try bytes(of: file, info.name)))
    }
  }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

extension MetadataValue {
  fileprivate func description(asElement: Bool) -> String {
    let (type, value): (String, String) =
      switch self {
      case .uint8(let value): ("UINT8", "\(value)")
      case .int8(let value): ("INT8", "\(value)")
      case .uint16(let value): ("UINT16", "\(value)")
      case .int16(let value): ("INT16", "\(value)")
      case .uint32(let value): ("UINT32", "\(value)")
      case .int32(let value): ("INT32", "\(value)")
      case .uint64(let value): ("UINT64", "\(value)")
      case .int64(let value): ("INT64", "\(value)")
      case .float32(let value): ("FLOAT32", withUnsafeBytes(of: value.bitPattern.littleEndian) { hex($0) })
      case .float64(let value): ("FLOAT64", withUnsafeBytes(of: value.bitPattern.littleEndian) { hex($0) })
      case .bool(let value): ("BOOL", "\(value)")
      case .string(let value): ("STRING", value)
      case .array(let array):
        ("ARRAY \(array.typeNames)", array.flat.map { $0.description(asElement: true) }.joined(separator: "|"))
      }
    return asElement ? value : "\(type) \(value)"
  }
}

extension MetadataArray {
  /// Its scalars; those of arrays in it one after another.
  fileprivate var flat: [MetadataValue] {
    switch self {
    case .uint8(let values): values.map { .uint8($0) }
    case .int8(let values): values.map { .int8($0) }
    case .uint16(let values): values.map { .uint16($0) }
    case .int16(let values): values.map { .int16($0) }
    case .uint32(let values): values.map { .uint32($0) }
    case .int32(let values): values.map { .int32($0) }
    case .uint64(let values): values.map { .uint64($0) }
    case .int64(let values): values.map { .int64($0) }
    case .float32(let values): values.map { .float32($0) }
    case .float64(let values): values.map { .float64($0) }
    case .bool(let values): values.map { .bool($0) }
    case .string(let values): values.map { .string($0) }
    case .array(let values): values.flatMap(\.flat)
    }
  }

  fileprivate var typeNames: String {
    switch self {
    case .uint8: "UINT8"
    case .int8: "INT8"
    case .uint16: "UINT16"
    case .int16: "INT16"
    case .uint32: "UINT32"
    case .int32: "INT32"
    case .uint64: "UINT64"
    case .int64: "INT64"
    case .float32: "FLOAT32"
    case .float64: "FLOAT64"
    case .bool: "BOOL"
    case .string: "STRING"
    case .array(let values): "ARRAY \(values.first?.typeNames ?? "")"
    }
  }
}

/// Writes a whole file as a destination would.
func writeGGUF(
  _ source: some TensorSource, metadata: TypedMetadata = TypedMetadata(), to path: String,
  storing type: (TensorInfo) -> GGUFTensorType? = { _ in nil }
) throws {
  let header = try GGUFHeader(describing: source.tensors, metadata: metadata, storing: type)
  let file = try AtomicFile(path, replacing: true)
  var writer = try GGUFWriter(header, to: file)
  for entry in header.entries {
    try writer.append(entry.encoded(source.bytes(of: entry.info)))
  }
  writer.finish()
  try file.commit()
}

/// The bytes of a GGUF file around metadata and tensors that a test has written.
func gguf(
  version: UInt32 = 3, tensors: UInt64 = 0, entries: UInt64 = 0, dataBytes: Int = 0, _ body: (inout ByteWriter) -> Void
) -> [UInt8] {
  var file = ByteWriter()
  file.append("GGUF".utf8)
  file.integer(version)
  file.integer(tensors)
  file.integer(entries)
  body(&file)
  file.zeros(file.bytes.count.roundedUp(toMultipleOf: 32) - file.bytes.count + dataBytes)
  return file.bytes
}

extension ByteWriter {
  mutating func string(_ text: String) {
    integer(UInt64(text.utf8.count))
    append(text.utf8)
  }

  mutating func tensor(_ name: String, _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
    string(name)
    integer(UInt32(dimensions.count))
    for dimension in dimensions { integer(dimension) }
    integer(type)
    integer(offset)
  }
}
