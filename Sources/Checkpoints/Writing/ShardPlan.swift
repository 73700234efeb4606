import ByteIO
import TensorKit

/// How tensors are spread over files.
struct ShardPlan: Sendable {
  struct Shard: Sendable {
    let fileName: String
    let plan: any CheckpointFilePlan
    /// Names of all tensors, tied ones included.
    let names: [String]
  }
  let shards: [Shard]
  /// Of all tensors, as an index gives it.
  let totalSize: UInt64
  /// Of the tensors whose bytes are written.
  let writtenSize: UInt64
  private let format: WritableFormat

  /// Fills one shard after another in the order of the names, so that a layer's tensors stay together. A shard is
  /// larger than `maximum` only if it holds a single tensor.
  ///
  /// - Parameter maximum: bytes of tensors in a shard; nil for one shard whatever its size.
  init(_ source: some TensorSource, _ format: WritableFormat, maximum: UInt64?) throws(StorageError) {
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
    let (metadata, ties) = (source.metadata, source.ties)
    shards = try groups.enumerated().map { item throws(StorageError) in
      Shard(
        fileName: Self.fileName(format, item.offset, of: count),
        plan: try format.plan(item.element, metadata: metadata, ties: ties), names: item.element.map(\.name))
    }
    // Each shard's size is known to fit; so many shards of them may not.
    var total: UInt64 = 0
    for info in source.tensors { total = try total.adding(UInt64(info.byteCount), "the size of the tensors") }
    totalSize = total
    writtenSize = shards.reduce(0) { $0 + $1.plan.tensors.reduce(0) { $0 + UInt64($1.byteCount) } }
    self.format = format
  }

  /// `model.safetensors`, or `model-00002-of-00003.safetensors`: the names that `transformers` looks for.
  private static func fileName(_ format: WritableFormat, _ index: Int, of count: Int) -> String {
    let (stem, suffix) = format.fileName
    guard count > 1 else { return stem + suffix }
    func padded(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
    return "\(stem)-\(padded(index + 1))-of-\(padded(count))\(suffix)"
  }

  /// The index that belongs beside several shards.
  var indexFile: [CarriedContent] {
    get throws(StorageError) {
      guard shards.count > 1 else { return [] }
      let map = shards.flatMap { shard in shard.names.map { (tensor: $0, shard: shard.fileName) } }
      let index = ShardIndex(totalSize: totalSize, weightMap: map)
      let name = try CarriedFileName(format.fileName.stem + format.fileName.suffix + WeightFileName.index)
      return [CarriedContent(name) { index.text }]
    }
  }
}
