import TMPackByteIO
import TMPackDigests
import TMPackParallel
import TMPackTensorKit

extension TensorSource {
  /// The digests of all tensors, in their order, and what looks wrong with their numbers, if that is asked for.
  ///
  /// - Parameter progress: called with the bytes read since the last call.
  func digests(
    checkingNumbers: Bool, pipeline: OrderedPipeline, progress: (UInt64) -> Void
  ) throws(StorageError) -> (digests: [ContentDigest], checks: [(name: String, check: TensorCheck)]) {
    let infos = tensors
    var digests = [ContentDigest?](repeating: nil, count: infos.count)
    var lying: [(index: Int, range: FileRange)] = []
    var made: [Int] = []
    for (index, info) in infos.enumerated() {
      if !checkingNumbers, let range = try plainRange(of: info) {
        lying.append((index, range))
      } else {
        made.append(index)
      }
    }
    try pipeline.digest(lying.map(\.range)) { number, digest in
      digests[lying[number].index] = digest
      progress(UInt64(lying[number].range.count))
    }
    var checks: [(name: String, check: TensorCheck)] = []
    let (source, others) = (self, made)
    try pipeline.run(others.count) { number throws(StorageError) -> (ContentDigest, TensorCheck?) in
      let info = infos[others[number]]
      return try located(file: source.label, tensor: info.name) { () throws(StorageError) in
        try source.bytes(of: info).withBytes { raw in
          (ContentDigest(of: raw), checkingNumbers ? TensorCheck(raw, info.dtype) : nil)
        }
      }
    } consume: { number, result in
      let info = infos[others[number]]
      digests[others[number]] = result.0
      if let check = result.1, !check.isClean { checks.append((info.name, check)) }
      progress(UInt64(info.byteCount))
    }
    return (digests.map { $0! }, checks)
  }

  /// Where a tensor's elements lie in a file that says nothing of their checksum; nil where they must be made or checked.
  private func plainRange(of info: TensorInfo) throws(StorageError) -> FileRange? {
    guard let stored = try stored(info), stored.encoding == .plain, stored.check == nil,
      stored.range.count == info.byteCount
    else { return nil }
    return stored.range
  }
}
