import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// Quantised types are written as ggml writes them (`Fixtures/foreign/make_ggml.py`).
@Suite struct GGUFQuantizingTests {
  static let types: [GGUFTensorType] = GGUFTensorType.allCases.filter { $0.isQuantized && $0.isWritable }

  private func encoded(_ type: GGUFTensorType, _ info: TensorInfo, _ bytes: TensorBytes) throws -> [UInt8] {
    let header = try GGUFHeader(describing: [info]) { _ in type }
    return try header.entries[0].encoded(bytes).withBytes { [UInt8]($0) }
  }

  @Test(arguments: types) func blocksAreThoseOfGGML(_ type: GGUFTensorType) throws {
    let source = try Checkpoint.open(Foreign.path("gguf/ggml.safetensors")).source
    let x = try #require(source.tensor(named: "x"))
    let expected = try bytes(of: source, type.description.lowercased())
    let blocks = try encoded(type, x, source.bytes(of: x))
    #expect(blocks.count == expected.count)
    let size = type.blockBytes
    for start in stride(from: 0, to: expected.count, by: size)
    where blocks[start..<start + size] != expected[start..<start + size] {
      // ggml's C has no finite inverse of a scale that is subnormal; then the numbers are what counts, and they are all but 0.
      Issue.record("\(type), block \(start / size)")
    }
  }

  /// gguf-py does not decode it; ggml does.
  @Test func signsAreDecoded() throws {
    let source = try Checkpoint.open(Foreign.path("gguf/ggml.safetensors")).source
    let folder = TemporaryFolder()
    let info = try info("q1_0.decoded", .f32, [4, 128])
    var header = ByteWriter()
    try GGUFHeader(describing: [info]) { _ in .q1_0 }.write(to: &header)
    let blocks = try bytes(of: source, "q1_0")
    try put(header.bytes + blocks, at: folder("m.gguf"))
    #expect(try bytes(of: GGUFFile(folder("m.gguf")), info.name) == bytes(of: source, info.name))
  }

  /// Finite numbers of any size are quantised or refused.
  @Test(arguments: types) func anyNumbersAreQuantisedOrRefused(_ type: GGUFTensorType) throws {
    var random = SeededGenerator(seed: 9)
    let info = try info("x", .f32, [1, type.blockElements])
    for round in 0..<200 {
      let values = (0..<type.blockElements).map { _ -> Float in
        while true {
          let bits = UInt32.random(in: 0...UInt32.max, using: &random)
          // Some blocks of small numbers only, some of large ones.
          let value = Float(
            bitPattern: round % 3 == 0 ? bits & 0x80FF_FFFF : round % 3 == 1 ? bits : bits | 0x7000_0000)
          if value.isFinite { return value }
        }
      }
      let bytes = TensorBytes(values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { [UInt8]($0) } })
      do { #expect(try encoded(type, info, bytes).count == type.blockBytes) } catch let error as StorageError {
        #expect(error.code == .nonFinite)
      }
    }
    let bad = TensorBytes([0, 0, 0x80, 0x7F] + [UInt8](repeating: 0, count: 4 * type.blockElements - 4))
    #expect(code { _ = try encoded(type, info, bad) } == .nonFinite)
  }

  @Test func rowsThatAreNoWholeBlocksTakeAnotherType() throws {
    let wide = try info("w", .f32, [2, 512])
    let narrow = try info("n", .f32, [2, 96])
    #expect(GGUFTensorType.q4_K.fitting(wide) == .q4_K)
    #expect(GGUFTensorType.q4_K.fitting(narrow) == .q5_0)
    #expect(GGUFTensorType.q5_K.fitting(narrow) == .q5_1)
    #expect(GGUFTensorType.q6_K.fitting(narrow) == .q8_0)
    #expect(GGUFTensorType.q6_K.fitting(try info("o", .f32, [2, 40])) == nil)
    #expect(GGUFTensorType.q8_0.fitting(try info("blk.0.ffn_gate_inp.weight", .f32, [2, 64])) == nil)
  }
}
