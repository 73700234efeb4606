import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// What one pass over a tensor's bytes tells.
package struct TensorScan {
  let digest: ContentDigest
  /// nil where it was not asked for.
  let checksum: CRC32?
  /// The first element that is NaN or infinite, if that was asked for.
  let firstNonFinite: Int?

  /// Memory: a run of the bytes.
  ///
  /// - Parameter format: of the elements, if it is asked whether they are finite.
  package init(_ tensor: OpenTensor, _ format: FloatFormat? = nil, hasChecksum: Bool = false) throws(StorageError) {
    var (hash, checksum) = (RunningDigest(), CRC32())
    var first: Int?
    // Each run is looked at while it is in the cache.
    try tensor.forEachRun { start, run in
      hash.update(run)
      if hasChecksum { checksum.update(run) }
      if first == nil, let format, let place = format.firstNonFinite(run) { first = start / format.byteWidth + place }
    }
    (digest, self.checksum, firstNonFinite) = (hash.finish(), hasChecksum ? checksum : nil, first)
  }

  func refuseNonFinite(_ format: FloatFormat) throws(StorageError) {
    guard let index = firstNonFinite else { return }
    throw StorageError(
      .nonFinite,
      "element \(index) (byte \(index * format.byteWidth) of the tensor) is NaN or infinite"
    ).with(.keepExactly)
  }
}

extension OpenTensor {
  /// The first element that is NaN or infinite.
  func firstNonFinite(_ format: FloatFormat) throws(StorageError) -> Int? {
    for start in stride(from: 0, to: count, by: Self.runBytes) {
      let place = try withBytes(start..<min(start + Self.runBytes, count)) { format.firstNonFinite($0) }
      if let place { return start / format.byteWidth + place }
    }
    return nil
  }
}
