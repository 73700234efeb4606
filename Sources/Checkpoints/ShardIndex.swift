import ByteIO

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
      .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}

extension ShardIndex {
  /// - Throws: `malformed`, also when a shard is anywhere but in the folder of the index.
  init(parsing text: UnsafeRawBufferPointer) throws(StorageError) {
    let index = try JSONValue(parsing: text, maximumValues: Limits.jsonValues).asObject("the index")
    let metadata = try index["metadata"]?.asObject("metadata")
    if case .integer(let size) = metadata?["total_size"], size >= 0 {
      totalSize = UInt64(size)
    } else {
      totalSize = nil
    }
    let members = try index.required("weight_map", of: "the index").asObject("weight_map").members
    try Limits.check(members.count, atMost: Limits.tensors, "the number of tensors")
    weightMap = try members.map { member throws(StorageError) in
      try located(tensor: member.name) { () throws(StorageError) in
        let shard = try CarriedFileName(member.value.asString("the shard's name"))
        guard shard.components.count == 1 else {
          throw StorageError(.malformed, "the shard \"\(shard)\" is not in the folder of the index")
        }
        return (tensor: member.name, shard: shard.text)
      }
    }
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
    for (tensor, shard) in weightMap.sorted(by: { $0.tensor.utf8.lexicographicallyPrecedes($1.tensor.utf8) }) {
      map[tensor] = .string(shard)
    }
    let metadata: JSONValue = totalSize.map { ["total_size": JSONValue($0)] } ?? [:]
    let index: JSONValue = ["metadata": metadata, "weight_map": .object(map)]
    return Array((index.prettyText + "\n").utf8)
  }
}
