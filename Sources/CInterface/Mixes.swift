import Synchronization
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCHeader
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackReading
import TMPackTensorKit

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A mix that is open for a caller.
final class OpenMix: Handled, @unchecked Sendable {
  static let kind = "mix"
  let visits = Visits()
  /// nil for experts that are decoded before they are mixed.
  let mix: Mix?
  /// The mix with the names that were asked for.
  let source: any TensorSource
  let files: [(content: CarriedContent, size: Int)]
  let overflowCount: @Sendable () -> Int
  let tensors: [TensorInfo]
  /// For the caller to look at.
  private let records: [tmpk_tensor]

  convenience init(_ mix: Mix, _ naming: OutputNaming) throws(StorageError) {
    self.init(mix, try mix.named(naming), mix.files.map { ($0.content, $0.size) }) { mix.overflowCount }
  }

  /// Of experts in codes, in other dtypes or with fewer rows: as `tmpack unpack` writes them.
  convenience init(_ decoded: DecodedMix, _ naming: OutputNaming) throws(StorageError) {
    let source: any TensorSource =
      naming == .transformers5 ? try decoded.namedInMemory(by: decoded.files) : decoded
    let files = try decoded.files.map { content throws(StorageError) in (content, try content.bytes().count) }
    self.init(nil, source, files) { decoded.overflowCount }
  }

  private init(
    _ mix: Mix?, _ source: any TensorSource, _ files: [(content: CarriedContent, size: Int)],
    _ overflowCount: @escaping @Sendable () -> Int
  ) {
    self.mix = mix
    self.source = source
    self.files = files
    self.overflowCount = overflowCount
    tensors = source.tensors
    records = tensors.map { info in
      let dimensions = info.shape.dimensions
      let shape = allocated(dimensions.count * 8).bindMemory(to: UInt64.self, capacity: max(1, dimensions.count))
      for (index, dimension) in dimensions.enumerated() { shape[index] = UInt64(dimension) }
      return tmpk_tensor(
        name: copied(info.name), dtype: StaticTexts.text(info.dtype.rawValue), shape: shape,
        rank: UInt32(dimensions.count), origin: Self.origin(of: info, mix, source).number,
        byte_count: UInt64(info.byteCount))
    }
  }

  deinit {
    for record in records {
      free(UnsafeMutableRawPointer(mutating: record.name))
      free(UnsafeMutableRawPointer(mutating: record.shape))
    }
  }

  /// The tensors of the mix that one under another name is, or is made of.
  static func parts(of info: TensorInfo, _ source: any TensorSource) -> [TensorInfo] {
    (source as? AlignedSource)?.sources(of: info) ?? [info]
  }

  private static func origin(of info: TensorInfo, _ mix: Mix?, _ source: any TensorSource) -> TensorOrigin {
    guard let mix else { return .sum }
    let origins = Set(parts(of: info, source).map { mix.origin(of: $0) })
    return origins.count == 1 ? origins.first! : .sum
  }

  func info(_ index: Int) throws(StorageError) -> TensorInfo {
    try checkIndex(index)
    return tensors[index]
  }

  func record(_ index: Int) throws(StorageError) -> tmpk_tensor {
    try checkIndex(index)
    return records[index]
  }

  private func checkIndex(_ index: Int) throws(StorageError) {
    guard tensors.indices.contains(index) else {
      throw StorageError(.invalidArgument, "there are \(tensors.count) tensors", file: source.label)
    }
  }

  func describe() -> JSONObject {
    [
      "tensors": .array(
        zip(tensors, records).map { info, record in
          [
            .string(info.name), .string(info.dtype.rawValue), .array(info.shape.dimensions.map { JSONValue($0) }),
            JSONValue(info.byteCount), JSONValue(record.origin),
          ]
        }),
      "metadata": .object(JSONObject(source.metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
      "files": .array(files.map { ["name": .string($0.content.name.text), "bytes": JSONValue($0.size)] }),
      "notes": .array(source.notes.map { .string($0) }),
    ]
  }
}

extension TensorOrigin {
  fileprivate var number: Int32 {
    switch self {
    case .shared: Int32(TMPK_SHARED)
    case .own: Int32(TMPK_OWN)
    case .sum: Int32(TMPK_SUM)
    }
  }
}

@c @implementation
public func tmpk_mix_open(
  _ archive: OpaquePointer?, _ weights: UnsafePointer<tmpk_weight>?, _ count: Int,
  _ options: UnsafePointer<tmpk_mix_options>?, _ mix: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let mix = try required(mix, "mix")
    let options = try understood(options, zeros: tmpk_mix_options())
    let entries = try list(weights, count, "the list of weights").map { weight throws(StorageError) in
      (name: try text(weight.expert, "the name of an expert"), weight: weight.weight)
    }
    let weights = try RouterWeights(entries)
    let naming = try OutputNaming(options.names)
    let dtype = try options.dtype.map { pointer throws(StorageError) in
      let name = try text(pointer, "the dtype")
      guard let format = DType(rawValue: name)?.floatFormat else {
        throw StorageError(.invalidArgument, "tensors cannot be converted to '\(name)': only to F64, F32, F16 and BF16")
      }
      return format
    }
    let opened = try Handles.with(archive, OpenArchive.self) { opened throws(StorageError) in
      guard options.is_exact != 0 else {
        if let decoded = try opened.reconstructor.decodedMix(weights, dtype: dtype) {
          return try OpenMix(decoded, naming)
        }
        return try OpenMix(opened.reconstructor.mix(weights, dtype: dtype), naming)
      }
      guard dtype == nil, weights.entries.count == 1, weights.entries[0].weight == 1 else {
        throw StorageError(.invalidArgument, "exact is for one expert of weight 1, in its own dtype")
      }
      return try OpenMix(opened.reconstructor.exact(weights.entries[0].name), naming)
    }
    mix.pointee = Handles.add(opened)
  }
}

extension OutputNaming {
  fileprivate init(_ number: Int32) throws(StorageError) {
    switch Int(number) {
    case Int(TMPK_NAMES_SOURCE): self = .source
    case Int(TMPK_NAMES_BASE): self = .base
    case Int(TMPK_NAMES_TRANSFORMERS_5): self = .transformers5
    default: throw StorageError(.invalidArgument, "there are no names of kind \(number)")
    }
  }
}

@c @implementation
public func tmpk_mix_close(_ mix: OpaquePointer?) { _ = Handles.remove(mix) }

@c @implementation
public func tmpk_tensor_count(
  _ mix: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?, _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let count = try required(count, "count")
    count.pointee = try Handles.with(mix, OpenMix.self) { $0.tensors.count }
  }
}

