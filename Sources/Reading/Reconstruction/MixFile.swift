import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests

/// A non-tensor file that travels in an archive.
public struct MixFile: Sendable {
  public let name: CarriedFileName
  public let size: Int
  let digest: ContentDigest
  public let read: @Sendable () throws(StorageError) -> [UInt8]

  /// The file's bytes, checked by digest. At most `Limits.carriedFileBytes`.
  public func bytes() throws(StorageError) -> [UInt8] { try read() }

  /// For `CheckpointDestination.write`.
  public var content: CarriedContent { CarriedContent(name, bytes: read) }

  /// The files of an expert, or of the shared model.
  public static func list(of archive: Archive, expert: Int?) throws(StorageError) -> [MixFile] {
    let file = archive.file
    if let expert {
      let section = try file.expertSection(expert)
      return section.manifest.files.map { MixFile($0, archive: file, section: section) }
    }
    let section = try file.sharedSection()
    return section.manifest.files.map { MixFile($0, archive: file, section: section) }
  }

  init<Manifest>(_ entry: CarriedFileEntry, archive: ArchiveFile, section: Section<Manifest>) {
    name = entry.name
    size = entry.payload.size
    digest = entry.digest
    read = { () throws(StorageError) in
      let bytes = try archive.payloads.bytes(of: entry.payload, in: section)
      let actual = ContentDigest(of: bytes)
      guard actual == entry.digest else {
        throw StorageError(
          .digestMismatch, "file '\(entry.name)': expected digest \(entry.digest), found \(actual)", file: archive.path)
      }
      return bytes
    }
  }
}
