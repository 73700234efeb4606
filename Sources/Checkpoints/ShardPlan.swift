import ByteIO
import TensorKit

/// How tensors are spread over files.
struct ShardPlan: Sendable {
  struct Shard: Sendable {
    let fileName: String
    let header: SafetensorsHeader
  }
  let shards: [Shard]
  let totalSize: UInt64

  /// Fills one shard after another in the order of the names, so that a layer's tensors stay together. A shard is
  /// larger than `maximum` only if it holds a single tensor.
  ///
  /// - Parameter maximum: bytes of tensors in a shard; nil for one shard whatever its size.
  init(_ source: some TensorSource, maximum: UInt64?) throws(StorageError) {
    var groups: [[TensorInfo]] = [[]]
    var size: UInt64 = 0
    for info in source.tensors {
      let grown = try size.adding(UInt64(info.byteCount), "the size of the tensors")
      if let maximum, grown > maximum, !groups[groups.count - 1].isEmpty {
        groups.append([])
        size = UInt64(info.byteCount)
      } else {
        size = grown
      }
      groups[groups.count - 1].append(info)
    }
    let count = groups.count
    shards = try groups.enumerated().map { item throws(StorageError) in
      Shard(
        fileName: Self.fileName(item.offset, of: count),
        header: try SafetensorsHeader(describing: item.element, metadata: source.metadata))
    }
    var total: UInt64 = 0
    for shard in shards { total = try total.adding(shard.header.dataByteCount, "the size of the tensors") }
    totalSize = total
  }

  /// `model.safetensors`, or `model-00002-of-00003.safetensors`: the names that `transformers` looks for.
  private static func fileName(_ index: Int, of count: Int) -> String {
    guard count > 1 else { return "model" + WeightFileName.safetensors }
    func padded(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
    return "model-\(padded(index + 1))-of-\(padded(count))\(WeightFileName.safetensors)"
  }

  /// The index that belongs beside several shards.
  var indexFile: [CarriedContent] {
    get throws(StorageError) {
      guard shards.count > 1 else { return [] }
      let map = shards.flatMap { shard in
        shard.header.entries.map { (tensor: $0.info.name, shard: shard.fileName) }
      }
      let index = ShardIndex(totalSize: totalSize, weightMap: map)
      let name = try CarriedFileName("model" + WeightFileName.safetensors + WeightFileName.index)
      return [CarriedContent(name) { index.text }]
    }
  }
}
