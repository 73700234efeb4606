import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit
import TestSupport
import Testing

/// Headers above a limit are refused by its name and by the byte where it is met; what follows is not looked at.
@Suite struct SafetensorsLimitsTests {
  /// A whole file, whose header is `begin`, `repeated` by number, and `end`.
  private static func file(
    _ begin: String, count: Int, _ end: String = "}", repeated: (Int) -> String
  ) -> [UInt8] {
    var text = begin
    for number in 0..<count { text += (number > 0 ? "," : "") + repeated(number) }
    return safetensors(text + end)
  }

  private static func empty(_ number: Int) -> String {
    "\"\(number)\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}"
  }

  private func expectLimit(_ what: String, _ file: [UInt8], at offset: Int? = nil) {
    let error = failure { _ = try header(of: file) }
    #expect(error?.code == .limitExceeded)
    #expect(error?.message.contains(what) == true, "\(String(describing: error))")
    #expect(error?.offset != nil)
    if let offset { #expect(error?.offset == UInt64(offset)) }
  }

  @Test func tensors() throws {
    let most = Self.file("{", count: Limits.tensors, repeated: Self.empty)
    #expect(try header(of: most).entries.count == Limits.tensors)
    expectLimit("the number of tensors", Self.file("{", count: Limits.tensors + 1, "garbage }", repeated: Self.empty))
  }

  @Test func entriesOfTheMetadata() throws {
    func file(_ count: Int, _ end: String = "}}") -> [UInt8] {
      Self.file("{\"__metadata__\":{", count: count, end) { "\"\($0)\":\"\"" }
    }
    #expect(try header(of: file(Limits.safetensorsMetadataEntries)).metadata.count == Limits.safetensorsMetadataEntries)
    expectLimit(
      "the number of entries of the metadata", file(Limits.safetensorsMetadataEntries + 1, "garbage }"))
  }

  @Test func sizeOfTheMetadata() throws {
    func file(_ name: Int, _ value: Int, escaped: Bool = false) -> [UInt8] {
      let unit = escaped ? "\\u0061" : "a"
      return safetensors(
        "{\"__metadata__\":{\"\(String(repeating: unit, count: name))\":\"\(String(repeating: unit, count: value))\"}}")
    }
    let (names, all) = (Limits.metadataNameBytes, Limits.safetensorsMetadataBytes)
    #expect(try header(of: file(1, all - 1)).metadata["a"]?.utf8.count == all - 1)
    #expect(try header(of: file(1, 1000, escaped: true)).metadata == ["a": String(repeating: "a", count: 1000)])
    expectLimit("the size of the metadata", file(1, all))
    #expect(try header(of: file(names, 0)).metadata.count == 1)
    expectLimit("the size of the names of the metadata", file(names + 1, 0))
  }

  @Test func namesOfTensors() throws {
    let entry = Self.empty(0).dropFirst("\"0\"".count)
    func file(_ name: String) -> [UInt8] { safetensors("{\"\(name)\"\(entry)}") }
    // The limit is on the name and not on how it is written.
    let escaped = String(repeating: "\\u0061", count: Limits.nameBytes)
    #expect(try header(of: file(escaped)).entries[0].info.name == String(repeating: "a", count: Limits.nameBytes))
    expectLimit("name", file(escaped + "b"))
    let long = failure { _ = try header(of: file(String(repeating: "é", count: 1_000_000))) }
    #expect(long?.code == .limitExceeded)
    #expect((long?.tensor?.utf8.count).map { $0 < 4096 } == true)
  }

  @Test func dimensions() {
    let begin = "{\"a\":{\"dtype\":\"U8\",\"shape\":["
    let file = safetensors(begin + String(repeating: "0,", count: 1_000_000) + "}")
    expectLimit("the number of dimensions", file, at: 8 + "{\"a\":".utf8.count)
  }

  /// The second of a million members is at fault: nothing behind it is read.
  @Test func theFirstFaultIsTheOneThatIsNamed() {
    let text = #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U9"},\#("c") not JSON }"#
    let error = failure { _ = try header(of: safetensors(text)) }
    #expect(error?.code == .unsupportedFeature)
    #expect(error?.tensor == "b")
  }

  @Test func writesNothingAboveThem() throws {
    func code(_ metadata: [String: String]) throws -> StorageError.Code? {
      let header = try SafetensorsHeader(describing: [], metadata: metadata)
      var output = ByteWriter()
      return TestSupport.code { try header.write(to: &output) }
    }
    func metadata(_ count: Int) -> [String: String] {
      Dictionary(uniqueKeysWithValues: (0..<count).map { (String($0), "") })
    }
    #expect(try code(metadata(Limits.safetensorsMetadataEntries)) == nil)
    #expect(try code(metadata(Limits.safetensorsMetadataEntries + 1)) == .limitExceeded)
    #expect(try code(["a": String(repeating: "a", count: Limits.safetensorsMetadataBytes)]) == .limitExceeded)
    let name = String(repeating: "a", count: Limits.metadataNameBytes + 1)
    #expect(try code([name: ""]) == .limitExceeded)
  }
}

/// The reader of headers against one that goes by the tree of the text, rule by rule.
@Suite struct SafetensorsOracleTests {
  private struct Plain: Equatable {
    var metadata: [String: String] = [:]
    var tensors: [String: TensorInfo] = [:]
    var places: [String: [UInt64]] = [:]

