import TMPackByteIO
import TMPackCheckpoints

extension Checkpoint {
  /// The same model with a configuration that says what has become another.
  package func applying(_ changes: ConfigurationChanges) throws(StorageError) -> Checkpoint {
    var files: [CarriedFile] = []
    for file in carriedFiles {
      guard file.name.text == ConfigurationChanges.fileName else {
        files.append(file)
        continue
      }
      files.append(
        CarriedFile(name: file.name, path: file.path, changedTo: changes.applied(to: try file.content.bytes())))
    }
    return Checkpoint(
      path: path, layout: layout, source: source, weightFiles: weightFiles, carriedFiles: files,
      skippedFiles: skippedFiles, stamps: stamps)
  }
}
