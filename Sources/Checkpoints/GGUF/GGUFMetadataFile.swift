import TMPackByteIO
import TMPackTensorKit

/// The metadata of a GGUF file as a file that travels with tensors where metadata are text only: a GGUF file without tensors
/// (Spec/gguf-models.md, rule 26).
package enum GGUFMetadataFile {
  package static let name = "gguf-metadata"

  static func bytes(_ metadata: TypedMetadata) throws(StorageError) -> [UInt8] {
    var output = ByteWriter()
    try GGUFHeader(metadata: metadata, entries: []).write(to: &output)
    return output.bytes
  }

  /// What such a file among others says; nil without one.
  ///
  /// - Throws: `malformed` for a file of that name that is something else; what reading it throws.
  package static func metadata(in files: [CarriedContent]) throws(StorageError) -> TypedMetadata? {
    guard let file = files.first(where: { $0.name.text == name }) else { return nil }
    let bytes = try file.bytes()
    return try located(file: name) { () throws(StorageError) in
      try bytes.withBytes { raw throws(StorageError) in
        var input = ByteReader(raw)
        return try GGUFHeader(parsing: &input, fileSize: UInt64(raw.count)).metadata
      }
    }
  }
}

extension Checkpoint {
  /// The files that an archive keeps: those that are carried, and the metadata of a GGUF file, of which text would lose types and
  /// arrays.
  package var archivedFiles: [CarriedFile] {
    get throws(StorageError) {
      let metadata = source.typedMetadata
      guard !metadata.lossesAsText(in: "").isEmpty,
        !carriedFiles.contains(where: { $0.name.text == GGUFMetadataFile.name })
      else { return carriedFiles }
      let file = CarriedFile(
        name: try CarriedFileName(GGUFMetadataFile.name), path: weightFiles.first ?? path,
        changedTo: try GGUFMetadataFile.bytes(metadata))
      return (carriedFiles + [file]).sorted { $0.name < $1.name }
    }
  }
}
