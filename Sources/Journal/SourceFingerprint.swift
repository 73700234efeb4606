import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackTensorKit

/// Tells files apart without reading all of them: by size and by pieces from all over.
///
/// The pieces are 4 KiB each, at most 64 of them, the first and the last among them, at equal distances. A file of up to 256 KiB is
/// read whole. So another training of the same model is told from it, and any change of size; a change of a few bytes
/// of a large file, between the pieces, is not.
package struct SourceFingerprint: Sendable, Hashable {
  private static let pieceBytes: UInt64 = 4096
  private static let pieceCount: UInt64 = 64

  package let path: String
  package let size: UInt64
  let digest: ContentDigest
  /// When the file was last modified, in nanoseconds; nil where that says nothing, as on another machine with a copy.
  let modified: Int64?

  package init(of path: String, withTime: Bool) throws(StorageError) {
    let file = try ReadableFile(path, mode: .read)
    self.path = path
    size = file.size
    var hash = RunningDigest()
    for (offset, count) in Self.pieces(of: file.size) {
      try file.withBytes(at: offset, count: count) { hash.update($0) }
    }
    digest = hash.finish()
    modified = withTime ? FileTree.modificationTime(of: path) : nil
  }

  private static func pieces(of size: UInt64) -> [(offset: UInt64, count: Int)] {
    if size <= pieceBytes * pieceCount { return [(0, Int(size))] }
    let last = size - pieceBytes
    return (0..<pieceCount).map { index in
      // The quotient first: the product may not fit.
      let step = last / (pieceCount - 1)
      return (index == pieceCount - 1 ? last : index * step, Int(pieceBytes))
    }
  }

  package var json: JSONValue {
    var object: JSONObject = [
      "path": .string(path), "size": JSONValue(size), "fingerprint": .string(digest.hexadecimal),
    ]
    object["modified"] = modified.map { .string(String($0)) }
    return .object(object)
  }
}

extension TensorSource {
  /// A digest of the tensors' names, dtypes and shapes.
  package var outline: ContentDigest {
    var hash = RunningDigest()
    for info in tensors {
      let shape = info.shape.dimensions.map(String.init).joined(separator: ",")
      // No name has a line feed that could be taken for the end of one: its length comes first.
      Array("\(info.name.utf8.count) \(info.name) \(info.dtype.rawValue) \(shape)\n".utf8).withUnsafeBytes {
        hash.update($0)
      }
    }
    return hash.finish()
  }

  /// A digest of the outline and of the beginnings of up to 64 tensors: for sources whose files are not known.
  package func sample() throws(StorageError) -> ContentDigest {
    var hash = RunningDigest()
    outline.bytes.withUnsafeBytes { hash.update($0) }
    let infos = tensors
    for index in stride(from: 0, to: infos.count, by: max(1, infos.count / 64)) {
      try bytes(of: infos[index]).withBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0.prefix(4096))) }
    }
    return hash.finish()
  }
}