@c @implementation
public func tmpk_tensor_at(
  _ mix: OpaquePointer?, _ index: Int, _ tensor: UnsafeMutablePointer<tmpk_tensor>?,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let tensor = try required(tensor, "tensor")
    tensor.pointee = try Handles.with(mix, OpenMix.self) { opened throws(StorageError) in try opened.record(index) }
  }
}

@c @implementation
public func tmpk_tensor_named(
  _ mix: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ index: UnsafeMutablePointer<Int>?,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let index = try required(index, "index")
    let name = try text(name, "the name of the tensor")
    index.pointee = try Handles.with(mix, OpenMix.self) { opened throws(StorageError) in
      guard let place = opened.tensors.index(ofTensor: name) else {
        throw StorageError(.unknownName, "has no tensor of that name", file: opened.source.label, tensor: name)
      }
      return place
    }
  }
}

@c @implementation
public func tmpk_mix_describe(
  _ mix: OpaquePointer?, _ json: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let json = try required(json, "json")
    json.pointee = try Handles.with(mix, OpenMix.self) { opened throws(StorageError) in
      copied(JSONValue.object(opened.describe()).compactText)
    }
  }
}

@c @implementation
public func tmpk_mix_file(
  _ mix: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ bytes: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
  _ byteCount: UnsafeMutablePointer<Int>?, _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let bytes = try required(bytes, "bytes")
    let byteCount = try required(byteCount, "byte_count")
    let name = try text(name, "the name of the file")
    let content = try Handles.with(mix, OpenMix.self) { opened throws(StorageError) in
      guard let file = opened.files.first(where: { $0.content.name.text.utf8.elementsEqual(name.utf8) }) else {
        throw StorageError(.unknownName, "has no file '\(name)'", file: opened.source.label)
      }
      return try file.content.bytes()
    }
    let memory = allocated(content.count)
    content.withUnsafeBytes { raw in
      if let start = raw.baseAddress { memory.copyMemory(from: start, byteCount: raw.count) }
    }
    bytes.pointee = memory
    byteCount.pointee = content.count
  }
}

@c @implementation
public func tmpk_overflow_count(
  _ mix: OpaquePointer?, _ count: UnsafeMutablePointer<UInt64>?, _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let count = try required(count, "count")
    count.pointee = try Handles.with(mix, OpenMix.self) { UInt64(clamping: $0.overflowCount()) }
  }
}

@c @implementation
public func tmpk_mix_ranges(
  _ mix: OpaquePointer?, _ tensors: UnsafePointer<Int>?, _ count: Int,
  _ ranges: UnsafeMutablePointer<UnsafeMutablePointer<tmpk_range>?>?, _ rangeCount: UnsafeMutablePointer<Int>?,
  _ error: UnsafeMutablePointer<tmpk_error>?
) -> tmpk_code {
  reporting(to: error) { () throws(StorageError) in
    let ranges = try required(ranges, "ranges")
    let rangeCount = try required(rangeCount, "range_count")
    let chosen = try tensors.map { pointer throws(StorageError) in try list(pointer, count, "the list of tensors") }
    let found = try Handles.with(mix, OpenMix.self) { opened throws(StorageError) -> [Extent] in
      let infos = try chosen?.map { index throws(StorageError) in try opened.info(index) } ?? opened.tensors
      var extents: Set<Extent> = []
      // What is decoded is read as it is needed.
      guard let mix = opened.mix else { return [] }
      for info in infos {
        for part in OpenMix.parts(of: info, opened.source) { extents.formUnion(try mix.extents(of: part)) }
      }
      return extents.sorted { $0.offset < $1.offset }
    }
    let memory = allocated(found.count * MemoryLayout<tmpk_range>.stride)
      .bindMemory(to: tmpk_range.self, capacity: max(1, found.count))
    for (index, extent) in found.enumerated() {
      memory[index] = tmpk_range(offset: extent.offset, byte_count: UInt64(extent.storedSize))
    }
    ranges.pointee = memory
    rangeCount.pointee = found.count
  }
}
