import TMPackByteIO
import TMPackTensorKit

/// `.metadata` of a torch distributed checkpoint (torch/distributed/checkpoint/metadata.py): a pickle of
///
/// | field                 | what                                                                                       |
/// |-----------------------|--------------------------------------------------------------------------------------------|
/// | `state_dict_metadata` | by flat name: `TensorStorageMetadata(properties, size, chunks)`, or `BytesStorageMetadata`  |
/// | `planner_data`        | by flat name: the keys that lead there in the nested state dict; or something else          |
/// | `storage_data`        | by `MetadataIndex(fqn, offset)`: `_StorageInfo(relative_path, offset, length, transform_descriptors)` |
struct DistributedMetadata: Sendable {
  static let fileName = ".metadata"

  struct Segment: Sendable {
    /// Of its file in the folder.
    let file: String
    let offset: UInt64
    let count: UInt64
    let isCompressed: Bool
  }

  struct Chunk: Sendable {
    let offsets: [Int]
    let shape: Shape
    let segment: Segment
  }

  struct Tensor: Sendable {
    let name: String
    let path: [String]
    let dtype: DType?
    let typeName: String
    let shape: Shape
    let chunks: [Chunk]
  }

  /// Some value of Python, pickled.
  struct Object: Sendable {
    let name: String
    let path: [String]
    let segment: Segment
  }

  let tensors: [Tensor]
  let objects: [Object]

  private struct Place: Hashable {
    let name: ExactString
    /// nil for an object that is no tensor.
    let offsets: [Int]?
  }

  /// - Throws: `malformed` for what is not such a pickle, or does not say where something is; `unsupportedFeature` for a
  ///   transformation that is not known.
  init(_ pickle: Pickle) throws(StorageError) {
    func malformed(_ what: String, tensor: String? = nil) -> StorageError {
      StorageError(.malformed, "the metadata of the checkpoint \(what)", tensor: tensor)
    }
    guard let root = pickle.opaque(pickle.root, named: "Metadata"),
      let entries = pickle.members(pickle.attribute("state_dict_metadata", of: root)),
      let stored = pickle.members(pickle.attribute("storage_data", of: root))
    else { throw malformed("are none of torch.distributed.checkpoint") }

    var segments: [Place: Segment] = [:]
    for entry in stored {
      let index = pickle.opaque(entry.key, named: "MetadataIndex")
      guard let name = pickle.string(pickle.attribute("fqn", of: index)) else {
        throw malformed("have a place without a name")
      }
      let offsets = pickle.integers(pickle.attribute("offset", of: index))
      segments[Place(name: ExactString(name), offsets: offsets)] = try Self.segment(entry.value, pickle, name)
    }

    let paths = Self.paths(pickle.attribute("planner_data", of: root), pickle)
    var tensors: [Tensor] = []
    var objects: [Object] = []
    for entry in entries {
      guard let name = pickle.string(entry.key) else { throw malformed("have an entry without a name") }
      let path = paths[ExactString(name)] ?? [name]
      if let tensor = pickle.opaque(entry.value, named: "TensorStorageMetadata") {
        let (typeName, dtype) = try Self.element(pickle.attribute("properties", of: tensor), pickle, name)
        guard let size = pickle.integers(pickle.attribute("size", of: tensor)),
          let chunks = pickle.elements(pickle.attribute("chunks", of: tensor))
        else { throw malformed("do not say how large it is", tensor: name) }
        tensors.append(
          Tensor(
            name: name, path: path, dtype: dtype, typeName: typeName, shape: try Shape(size),
            chunks: try chunks.map { chunk throws(StorageError) in
              let chunk = pickle.opaque(chunk, named: "ChunkStorageMetadata")
              guard let offsets = pickle.integers(pickle.attribute("offsets", of: chunk)),
                let sizes = pickle.integers(pickle.attribute("sizes", of: chunk))
              else { throw malformed("do not say where a part of it begins", tensor: name) }
              guard let segment = segments[Place(name: ExactString(name), offsets: offsets)] else {
                throw malformed("do not say where its part at \(offsets) is stored", tensor: name)
              }
              return Chunk(offsets: offsets, shape: try Shape(sizes), segment: segment)
            }))
        try Limits.check(tensors.count, atMost: Limits.tensors, "the number of tensors")
      } else if pickle.opaque(entry.value, named: "BytesStorageMetadata") != nil {
        guard let segment = segments[Place(name: ExactString(name), offsets: nil)] else {
          throw malformed("do not say where \(name.debugDescription) is stored")
        }
        objects.append(Object(name: name, path: path, segment: segment))
      } else {
        throw malformed("have an entry of an unknown kind", tensor: name)
      }
    }
    (self.tensors, self.objects) = (tensors, objects)
  }

  private static func segment(
    _ value: PickleValue, _ pickle: Pickle, _ name: String
  ) throws(StorageError) -> Segment {
    let info = pickle.opaque(value, named: "_StorageInfo")
    guard let path = pickle.string(pickle.attribute("relative_path", of: info)),
      let offset = pickle.integer(pickle.attribute("offset", of: info)).flatMap(UInt64.init(exactly:)),
      let count = pickle.integer(pickle.attribute("length", of: info)).flatMap(UInt64.init(exactly:))
    else {
      throw StorageError(.malformed, "the metadata of the checkpoint do not say where it is stored", tensor: name)
    }
    // In the order in which they were applied.
    let transforms = (pickle.elements(pickle.attribute("transform_descriptors", of: info)) ?? [])
      .map { pickle.string($0) ?? "?" }
    guard transforms.isEmpty || transforms == ["stream.zstd/1"] else {
      throw StorageError(
        .unsupportedFeature, "is transformed by \(transforms.joined(separator: ", ")), which is not known", tensor: name
      )
    }
    return Segment(
      file: try CarriedFileName(path).text, offset: offset, count: count, isCompressed: !transforms.isEmpty)
  }

  /// `TensorProperties` sets its state as a tuple that begins with the dtype.
  private static func element(
    _ value: PickleValue?, _ pickle: Pickle, _ name: String
  ) throws(StorageError) -> (String, DType?) {
    for part in (pickle.opaque(value, named: "TensorProperties")?.parts.values ?? []).reversed() {
      let first = pickle.elements(part)?.first ?? pickle.member("dtype", of: part)
      if case .global(.elementType(let typeName, let dtype))? = pickle.object(first) { return (typeName, dtype) }
      if case .global(.opaque(let typeName))? = pickle.object(first) { return (typeName, nil) }
    }
    throw StorageError(.malformed, "the metadata of the checkpoint do not say its dtype", tensor: name)
  }

  /// Keys of mappings and indexes of lists.
  private static func paths(_ value: PickleValue?, _ pickle: Pickle) -> [ExactString: [String]] {
    var paths: [ExactString: [String]] = [:]
    for member in pickle.members(value) ?? [] {
      guard let name = pickle.string(member.key), let keys = pickle.elements(member.value) else { continue }
      let path = keys.compactMap { pickle.string($0) ?? pickle.integer($0).map(String.init) }
      if path.count == keys.count, !path.isEmpty { paths[ExactString(name)] = path }
    }
    return paths
  }
}
