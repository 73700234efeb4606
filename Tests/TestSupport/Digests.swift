import TMPackDigests
import TMPackTensorKit

/// A line for each tensor: name, dtype, shape and digest, as the Python reader's `--digests` prints them.
package func digests(of source: any TensorSource) throws -> [String] {
  try source.tensors.map { info in
    let shape = info.shape.dimensions.map(String.init).joined(separator: ",")
    let digest = try source.bytes(of: info).withBytes { ContentDigest(of: $0) }
    return "\(info.name) \(info.dtype.rawValue) [\(shape)] \(digest)"
  }
}
