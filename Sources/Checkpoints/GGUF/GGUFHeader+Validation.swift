import TMPackByteIO
import TMPackTensorKit

extension GGUFHeader {
  /// The rules that hold for a header whoever made it.
  func validate() throws(StorageError) {
    try Limits.check(entries.count, atMost: Limits.ggufTensors, "the number of tensors")
    try Limits.check(metadata.entries.count, atMost: Limits.ggufMetadataEntries, "the number of metadata entries")
    try Self.check(keyBytes: metadata.entries.reduce(0) { $0 + $1.key.utf8.count })
    for entry in metadata.entries { try entry.validate() }
    var names = Set<ExactString>(minimumCapacity: entries.count)
    for entry in entries {
      guard names.insert(ExactString(entry.info.name)).inserted else {
        throw StorageError(.malformed, "the name is there twice", tensor: entry.info.name)
      }
      guard !isBigEndian || !entry.type.isQuantized else {
        throw StorageError(
          .unsupportedFeature, "has the type \(entry.type), which is not read from a big-endian file",
          tensor: entry.info.name)
      }
      guard entry.offset.isMultiple(of: UInt64(alignment)) else {
        throw StorageError(
          .malformed, "begins at data byte \(entry.offset), not a multiple of \(alignment)",
          tensor: entry.info.name)
      }
    }
    try validateRanges()
  }

  /// - Parameter keyBytes: of all keys together.
  static func check(keyBytes: Int) throws(StorageError) {
    try Limits.check(keyBytes, atMost: Limits.metadataNameBytes, "the size of the keys of the metadata")
  }

  /// Tensors may come in any order and with holes between them, but not share a byte.
  private func validateRanges() throws(StorageError) {
    var position: UInt64 = 0
    let filled = entries.filter { $0.storedBytes > 0 }
    for entry in filled.sorted(by: { ($0.offset, $0.storedBytes) < ($1.offset, $1.storedBytes) }) {
      guard entry.offset >= position else {
        throw StorageError(
          .malformed,
          "begins at data byte \(entry.offset), before another tensor ends at \(position)", tensor: entry.info.name)
      }
      position = try located(tensor: entry.info.name) { () throws(StorageError) in
        try entry.offset.adding(UInt64(entry.storedBytes), "the end of a tensor")
      }
    }
  }

  /// Whether the file holds all of every tensor.
  /// - Parameter start: the file's byte where the data begins.
  func validate(fileSize: UInt64, dataStart start: UInt64) throws(StorageError) {
    let available = fileSize > start ? fileSize - start : 0
    for entry in entries where entry.storedBytes > 0 {
      let end = entry.offset + UInt64(entry.storedBytes)
      guard end <= available else {
        throw StorageError(
          .truncated, "ends at data byte \(end), the file has \(available)", offset: fileSize, tensor: entry.info.name)
      }
    }
  }
}

extension TypedMetadata.Entry {
  /// The document wants keys of ASCII, lower case and underscores; tools that write others are not refused here.
  fileprivate func validate() throws(StorageError) {
    guard !key.isEmpty else { throw StorageError(.malformed, "a key is empty") }
    try Limits.check(key.utf8.count, atMost: Limits.ggufKeyBytes, "the length of a key")
  }
}
