import TMPackByteIO

/// The format of `torch.save` before 1.6 (torch/serialization.py, `_legacy_save`): five pickles, then the storages.
///
/// | what                                                              |
/// |-------------------------------------------------------------------|
/// | the pickle of 0x1950A86A20F9469CFC6C                               |
/// | the pickle of the version, 1001                                   |
/// | the pickle of `{"protocol_version", "little_endian", "type_sizes"}` |
/// | the pickle of the object                                          |
/// | the pickle of the list of the storages' keys                      |
/// | for each: 8 bytes, the number of elements; the elements, little-endian |
extension TorchFile {
  /// The first pickle, in each of the protocols: from 4 on it is one frame.
  static let legacyMagics: [[UInt8]] = (2...5).map { number in
    let magic: [UInt8] = [0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, UInt8(ascii: ".")]
    let frame: [UInt8] = [0x95, UInt8(magic.count), 0, 0, 0, 0, 0, 0, 0]
    return [0x80, UInt8(number)] + (number < 4 ? [] : frame) + magic
  }

  init(legacy file: ReadableFile) throws(StorageError) {
    let contents = try TorchContents(legacy: file)
    try self.init(
      contents,
      located(file: file.path) { () throws(StorageError) in
        try StateDictionary(contents.pickle)
      })
  }
}

extension TorchContents {
  private static let legacyVersion = 1001

  init(legacy file: ReadableFile) throws(StorageError) {
    let count = Int(min(file.size, UInt64(Limits.pickleBytes)))
    let (pickle, records) = try located(file: file.path) { () throws(StorageError) in
      try file.withBytes(at: 0, count: count) { raw throws(StorageError) in
        var input = ByteReader(raw)
        // What it is has been looked at before.
        _ = try Unpickler.load(&input)
        guard try Unpickler.load(&input).root == .integer(Self.legacyVersion) else {
          throw StorageError(.unsupportedVersion, "is of an unknown version of PyTorch's old format")
        }
        _ = try Unpickler.load(&input)
        let pickle = try Unpickler.load(&input)
        let keys = try Self.keys(Unpickler.load(&input))
        return (pickle, try Self.records(keys, pickle.objects, in: file, from: input.offset))
      }
    }
    (self.file, self.pickle, self.records) = (file, pickle, records)
    (archive, isBigEndian) = (nil, false)
  }

  private static func keys(
    _ pickle: Pickle
  ) throws(StorageError) -> [ExactString] {
    let fault = StorageError(.malformed, "the keys of the storages are no list of strings")
    guard case .object(let index) = pickle.root, case .list(let list) = pickle.objects[index] else { throw fault }
    return try list.values.map { part throws(StorageError) in
      guard case .object(let index) = part, case .string(let key) = pickle.objects[index] else { throw fault }
      return ExactString(key)
    }
  }

  private static func records(
    _ keys: [ExactString], _ objects: [PickleObject], in file: ReadableFile, from start: UInt64
  ) throws(StorageError) -> [ExactString: TorchRecord] {
    var storages: [ExactString: TorchStorage] = [:]
    for case .storage(let storage) in objects { storages[storage.key] = storage }
    var records: [ExactString: TorchRecord] = [:]
    var position = start
    let countBytes = MemoryLayout<Int64>.size
    for key in keys {
      guard let storage = storages[key], let dtype = storage.dtype else {
        let type = storages[key]?.typeName
        throw StorageError(
          type == nil ? .malformed : .unsupportedFeature,
          type.map { "holds elements of PyTorch's type \($0)" } ?? "holds a storage that nothing uses")
      }
      let count = try file.withBytes(at: position, count: countBytes) { raw throws(StorageError) in
        var input = ByteReader(raw, at: position)
        return try input.integer(Int64.self)
      }
      guard count == storage.count else {
        throw StorageError(.malformed, "a storage has \(count) elements, not \(storage.count)", offset: position)
      }
      position += UInt64(countBytes)
      let byteCount = UInt64(storage.count * dtype.torchWidth)
      guard byteCount <= file.size - position else {
        throw StorageError(
          .truncated, "the file ends \(byteCount - (file.size - position)) bytes too early", offset: file.size)
      }
      guard records.updateValue(TorchRecord(offset: position, byteCount: byteCount, entry: nil), forKey: key) == nil
      else { throw StorageError(.malformed, "the file holds a storage twice", offset: position) }
      position += byteCount
    }
    guard position == file.size else {
      throw StorageError(.malformed, "\(file.size - position) bytes follow the last storage", offset: position)
    }
    return records
  }
}
