import ByteIO
import TensorKit

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
  /// - Complexity: O(n log n) in the number of tensors; memory is a small multiple of the header's.
  public init(parsing input: inout ByteReader, fileSize: UInt64) throws(StorageError) {
    let length = try Self.length(parsing: &input, fileSize: fileSize)
    let textStart = input.offset
    let text = try input.take(length)
    let dataStart = input.offset

    guard text.first == UInt8(ascii: "{") else {
      throw StorageError(.malformed, "the header does not begin with '{'", offset: textStart)
    }
    // JSON allows any white space at its end; this format only spaces.
    let end = text.lastIndex { $0 != UInt8(ascii: " ") }!
    guard text[end] == UInt8(ascii: "}") else {
      throw StorageError(
        .malformed, "the header does not end with '}' and spaces", offset: textStart + UInt64(end))
    }

    do throws(StorageError) {
      let members = try JSONValue(parsing: text, at: textStart, maximumValues: Limits.jsonValues).asObject("the header")
        .members
      try Limits.check(members.count, atMost: Limits.tensors + 1, "the number of entries")
      var metadata: [String: String] = [:]
      var entries: [Entry] = []
      entries.reserveCapacity(members.count)
      for (name, value) in members {
        if name.hasSameBytes(as: SafetensorsKey.metadata) {
          metadata = try Self.metadata(value)
        } else {
          entries.append(try located(tensor: name) { () throws(StorageError) in try Entry(name: name, value) })
        }
      }
      // The order of the members means nothing. Empty tensors share an offset, so names decide there.
      entries.sort { left, right in
        if left.begin != right.begin { return left.begin < right.begin }
        if left.end != right.end { return left.end < right.end }
        return left.info.name.utf8.lexicographicallyPrecedes(right.info.name.utf8)
      }
      do throws(StorageError) { try self.init(metadata: metadata, entries: entries) } catch {
        throw error.shifted(by: dataStart)
      }
    } catch {
      // What is wrong with one entry is somewhere in the text.
      throw error.at(offset: textStart)
    }
    try validate(fileSize: fileSize, dataStart: dataStart)
  }

  private static func metadata(_ value: JSONValue) throws(StorageError) -> [String: String] {
    var metadata: [String: String] = [:]
    for (name, value) in try value.asObject(SafetensorsKey.metadata).members {
      let text = try value.asString("the value of \"\(name)\" in \(SafetensorsKey.metadata)")
      guard metadata.updateValue(text, forKey: name) == nil else {
        throw StorageError(.malformed, "\(SafetensorsKey.metadata) has \"\(name)\" in two Unicode spellings")
      }
    }
    return metadata
  }
}

extension SafetensorsHeader.Entry {
  fileprivate init(name: String, _ value: JSONValue) throws(StorageError) {
    let members = try value.asObject("a tensor's entry")
    let known = [SafetensorsKey.dtype, SafetensorsKey.shape, SafetensorsKey.offsets]
    try members.allowOnly(Set(known), in: "a tensor's entry")

    let dtypeName = try members.required(SafetensorsKey.dtype, of: "a tensor's entry").asString(SafetensorsKey.dtype)
    guard let dtype = DType(rawValue: dtypeName) else {
      throw StorageError(.unsupportedFeature, "the dtype \"\(dtypeName)\" is unknown")
    }
    let shape = try Self.counts(members, SafetensorsKey.shape)
    let offsets = try Self.counts(members, SafetensorsKey.offsets)
    guard offsets.count == 2 else {
      throw StorageError(.malformed, "\(SafetensorsKey.offsets) must be two numbers")
    }
    info = try TensorInfo(name: name, dtype: dtype, shape: Shape(shape))
    begin = UInt64(offsets[0])
    end = UInt64(offsets[1])
  }

  private static func counts(_ members: JSONObject, _ name: String) throws(StorageError) -> [Int] {
    try members.required(name, of: "a tensor's entry").asArray(name)
      .map { value throws(StorageError) in try value.asCount("each number of \(name)") }
  }
}

extension StorageError {
  /// The same error with its offset counted from an earlier byte.
  fileprivate func shifted(by start: UInt64) -> Self {
    var error = self
    error.offset = error.offset.map { $0 &+ start }
    return error
  }
}
