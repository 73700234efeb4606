import TMPackByteIO
import TMPackTensorKit

/// How the tensors of a folder are spread over files.
struct ShardPlan: Sendable {
  struct Shard: Sendable {
    /// In its folder.
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
  let part: FolderPart
  private let name: (stem: String, suffix: String)

  /// Fills one shard after another in the order of the names, so that a layer's tensors stay together. A shard is
  /// larger than `maximum` only if it holds a single tensor.
  ///
  /// - Parameters:
  ///   - maximum: bytes of tensors in a shard; nil for one shard whatever its size.
  ///   - quantization: see `CheckpointDestination.quantization`.
  init(
    _ part: FolderPart, _ format: WritableFormat, maximum: UInt64?, quantization: GGUFQuantization?
  ) throws(StorageError) {
    let source = part.source
    let format = part.file.flatMap(ComponentFile.format) ?? format
    let maximum = format.isSharded && part.file == nil ? maximum : nil
    let name = (stem: part.stem ?? format.fileName.stem, suffix: format.fileName.suffix)
    let quantization = part.file == nil ? quantization : nil
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
        fileName: part.file ?? Self.fileName(name, item.offset, of: count),
        plan: try format.plan(item.element, of: source, quantization: quantization), names: item.element.map(\.name))
    }
    // Each shard's size is known to fit; so many shards of them may not.
    var total: UInt64 = 0
    for info in source.tensors { total = try total.adding(UInt64(info.byteCount), "the size of the tensors") }
    totalSize = total
    writtenSize = shards.reduce(0) { $0 + $1.plan.tensors.reduce(0) { $0 + UInt64($1.byteCount) } }
    self.part = part
    self.name = name
  }

  /// `model.safetensors`, or `model-00002-of-00003.safetensors`: the names that `transformers` looks for.
  private static func fileName(_ name: (stem: String, suffix: String), _ index: Int, of count: Int) -> String {
    guard count > 1 else { return name.stem + name.suffix }
    func padded(_ number: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
    return "\(name.stem)-\(padded(index + 1))-of-\(padded(count))\(name.suffix)"
  }

  /// The index that belongs beside several shards.
  var indexFile: [CarriedContent] {
    get throws(StorageError) {
      guard shards.count > 1 else { return [] }
      let map = shards.flatMap { shard in shard.names.map { (tensor: $0, shard: shard.fileName) } }
      let index = ShardIndex(totalSize: totalSize, weightMap: map)
      let file = try CarriedFileName(part.folder + name.stem + name.suffix + WeightFileName.index)
      return [CarriedContent(file) { index.text }]
    }
  }
}