    init(_ header: SafetensorsHeader) {
      metadata = header.metadata
      for entry in header.entries {
        tensors[entry.info.name] = entry.info
        places[entry.info.name] = [entry.begin, entry.end]
      }
    }

    /// - Throws: for anything that breaks a rule.
    init(_ text: [UInt8], dataBytes: UInt64) throws {
      struct Refused: Error {}
      func require(_ holds: Bool) throws { if !holds { throw Refused() } }
      try require(text.first == UInt8(ascii: "{") && text.last { $0 != 0x20 } == UInt8(ascii: "}"))
      for (name, value) in try JSONValue(parsing: text).asObject("it").members {
        if name == "__metadata__" {
          for (key, value) in try value.asObject("it").members {
            try require(metadata.updateValue(value.asString("it"), forKey: key) == nil)
          }
          continue
        }
        let members = try value.asObject("it")
        try require(Set(members.names) == ["dtype", "shape", "data_offsets"])
        let dtype = DType(rawValue: try members["dtype"]!.asString("it"))
        try require(dtype != nil)
        let shape = try members["shape"]!.asArray("it").map { try $0.asCount("it") }
        let offsets = try members["data_offsets"]!.asArray("it").map { UInt64(try $0.asCount("it")) }
        let info = try TensorInfo(name: name, dtype: dtype!, shape: Shape(shape))
        try require(offsets.count == 2 && offsets[0] <= offsets[1])
        try require(offsets[1] - offsets[0] == UInt64(info.byteCount))
        tensors[name] = info
        places[name] = offsets
      }
      var end: UInt64 = 0
      for place in places.values.sorted(by: { ($0[0], $0[1]) < ($1[0], $1[1]) }) {
        try require(place[0] == end)
        end = place[1]
      }
      try require(end == dataBytes)
    }
  }

  @Test func readsAndRefusesTheSame() throws {
    let seeds = [
      #"{"__metadata__":{"a":"1","b\u00e9":"\n"},"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"#
        + #""y":{"data_offsets":[8,9],"shape":[],"dtype":"U8"},"z":{"dtype":"BF16","shape":[0,3],"data_offsets":[8,8]}}  "#,
      #"{"a":{"dtype":"F4","shape":[2,9],"data_offsets":[0,9]}}"#,
      #"{ "b" : { "dtype" : "U8" , "shape" : [ 4 ] , "data_offsets" : [ 5 , 9 ] } , "a":{"dtype":"I8","shape":[5],"data_offsets":[0,5]} }"#,
    ]
    let pieces = [
      "0", "1", "5", "8", "9", "10", "-1", "1.0", "[]", "{}", "null", "\"U8\"", "\"F16\"", "\"x\"", "\"dtype\"", ",",
      "\"a\"",
      "\"__metadata__\"", "\\u0061", "]", "}", " ",
    ].map { Array($0.utf8) }
    var random = SeededGenerator(seed: 21)
    var (sound, unsound) = (0, 0)
    for _ in 0..<30_000 {
      var text = Array(seeds.randomElement(using: &random)!.utf8)
      if Bool.random(using: &random) { text = text.mutated(using: &random) }
      for _ in 0..<Int.random(in: 0...2, using: &random) where !text.isEmpty {
        let start = Int.random(in: 0..<text.count, using: &random)
        let end = min(text.count, start + Int.random(in: 0...3, using: &random))
        text.replaceSubrange(start..<end, with: pieces.randomElement(using: &random)!)
      }
      var file = ByteWriter()
      file.integer(UInt64(text.count))
      file.append(text)
      file.zeros(9)
      let plain = try? Plain(text, dataBytes: 9)
      let read = (try? header(of: file.bytes)).map(Plain.init)
      #expect(read == plain, "\(String(decoding: text, as: UTF8.self))")
      if plain == nil { unsound += 1 } else { sound += 1 }
    }
    #expect(sound > 1_000 && unsound > 10_000)
  }
}

@Suite struct ShardIndexLimitsTests {
  private func error(_ text: String) throws -> StorageError? {
    let folder = TemporaryFolder()
    try put(Array(text.utf8), at: folder("model.safetensors.index.json"))
    return failure { _ = try Checkpoint.open(folder.path) }
  }

  @Test(arguments: [
    (#"{"weight_map":{"a":"s","a":"s"}}"#, StorageError.Code.malformed),
    (#"{"weight_map":{},"weight_map":{}}"#, .malformed),
    (#"{"metadata":{},"metadata":{},"weight_map":{}}"#, .malformed), (#"{"weight_map":{"a":1}}"#, .malformed),
    (#"{"weight_map":[]}"#, .malformed), (#"{"metadata":{}}"#, .malformed),
    (#"{"weight_map":{"a":"../s"}}"#, .malformed),
    (#"{"weight_map":{"a":"d/s"}}"#, .malformed), (#"{"weight_map":{}} x"#, .malformed),
    (#"{"metadata":1,"weight_map":{}}"#, .malformed),
  ])
  func refuses(_ text: String, _ code: StorageError.Code) throws {
    #expect(try error(text)?.code == code)
  }

  @Test func boundsTheShards() throws {
    let map = (0...Limits.shards).map { "\"\($0)\":\"s\($0)\"" }.joined(separator: ",")
    let refusal = try error("{\"weight_map\":{\(map)}}")
    #expect(refusal?.code == .limitExceeded)
    #expect(refusal?.message.contains("the number of shards") == true)
    #expect(refusal?.tensor == "\(Limits.shards)")
  }
}
