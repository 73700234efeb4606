import ArchiveFormat
import ByteIO
import Checkpoints
import Digests

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
