import TMPackByteIO
import TMPackJSON

extension SafetensorsHeader {
  /// Where the data begins in the files that we write is a multiple of this: a cache line, and what vector loads of
  /// mapped tensors like best. (The reference library fills up to 8.)
  static let alignment = 64

  /// Writes the length and the header, metadata first, tensors in the order of their bytes.
  ///
  /// Equal headers give equal bytes.
  /// - Throws: `limitExceeded` when no reader would accept a header of this length, or its metadata.
  package func write(to output: inout ByteWriter) throws(StorageError) {
    try Self.checkMetadata(
      entries: metadata.count, nameBytes: metadata.keys.reduce(0) { $0 + $1.utf8.count },
      valueBytes: metadata.values.reduce(0) { $0 + $1.utf8.count })
    let text = json.compactText.utf8
    let start = (SafetensorsKey.lengthBytes + text.count).roundedUp(toMultipleOf: Self.alignment)
    let length = start - SafetensorsKey.lengthBytes
    try Limits.check(length, atMost: Limits.safetensorsHeaderBytes, "the length of the header")
    output.integer(UInt64(length))
    output.append(text)
    output.append(repeatElement(UInt8(ascii: " "), count: length - text.count))
  }

  private var json: JSONValue {
    var header = JSONObject()
    if !metadata.isEmpty {
      var strings = JSONObject()
      for (name, value) in metadata.sorted(by: { $0.key.precedesInBytes($1.key) }) {
        strings[name] = .string(value)
      }
      header[SafetensorsKey.metadata] = .object(strings)
    }
    for entry in entries {
      header[entry.info.name] = [
        SafetensorsKey.dtype: .string(entry.info.dtype.rawValue),
        SafetensorsKey.shape: .array(entry.info.shape.dimensions.map { JSONValue($0) }),
        SafetensorsKey.offsets: [JSONValue(entry.begin), JSONValue(entry.end)],
      ]
    }
    return .object(header)
  }
}
