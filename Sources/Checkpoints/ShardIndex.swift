import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// `model.safetensors.index.json`: which shard holds which tensor.
///
/// `{"metadata": {"total_size": bytes}, "weight_map": {tensor: shard's file name}}`. What else `metadata` holds, and
/// a `total_size` that is wrong (some published ones are), is left alone: nothing depends on it.
struct ShardIndex: Sendable {
  let totalSize: UInt64?
  let weightMap: [(tensor: String, shard: String)]

  /// File names of the shards, sorted by their bytes.
  var shards: [String] {
    Set(weightMap.map { ExactString($0.shard) }).map(\.text)
      .sorted { $0.precedesInBytes($1) }
  }
}

extension ShardIndex {
  /// - Throws: `malformed`, also when a shard is anywhere but in the folder of the index; `limitExceeded`.
  init(parsing text: UnsafeRawBufferPointer) throws(StorageError) {
    var reader = JSONReader(text)
    var names = JSONNames(in: text)
    var totalSize: UInt64?
    var weightMap: [(tensor: String, shard: String)]?
    try reader.beginObject("the index")
    while let name = try reader.nextMember() {
      guard names.insert(name) else { throw reader.duplicate(name) }
      if name.matches("metadata") {
        totalSize = try Self.totalSize(&reader)
      } else if name.matches("weight_map") {
        weightMap = try Self.weightMap(text, &reader)
      } else {
        try Limits.check(names.count, atMost: Limits.jsonValues, "the number of members of the index")
        try reader.skipValue()
      }
    }
    try reader.end()
    guard let weightMap else { throw StorageError(.malformed, "the index has no \"weight_map\"") }
    self.totalSize = totalSize
    self.weightMap = weightMap
  }

  private static func totalSize(_ reader: inout JSONReader) throws(StorageError) -> UInt64? {
    var size: UInt64?
    try reader.beginObject("metadata")
    while let name = try reader.nextMember() {
      if name.matches("total_size"), try reader.kind() == .number {
        size = try reader.number().integer.flatMap(UInt64.init(exactly:))
      } else {
        try reader.skipValue()
      }
    }
    return size
  }

  private static func weightMap(
    _ text: UnsafeRawBufferPointer, _ reader: inout JSONReader
  ) throws(StorageError) -> [(tensor: String, shard: String)] {
    var tensors = JSONNames(in: text)
    var shardNames = JSONNames(in: text)
    var shards: [String] = []
    /// By the numbers of the tensors.
    var shardNumbers: [UInt32] = []
    try reader.beginObject("weight_map")
    while let name = try reader.nextMember() {
      let place = reader.offset
      do throws(StorageError) {
        try TensorInfo.check(nameBytes: name.byteCount)
        guard tensors.insert(name) else { throw reader.duplicate(name) }
        try Limits.check(tensors.count, atMost: Limits.tensors, "the number of tensors")
        let shardName = try reader.string("the shard's name")
        let (number, isNew) = shardNames.number(of: shardName)
        if isNew {
          try Limits.check(shardNames.count, atMost: Limits.shards, "the number of shards")
          let shard = try CarriedFileName(shardName.text)
          guard shard.components.count == 1 else {
            throw StorageError(.malformed, "the shard \"\(shard)\" is not in the folder of the index")
          }
          shards.append(shard.text)
        }
        shardNumbers.append(UInt32(number))
      } catch { throw error.at(offset: place, tensor: name.excerpt) }
    }
    return shardNumbers.enumerated().map { (tensors[$0].text, shards[Int($1)]) }
  }

  init(contentsOf path: String) throws(StorageError) {
    let file = try ReadableFile(path)
    self = try located(file: path) { () throws(StorageError) in
      try Limits.check(file.size, atMost: Limits.shardIndexBytes, "the size of the index")
      return try file.withBytes(at: 0, count: Int(file.size)) { text throws(StorageError) in
        try ShardIndex(parsing: text)
      }
    }
  }

  /// The text as `transformers` writes it: indented by two, tensors sorted, a newline at the end.
  var text: [UInt8] {
    var map = JSONObject()
    for (tensor, shard) in weightMap.sorted(by: { $0.tensor.precedesInBytes($1.tensor) }) {
      map[tensor] = .string(shard)
    }
    let metadata: JSONValue = totalSize.map { ["total_size": JSONValue($0)] } ?? [:]
    let index: JSONValue = ["metadata": metadata, "weight_map": .object(map)]
    return Array((index.prettyText + "\n").utf8)
  }
}
