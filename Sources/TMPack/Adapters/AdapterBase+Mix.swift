import ByteIO
import Checkpoints
import Models

extension AdapterBase {
  /// What an archive gives: its shared model, an expert, a mix.
  public init(_ mix: Mix) throws(StorageError) { try self.init(mix, files: mix.files.map(\.content)) }
}
