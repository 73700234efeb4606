import TMPackByteIO

extension SafetensorsHeader {
  /// Reads the length that a file starts with.
  ///
  /// - Throws: `truncated` when the header does not fit the file, `limitExceeded` above
  ///   `Limits.safetensorsHeaderBytes`.
  static func length(parsing input: inout ByteReader, fileSize: UInt64) throws(StorageError) -> Int {
    let place = input.offset
    let length = try input.integer(UInt64.self)
    do throws(StorageError) {
      try Limits.check(length, atMost: Limits.safetensorsHeaderBytes, "the length of the header")
    } catch { throw error.at(offset: place) }
    let available = fileSize - input.offset
    guard length <= available else {
      throw StorageError(
        .truncated, "the file ends \(length - available) bytes before its header of \(length) bytes does",
        offset: fileSize)
    }
    return Int(length)
  }

  /// Reads a whole header and checks it against the size of its file. `input` is left where the data begins.
  ///
  /// Strict: one dtype, shape and pair of offsets for every tensor and nothing else, no duplicate names, the data part
  /// covered from its first byte to the file's last.
  ///
  /// - Throws: `malformed`, `truncated`, `limitExceeded`; `unsupportedFeature` for an unknown dtype. Each names the
  ///   byte and, where there is one, the tensor.
  /// - Complexity: O(n log n) in the number of tensors. Memory: for each tensor some 200 bytes and its name; 60 bytes
  ///   while a rule may still be broken.
  package init(parsing input: inout ByteReader, fileSize: UInt64) throws(StorageError) {
    let length = try Self.length(parsing: &input, fileSize: fileSize)
    let textStart = input.offset
    let text = try input.take(length)

    guard text.first == UInt8(ascii: "{") else {
      throw StorageError(.malformed, "the header does not begin with '{'", offset: textStart)
    }
    // JSON allows any white space at its end; this format only spaces.
    let end = text.lastIndex { $0 != UInt8(ascii: " ") }!
    guard text[end] == UInt8(ascii: "}") else {
      throw StorageError(
        .malformed, "the header does not end with '}' and spaces", offset: textStart + UInt64(end))
    }

    var outline = try SafetensorsOutline(text, at: textStart)
    try outline.checkLayout(fileSize: fileSize)
    self = try outline.header()
  }
}
