import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

extension ContentDigest {
  /// The digest of a tensor's bytes. Memory: a run of them.
  package init(of tensor: OpenTensor) throws(StorageError) {
    var hash = RunningDigest()
    try tensor.forEachRun { _, run in hash.update(run) }
    self = hash.finish()
  }
}
