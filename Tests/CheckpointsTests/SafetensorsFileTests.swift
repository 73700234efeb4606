import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

@Suite struct SafetensorsFileTests {
  @Test(arguments: InputMode.allCases, 1...4) func roundTripsEveryKindOfTensor(_ mode: InputMode, _ threads: Int) throws
  {
    let folder = TemporaryFolder()
    let original = try source(everyKindOfTensor(), metadata: ["format": "pt", "z": "é", "a": "1"])
    try CheckpointDestination(folder("m.safetensors")).write(original, threads: threads)
    let file = try SafetensorsFile(folder("m.safetensors"), mode: mode)
    #expect(file.metadata == original.metadata)
    #expect(try hasSameTensors(file, original))
    for info in file.tensors {
      var copy = [UInt8](repeating: 0, count: info.byteCount)
      try copy.withUnsafeMutableBytes { try file.read(info, into: $0) }
      #expect(try copy == bytes(of: original, info.name))
    }
  }

  @Test func writesTheSameBytesWhateverTheThreadsAndTheSource() throws {
    let folder = TemporaryFolder()
    let original = try source(everyKindOfTensor(), metadata: ["b": "2", "a": "1"])
    try CheckpointDestination(folder("0.safetensors")).write(original, threads: 1)
    let first = try contents(folder("0.safetensors"))
    for threads in 1...4 {
      let path = folder("\(threads).safetensors")
      try CheckpointDestination(path).write(SafetensorsFile(folder("0.safetensors")), threads: threads)
      #expect(try contents(path) == first)
    }
  }

  @Test func copiesWhatIsNotAligned() throws {
    let folder = TemporaryFolder()
    // A header of odd length, as old writers made them.
    try put(
      safetensors(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, dataBytes: 4), at: folder("m"))
    let file = try SafetensorsFile(folder("m"), mode: .mmap)
    try file.bytes(of: file.tensors[0]).withElements(of: Float.self) { #expect(Array($0) == [0]) }
  }

  @Test func viewsOutliveTheFile() throws {
    let folder = TemporaryFolder()
    let original = try source([info("a", .u8, [100])])
    try CheckpointDestination(folder("m.safetensors")).write(original)
    let view = try {
      let file = try SafetensorsFile(folder("m.safetensors"), mode: .mmap)
      return try file.bytes(of: file.tensors[0])
    }()
    #expect(try view.withBytes { [UInt8]($0) } == bytes(of: original, "a"))
  }

  @Test func namesTheFileAtFault() throws {
    let folder = TemporaryFolder()
    try put(safetensors("{}", dataBytes: 3), at: folder("m"))
    let error = failure {
      _ = try SafetensorsFile(folder("m"))
    }
    #expect(error?.code == .malformed)
    #expect(error?.file == folder("m"))
    #expect(error?.offset == 10)
  }

  @Test func looksUpNamesByTheirBytes() throws {
    let composed = try source([info("\u{E9}", .u8, [1])])
    #expect(composed.tensor(named: "\u{E9}") != nil)
    #expect(composed.tensor(named: "e\u{301}") == nil)
  }
}
