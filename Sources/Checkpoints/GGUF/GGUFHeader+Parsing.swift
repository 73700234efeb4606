import TMPackByteIO
import TMPackTensorKit

extension GGUFHeader {
  /// The least that a metadata entry and a tensor's take: lengths of the name, types, numbers.
  private static let minimumEntryBytes = 8 + 1 + 4 + 1
  private static let minimumTensorBytes = 8 + 4 + 4 + 8

  /// Reads a whole header and checks it against the size of its file. `input` is left at its end; the data begins at
  /// the next multiple of `alignment`.
  ///
  /// - Throws: `malformed`, `truncated`, `limitExceeded`; `unsupportedVersion` for version 1 and those after 3;
  ///   `unsupportedFeature` for a tensor type that cannot be read, for quantised tensors in a big-endian file (what the
  ///   order of a block's bytes is there, no document says). Each names the byte and,
  ///   where there is one, the tensor.
  /// - Complexity: O(n log n) in the number of tensors; memory is a small multiple of the header's.
  package init(parsing input: inout ByteReader, fileSize: UInt64) throws(StorageError) {
    let start = input.offset
    guard try input.take(Self.magic.count).elementsEqual(Self.magic) else {
      throw StorageError(.unknownFormat, "does not begin with GGUF", offset: start)
    }
    try Self.checkVersion(&input)

    let countsPlace = input.offset
    let tensorCount = try input.integer(UInt64.self)
    let entryCount = try input.integer(UInt64.self)
    do throws(StorageError) {
      try Limits.check(tensorCount, atMost: Limits.ggufTensors, "the number of tensors")
      try Limits.check(entryCount, atMost: Limits.ggufMetadataEntries, "the number of metadata entries")
    } catch { throw error.at(offset: countsPlace) }
    let needed = Int(tensorCount) * Self.minimumTensorBytes + Int(entryCount) * Self.minimumEntryBytes
    guard needed <= input.remaining else {
      throw StorageError(
        .truncated, "the header needs at least \(needed) more bytes, \(input.remaining) are left", offset: countsPlace)
    }

    var values: [TypedMetadata.Entry] = []
    values.reserveCapacity(Int(entryCount))
    var budget = GGUFArrayBudget()
    var keyBytes = 0
    for _ in 0..<entryCount {
      let place = input.offset
      let entry = try TypedMetadata.Entry(parsing: &input, &budget)
      keyBytes += entry.key.utf8.count
      do throws(StorageError) { try Self.check(keyBytes: keyBytes) } catch { throw error.at(offset: place) }
      values.append(entry)
    }
    var entries: [Entry] = []
    entries.reserveCapacity(Int(tensorCount))
    for _ in 0..<tensorCount { entries.append(try Entry(parsing: &input)) }
    try self.init(metadata: TypedMetadata(entries: values), entries: entries, isBigEndian: input.isBigEndian)
    try validate(fileSize: fileSize, dataStart: input.offset.roundedUp(toMultipleOf: UInt64(alignment)))
  }

  /// Reads the version, and by it the byte order: nothing else tells.
  private static func checkVersion(_ input: inout ByteReader) throws(StorageError) {
    let place = input.offset
    var version = try input.integer(UInt32.self)
    if 1...3 ~= version.byteSwapped {
      input.isBigEndian = true
      version = version.byteSwapped
    }
    if 2...3 ~= version { return }
    if version == 1 {
      throw StorageError(
        .unsupportedVersion, "is a GGUF file of version 1, which was replaced in August 2023; make it again",
        offset: place)
    }
    throw StorageError(.unsupportedVersion, "is a GGUF file of version \(version); 2 and 3 are read", offset: place)
  }

  /// A part alone would be taken for the whole model.
  func refuseParts() throws(StorageError) {
    guard let count = metadata[GGUFKey.splitCount]?.text, count != "0", count != "1" else { return }
    let number = metadata[GGUFKey.splitNumber]?.text ?? "?"
    throw StorageError(
      .unsupportedFeature,
      "is part \(number) (from 0) of a model split into \(count) files, which are read together by the names that llama-gguf-split gives them, NAME-00001-of-\(String(repeating: "0", count: max(0, 5 - count.utf8.count)))\(count).gguf"
    )
  }
}

extension TypedMetadata.Entry {
  fileprivate init(parsing input: inout ByteReader, _ budget: inout GGUFArrayBudget) throws(StorageError) {
    let key = try input.ggufString(atMost: Limits.ggufKeyBytes, "the length of a key")
    do throws(StorageError) { self.init(key: key, value: try MetadataValue(parsing: &input, &budget)) } catch {
      throw StorageError(error.code, "\(error.message), in the value of \"\(key)\"", offset: error.offset)
    }
  }
}

extension GGUFHeader.Entry {
  fileprivate init(parsing input: inout ByteReader) throws(StorageError) {
    let place = input.offset
    let name = try input.ggufString(atMost: Limits.nameBytes, "the length of a tensor's name")
    do throws(StorageError) {
      let dimensionCount = try input.integer(UInt32.self)
      try Limits.check(dimensionCount, atMost: Limits.dimensions, "the number of dimensions")
      var dimensions: [Int] = []
      for _ in 0..<dimensionCount {
        guard let dimension = Int(exactly: try input.integer(UInt64.self)) else {
          throw StorageError(.malformed, "a dimension is 2⁶³ or more")
        }
        dimensions.append(dimension)
      }
      // ggml counts the dimension whose elements are neighbours first; everyone else counts it last.
      let shape = try Shape(dimensions.reversed())
      let code = try input.integer(UInt32.self)
      guard let type = GGUFTensorType(rawValue: code) else {
        let name = GGUFTensorType.name(ofUnsupported: code)
        throw StorageError(.unsupportedFeature, "has the type \(name), which cannot be read")
      }
      let offset = try input.integer(UInt64.self)
      try self.init(info: TensorInfo(name: name, dtype: type.dtype, shape: shape), type: type, offset: offset)
    } catch {
      throw error.at(offset: place, tensor: name)
    }
  }
}
