import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackReading
import TMPackTensorKit

extension Provenance {
  /// Takes as much as the real one, nearly: digests are not known without reading the files.
  package init(standingInFor checkpoint: Checkpoint, options: [String: String]) throws(StorageError) {
    self.init(
      tool: TMPackVersion.tool, options: options,
      sources: try checkpoint.weightFiles.map { path throws(StorageError) in
        SourceRecord(
          name: FileTree.lastComponent(path), size: try ReadableFile(path, mode: .read).size,
          digest: ContentDigest(of: Array(path.utf8)))
      })
  }
}

extension SharedEntry {
  /// Takes as much as the real one of a detached archive, nearly: the tensor is not read.
  package init(standingInFor info: TensorInfo) {
    let name = Array(info.name.utf8)
    self.init(
      info: info, digest: ContentDigest(of: name), content: .detached(name.withUnsafeBytes { CRC32.of($0) }))
  }
}
