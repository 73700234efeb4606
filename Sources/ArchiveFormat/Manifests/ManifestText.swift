import TMPackByteIO
import TMPackJSON

/// The canonical text of a manifest, in the raw bytes of its section, which it keeps.
struct ManifestText: Sendable {
  private let section: [UInt8]
  private let range: Range<Int>

  /// - Parameter range: where the text is in the section.
  init(_ section: [UInt8], _ range: Range<Int>) {
    self.section = section
    self.range = range
  }

  var bytes: ArraySlice<UInt8> { section[range] }

  /// Lends the text, and what is read of it as long as `body` runs.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result) throws(StorageError) -> Result
  {
    try section.withBytes { raw throws(StorageError) in try body(UnsafeRawBufferPointer(rebasing: raw[range])) }
  }

  /// Lends a reader that begins somewhere in the text.
  func reading<Result>(at position: Int, _ body: (inout JSONReader) -> Result) -> Result {
    section.withUnsafeBytes { raw in
      var reader = JSONReader(UnsafeRawBufferPointer(rebasing: raw[range]), from: position)
      return body(&reader)
    }
  }

  /// Lends what reads a string of the text by its place.
  func withStrings<Result>(_ body: ((Int) -> JSONString) -> Result) -> Result {
    section.withUnsafeBytes { raw in
      let text = UnsafeRawBufferPointer(rebasing: raw[range])
      return body { position in
        var reader = JSONReader(text, from: position)
        guard let string = try? reader.string() else { preconditionFailure("a string that was read before") }
        return string
      }
    }
  }

  /// The name of the entry that begins somewhere, for messages; nil where it has none that can be read.
  func nameOfEntry(at position: Int) -> String? {
    reading(at: position) { reader in
      guard (try? reader.beginObject()) != nil else { return nil }
      while let member = try? reader.nextMember() {
        if member.matches("name") { return try? reader.string().text }
        guard (try? reader.skipValue()) != nil else { return nil }
      }
      return nil
    }
  }
}
