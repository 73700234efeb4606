import TMPackByteIO

extension JSONValue {
  /// Parses one RFC 8259 text with the rules of `JSONReader`; duplicate names are errors too. The rules that
  /// Foundation's parser leaves open (duplicate names above all) are the ones that formats with digests and offsets
  /// depend on.
  ///
  /// - Parameters:
  ///   - base: where `text` begins in its file, for the offsets of errors.
  ///   - maximumValues: how many values there may be, names of members counted too; more throw `limitExceeded`.
  /// - Complexity: linear; memory is up to 40 times the text's, so large texts are for `JSONReader`.
  package init(
    parsing text: UnsafeRawBufferPointer, at base: UInt64 = 0, maximumDepth: Int = Limits.jsonDepth,
    maximumValues: Int = Limits.jsonValues
  ) throws(StorageError) {
    var reader = JSONReader(text, at: base, maximumDepth: maximumDepth)
    var valuesLeft = maximumValues
    self = try JSONValue(reading: &reader, &valuesLeft)
    try reader.end()
  }

  package init(parsing text: [UInt8], maximumDepth: Int = Limits.jsonDepth) throws(StorageError) {
    self = try text.withBytes { raw throws(StorageError) in
      try JSONValue(parsing: raw, maximumDepth: maximumDepth)
    }
  }

  /// The reader's next value, with the rules of `init(parsing:)`; `valuesLeft` is what is left of `maximumValues`.
  package init(reading reader: inout JSONReader, _ valuesLeft: inout Int) throws(StorageError) {
    guard valuesLeft > 0 else { throw reader.error("more values than the limit", .limitExceeded) }
    valuesLeft -= 1
    switch try reader.kind() {
    case .object:
      var object = JSONObject()
      try reader.beginObject()
      while let name = try reader.nextMember() {
        valuesLeft -= 1
        guard object.insert(name.text, try JSONValue(reading: &reader, &valuesLeft)) else {
          throw reader.duplicate(name)
        }
      }
      self = .object(object)
    case .array:
      var array: [JSONValue] = []
      try reader.beginArray()
      while try reader.nextElement() { array.append(try JSONValue(reading: &reader, &valuesLeft)) }
      self = .array(array)
    case .string: self = .string(try reader.string().text)
    case .number:
      let start = reader.position
      let number = try reader.number()
      if let integer = number.integer {
        self = .integer(integer)
      } else if let double = number.double {
        self = .number(double)
      } else {
        throw reader.error("a number out of range", at: start)
      }
    case .bool: self = .bool(try reader.bool())
    case .null:
      try reader.null()
      self = .null
    }
  }
}
