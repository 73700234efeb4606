import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

@Suite struct SafetensorsHeaderTests {
  struct Malformed: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let file: [UInt8]
    let code: StorageError.Code
    /// The tensor that the error must name.
    let tensor: String?

    init(_ what: String, _ file: [UInt8], _ code: StorageError.Code = .malformed, tensor: String? = nil) {
      testDescription = what
      self.file = file
      self.code = code
      self.tensor = tensor
    }

    /// One tensor "a" of four bytes with one thing changed.
    static func entry(
      _ what: String, _ entry: String, dataBytes: Int = 4, _ code: StorageError.Code = .malformed,
      tensor: String? = "a"
    ) -> Malformed {
      Malformed(what, safetensors("{\"a\":\(entry)}", dataBytes: dataBytes), code, tensor: tensor)
    }
  }

  static let a = #""a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#

  static let malformed: [Malformed] = [
    // The length.
    Malformed("nothing", [], .truncated),
    Malformed("half a length", [2, 0, 0, 0], .truncated),
    Malformed("a length and no header", [2, 0, 0, 0, 0, 0, 0, 0], .truncated),
    Malformed("a header cut short", Array(safetensors("{}   ").dropLast()), .truncated),
    Malformed("a length of 2⁶⁴ − 1", [UInt8](repeating: 0xFF, count: 8) + Array("{}".utf8), .limitExceeded),
    Malformed("a length above the limit", [1, 0xE1, 0xF5, 5, 0, 0, 0, 0] + Array("{}".utf8), .limitExceeded),
    Malformed("no header", safetensors("")),
    // The text.
    Malformed("a space first", safetensors(" {}")),
    Malformed("an array", safetensors("[]")),
    Malformed("filled up with a line feed", safetensors("{}\n")),
    Malformed("filled up with zeros", safetensors("{}\0\0")),
    Malformed("two objects", safetensors("{}{}")),
    Malformed("not JSON", safetensors("{a}")),
    Malformed("no UTF-8", [5, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x22, 0xFF, 0x22, 0x7D]),
    Malformed("nested deeply", safetensors("{\"a\":" + String(repeating: "[", count: 50) + "}"), .limitExceeded),
    Malformed("a tensor twice", safetensors("{\(a),\(a)}", dataBytes: 4)),
    Malformed("metadata twice", safetensors(#"{"__metadata__":{},"__metadata__":{}}"#)),
    Malformed(
      "a long name", safetensors("{\"\(String(repeating: "n", count: 1025))\":\(a.dropFirst(4))}", dataBytes: 4),
      .limitExceeded, tensor: String(repeating: "n", count: 1025)),
    // Metadata.
    Malformed("metadata that is no object", safetensors(#"{"__metadata__":[]}"#)),
    Malformed("metadata that is a number", safetensors(#"{"__metadata__":{"a":1}}"#)),
    Malformed("metadata within metadata", safetensors(#"{"__metadata__":{"a":{}}}"#)),
    Malformed("metadata with a name twice", safetensors(#"{"__metadata__":{"a":"1","a":"2"}}"#)),
    // An entry.
    .entry("a tensor that is no object", "1"),
    .entry("no dtype", #"{"shape":[4],"data_offsets":[0,4]}"#),
    .entry("no shape", #"{"dtype":"U8","data_offsets":[0,4]}"#),
    .entry("no offsets", #"{"dtype":"U8","shape":[4]}"#),
    .entry("one member more", #"{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}"#),
    .entry("a shape twice", #"{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}"#, tensor: nil),
    .entry("an unknown dtype", #"{"dtype":"Q4","shape":[4],"data_offsets":[0,4]}"#, .unsupportedFeature),
    .entry("a dtype in lower case", #"{"dtype":"u8","shape":[4],"data_offsets":[0,4]}"#, .unsupportedFeature),
    .entry("a dtype that is a number", #"{"dtype":8,"shape":[4],"data_offsets":[0,4]}"#),
    .entry("a shape that is a number", #"{"dtype":"U8","shape":4,"data_offsets":[0,4]}"#),
    .entry("a negative dimension", #"{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}"#),
    .entry("a fractional dimension", #"{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}"#),
    .entry("a dimension of text", #"{"dtype":"U8","shape":["4"],"data_offsets":[0,4]}"#),
    .entry("a dimension of 2⁶⁴", #"{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,4]}"#),
    .entry("an overflowing shape", #"{"dtype":"U8","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}"#),
    .entry("an overflowing size in bits", #"{"dtype":"U64","shape":[1152921504606846976],"data_offsets":[0,4]}"#),
    .entry(
      "17 dimensions", #"{"dtype":"U8","shape":[4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}"#,
      .limitExceeded),
    .entry("half a byte", #"{"dtype":"F4","shape":[7],"data_offsets":[0,4]}"#),
    .entry("one offset", #"{"dtype":"U8","shape":[4],"data_offsets":[4]}"#),
    .entry("three offsets", #"{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}"#),
    .entry("a negative offset", #"{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}"#),
    .entry("an offset of 2⁶³", #"{"dtype":"U8","shape":[4],"data_offsets":[0,9223372036854775808]}"#),
    .entry("an end before the begin", #"{"dtype":"U8","shape":[4],"data_offsets":[4,0]}"#),
    .entry("a shape smaller than its bytes", #"{"dtype":"U8","shape":[3],"data_offsets":[0,4]}"#),
    .entry("a shape larger than its bytes", #"{"dtype":"U16","shape":[4],"data_offsets":[0,4]}"#),
    .entry("a scalar of four bytes", #"{"dtype":"U8","shape":[],"data_offsets":[0,4]}"#),
    // The tensors together, and the file.
    .entry("a hole at the start", #"{"dtype":"U8","shape":[4],"data_offsets":[4,8]}"#, dataBytes: 8),
    Malformed(
      "a hole between tensors",
      safetensors(#"{\#(a),"b":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}}"#, dataBytes: 6), tensor: "b"),
    Malformed(
      "tensors that overlap",
      safetensors(#"{\#(a),"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}"#, dataBytes: 5), tensor: "b"),
    Malformed(
      "two tensors of the same bytes",
      safetensors(#"{\#(a),"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, dataBytes: 4), tensor: "b"),
    .entry(
      "an empty tensor inside another",
      #"{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"e":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}"#,
      tensor: "e"),
    Malformed(
      "an empty tensor beyond the end",
      safetensors(#"{\#(a),"e":{"dtype":"U8","shape":[0],"data_offsets":[5,5]}}"#, dataBytes: 4), tensor: "e"),
    Malformed("a byte after the last tensor", safetensors("{\(a)}", dataBytes: 5)),
    Malformed("data without tensors", safetensors("{}", dataBytes: 1)),
    .entry("a byte too few", #"{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#, dataBytes: 3, .truncated),
    .entry(
      "a tensor of 2⁶⁰ bytes",
      #"{"dtype":"U8","shape":[1152921504606846975],"data_offsets":[0,1152921504606846975]}"#, .limitExceeded),
    .entry(
      "a tensor of 2⁵² bytes",
      #"{"dtype":"U8","shape":[4503599627370496],"data_offsets":[0,4503599627370496]}"#, .truncated),
  ]

  @Test(arguments: malformed) func rejects(_ sample: Malformed) {
    let error = failure {
      _ = try header(of: sample.file)
    }
    #expect(error?.code == sample.code, "\(String(describing: error))")
    #expect(error?.offset != nil)
    if let tensor = sample.tensor { #expect(error?.tensor == tensor) }
  }

  @Test func saysHowMuchIsMissing() {
    let error = failure {
      _ = try header(of: safetensors("{\(Self.a)}", dataBytes: 1))
    }
    #expect(error?.message.contains("3 bytes") == true)
  }

  @Test func countsTheOffsetOfAHoleFromTheFilesStart() {
    let text = #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#
    let error = failure {
      _ = try header(of: safetensors(text, dataBytes: 8))
    }
    #expect(error?.offset == UInt64(8 + text.utf8.count + 4))
  }

  @Test(arguments: [
    ("{}", 0), ("{}     ", 0), (#"{"__metadata__":{}}"#, 0),
    // As MLX writes it.
    (#"{"__metadata__":null}"#, 0), ("{ \(a) }", 4),
    (#"{"b":{"shape":[1],"data_offsets":[4,5],"dtype":"U8"},\#(a)}"#, 5),
    (#"{"z":{"dtype":"U8","shape":[0],"data_offsets":[4,4]},\#(a)}"#, 4),
  ])
  func accepts(_ text: String, _ dataBytes: Int) throws {
    #expect(try header(of: safetensors(text, dataBytes: dataBytes)).dataByteCount == UInt64(dataBytes))
  }

  static func sample() throws -> [UInt8] {
    let infos = try [info("a.weight", .f32, [2, 3]), info("b", .u8, [3]), info("é\"", .bf16, []), info("e", .i8, [0])]
    var output = ByteWriter()
    let header = try SafetensorsHeader(describing: infos, metadata: ["format": "pt", "a": "\n"])
    try header.write(to: &output)
    output.zeros(Int(header.dataByteCount))
    return output.bytes
  }

  @Test func readsBackWhatItWrites() throws {
    let infos = try everyKindOfTensor()
    let written = try SafetensorsHeader(describing: infos, metadata: ["é": "1", "a": "", "\"": "😀"])
    var output = ByteWriter()
    try written.write(to: &output)
    #expect(output.bytes.count.isMultiple(of: 64))
    output.zeros(Int(written.dataByteCount))
    #expect(try header(of: output.bytes) == written)
  }

  @Test func putsWideElementsFirst() throws {
    let infos = try [info("a", .u8, [1]), info("b", .f32, [1]), info("c", .u64, [1]), info("a2", .f32, [1])]
    #expect(try SafetensorsHeader(describing: infos).entries.map(\.info.name) == ["c", "a2", "b", "a"])
  }

  @Test func rejectsWhatItCouldNotReadBack() throws {
    let twice = try [info("a", .u8, [1]), info("a", .u8, [1])]
    #expect(code { _ = try SafetensorsHeader(describing: twice) } == .malformed)
    let reserved = try [info("__metadata__", .u8, [1])]
    #expect(code { _ = try SafetensorsHeader(describing: reserved) } == .malformed)
    let huge = try [info("a", .u8, [1 << 52]), info("b", .u8, [1 << 52])]
    #expect(try SafetensorsHeader(describing: huge).dataByteCount == 1 << 53)
    let long = try SafetensorsHeader(
      describing: [], metadata: ["a": String(repeating: "a", count: Int(Limits.safetensorsHeaderBytes))])
    var output = ByteWriter()
    #expect(code { try long.write(to: &output) } == .limitExceeded)
  }

  @Test func everyTruncationIsAnError() throws {
    let file = try Self.sample()
    for length in 0..<file.count {
      #expect(throws: StorageError.self, "\(length) bytes") { try header(of: Array(file[..<length])) }
    }
  }

  @Test func everyFlippedByteIsAnErrorOrAValidFile() throws {
    var file = try Self.sample()
    for index in file.indices {
      let original = file[index]
      for value in UInt8.min...UInt8.max where value != original {
        file[index] = value
        try expectErrorOrConsistent(file)
      }
      file[index] = original
    }
  }

  @Test func randomHeadersNeverTrap() throws {
    let original = try Self.sample()
    let pieces = [
      "{", "}", "[", "]", ",", ":", "\"", "-", "9", "0", "1e9", "9223372036854775807", "\"a.weight\"", "\"dtype\"",
      "\"shape\"", "\"data_offsets\"", "\"__metadata__\"", "\"F32\"", "\"F4\"", "null", " ", "\\u0000", "\\ud800",
    ].map { Array($0.utf8) }
    var random = SeededGenerator(seed: 3)
    for _ in 0..<20_000 {
      var text = Array(original[8...])
      for _ in 0..<Int.random(in: 1...5, using: &random) {
        let start = Int.random(in: 0..<text.count, using: &random)
        let end = min(text.count, start + Int.random(in: 0...12, using: &random))
        text.replaceSubrange(start..<end, with: pieces.randomElement(using: &random)!)
      }
      var file = ByteWriter()
      // Mostly the right length, or nothing behind it would be reached.
      let length = text.count - 27 + Int.random(in: 0..<20, using: &random) / 19
      file.integer(UInt64(max(0, length)))
      file.append(text)
      try expectErrorOrConsistent(file.bytes)
    }
  }

  private func expectErrorOrConsistent(_ file: [UInt8]) throws {
    guard let header = try? header(of: file) else { return }
    var position: UInt64 = 0
    for entry in header.entries {
      #expect(entry.begin == position)
      #expect(entry.end - entry.begin == UInt64(entry.info.byteCount))
      position = entry.end
    }
    #expect(position < UInt64(file.count))
  }
}
