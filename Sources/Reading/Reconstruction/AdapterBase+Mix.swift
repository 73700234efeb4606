import TMPackByteIO
import TMPackModels

extension AdapterBase {
  /// What an archive gives: its shared model, an expert, a mix.
  package init(_ mix: Mix) throws(StorageError) { try self.init(mix, files: mix.files.map(\.content)) }
}
