import TMPackByteIO

/// The names of records in a file of `torch.save` (caffe2/serialize/inline_container.h): all in one folder.
enum TorchRecordName {
  static let pickle = "data.pkl"
  static let storages = "data/"
  static let byteOrder = "byteorder"
  static let version = "version"
  /// What only TorchScript has.
  static let constants = "constants.pkl"
}

extension TorchFile {
  /// Whether the archive is of PyTorch: only these have a pickle named so in their only folder.
  static func pickle(in archive: ZipArchive) -> ZipEntry? {
    archive.entries.first {
      $0.name.hasSuffix("/" + TorchRecordName.pickle) && $0.name.count(where: { $0 == "/" }) == 1
    }
  }

  /// The ZIP format, since PyTorch 1.6.
  ///
  /// - Throws: what `TorchContents` throws, and `StateDictionary`.
  init(_ archive: ZipArchive, pickle: ZipEntry) throws(StorageError) {
    let contents = try TorchContents(archive, pickle: pickle)
    try self.init(
      contents,
      located(file: archive.file.path) { () throws(StorageError) in
        try StateDictionary(contents.pickle)
      })
  }
}

extension TorchContents {
  /// The ZIP format, since PyTorch 1.6.
  ///
  /// - Throws: `unsupportedFeature` for TorchScript; `malformed`, `truncated`, `limitExceeded`, `digestMismatch`.
  init(_ archive: ZipArchive, pickle: ZipEntry) throws(StorageError) {
    let file = archive.file
    let folder = String(pickle.name.dropLast(TorchRecordName.pickle.count))
    guard archive[folder + TorchRecordName.constants] == nil else {
      throw StorageError(
        .unsupportedFeature, "is a TorchScript program; save its state_dict() with torch.save", file: file.path)
    }
    var isBigEndian = false
    if let order = archive[folder + TorchRecordName.byteOrder] {
      switch String(decoding: try archive.bytes(of: order, atMost: 64), as: UTF8.self) {
      case "little": break
      case "big": isBigEndian = true
      default: throw StorageError(.malformed, "the byte order is neither little nor big", file: file.path)
      }
    }
    let bytes = try archive.bytes(of: pickle, atMost: Limits.pickleBytes)
    self.pickle = try located(file: file.path) { () throws(StorageError) in
      try bytes.withBytes { raw throws(StorageError) in
        // Offsets of errors count from the start of the file.
        var input = ByteReader(raw, at: pickle.method == ZipFormat.stored ? pickle.dataOffset : 0)
        let pickle = try Unpickler.load(&input)
        guard input.remaining == 0 else {
          throw StorageError(.malformed, "bytes follow the end of the pickle", offset: input.offset)
        }
        return pickle
      }
    }
    var records: [ExactString: TorchRecord] = [:]
    let prefix = folder + TorchRecordName.storages
    for entry in archive.entries where entry.name.utf8.starts(with: prefix.utf8) {
      let key = ExactString(String(decoding: entry.name.utf8.dropFirst(prefix.utf8.count), as: UTF8.self))
      records[key] = TorchRecord(offset: entry.dataOffset, byteCount: entry.size, entry: entry)
    }
    (self.file, self.archive, self.records, self.isBigEndian) = (file, archive, records, isBigEndian)
  }
}
