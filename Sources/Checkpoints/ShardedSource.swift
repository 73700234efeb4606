import TMPackByteIO
import TMPackTensorKit

/// The tensors of several shards as one source.
///
/// The index and the shards must say the same: every tensor of the index is in its shard, and no shard has another.
struct ShardedSource: TensorSource {
  let tensors: [TensorInfo]
  /// Of all shards; where they disagree the first shard is right.
  let metadata: [String: String]
  let label: String
  private let shards: [any TensorSource]
  /// The shard of each tensor, in the order of `tensors`.
  private let owners: [Int]

  init(_ index: ShardIndex, at indexPath: String, mode: InputMode) throws(StorageError) {
    let folder = FileTree.parent(indexPath)
    let names = index.shards
    shards = try names.map { name throws(StorageError) in
      try CheckpointFormat.open(FileTree.join(folder, name), mode: mode)
    }
    label = folder

    var unseen: [ExactString: String] = [:]
    for (tensor, shard) in index.weightMap { unseen[ExactString(tensor)] = shard }
    var owned: [(info: TensorInfo, owner: Int)] = []
    var seen: [ExactString: Int] = [:]
    for (number, shard) in shards.enumerated() {
      for info in shard.tensors {
        let name = ExactString(info.name)
        if let first = seen.updateValue(number, forKey: name) {
          throw StorageError(.malformed, "is in \(names[first]) too", file: shard.label, tensor: info.name)
        }
        guard let declared = unseen.removeValue(forKey: name) else {
          throw StorageError(.malformed, "is not in the index", file: shard.label, tensor: info.name)
        }
        guard declared.hasSameBytes(as: names[number]) else {
          throw StorageError(
            .malformed, "is here, though the index says it is in \(declared)", file: shard.label, tensor: info.name)
        }
        owned.append((info, number))
      }
    }
    if let (name, shard) = unseen.min(by: { $0.key.text.precedesInBytes($1.key.text) }) {
      throw StorageError(
        .malformed, "is not in \(shard), where the index says it is", file: indexPath, tensor: name.text)
    }
    owned.sort { $0.info.name.precedesInBytes($1.info.name) }
    tensors = owned.map(\.info)
    owners = owned.map(\.owner)
    metadata = shards.reduce(into: [:]) { merged, shard in merged.merge(shard.metadata) { first, _ in first } }
  }

  var ties: [String: String] { shards.reduce(into: [:]) { all, shard in all.merge(shard.ties) { first, _ in first } } }
  var notes: [String] { shards.flatMap(\.notes) }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try owner(of: info).read(info, into: destination)
  }

  func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try owner(of: info).bytes(of: info) }

  func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? { try owner(of: info).stored(info) }

  func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try owner(of: info).piece(range, of: info)
  }

  private func owner(of info: TensorInfo) throws(StorageError) -> any TensorSource {
    shards[owners[try place(of: info)]]
  }
}
