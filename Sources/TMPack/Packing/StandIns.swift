import ArchiveFormat
import ByteIO
import Checkpoints
import Digests
import TensorKit

extension Provenance {
  /// Takes as much as the real one, nearly: digests are not known without reading the files.
  init(standingInFor checkpoint: Checkpoint, options: [String: String]) throws(StorageError) {
    self.init(
      tool: TMPackVersion.tool, options: options,
      sources: try checkpoint.weightFiles.map { path throws(StorageError) in
        SourceRecord(
          name: FileTree.lastComponent(path), size: try ReadableFile(path, mode: .read).size,
          digest: Digest(of: Array(path.utf8)))
      })
  }
}

extension SharedEntry {
  /// Takes as much as the real one of a detached archive, nearly: the tensor is not read.
  init(standingInFor info: TensorInfo) {
    self = Array(info.name.utf8).withUnsafeBytes { SharedEntry(detached: info, $0) }
  }
}
