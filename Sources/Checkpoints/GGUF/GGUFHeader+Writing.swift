import TMPackByteIO

extension GGUFHeader {
  /// Writes the header, and zeros up to where the data begins. Equal headers give equal bytes.
  ///
  /// - Throws: `limitExceeded` when it is longer than we read ourselves.
  package func write(to output: inout ByteWriter) throws(StorageError) {
    output.append(Self.magic)
    output.integer(Self.version)
    output.integer(UInt64(entries.count))
    output.integer(UInt64(metadata.entries.count))
    for entry in metadata.entries {
      output.ggufString(entry.key)
      entry.value.write(to: &output)
    }
    for entry in entries {
      let dimensions = entry.info.shape.dimensions
      output.ggufString(entry.info.name)
      output.integer(UInt32(dimensions.count))
      for dimension in dimensions.reversed() { output.integer(UInt64(dimension)) }
      output.integer(entry.type.rawValue)
      output.integer(entry.offset)
    }
    try Limits.check(output.bytes.count, atMost: Limits.ggufHeaderBytes, "the length of the header")
    output.zeros(output.bytes.count.roundedUp(toMultipleOf: alignment) - output.bytes.count)
  }
}
