import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// Quantised types are written as ggml writes them (`Fixtures/foreign/make_ggml.py`).
@Suite struct GGUFQuantizingTests {
  static let types: [GGUFTensorType] = GGUFTensorType.allCases.filter { $0.isQuantized && $0.isWritable }

  private func encoded(
    _ type: GGUFTensorType, _ info: TensorInfo, _ bytes: TensorBytes, _ quantization: GGUFQuantization? = nil
  ) throws -> [UInt8] {
    let header = try GGUFHeader(describing: [info]) { _ in type }
    return try header.entries[0].encoded(bytes, quantization).withBytes { [UInt8]($0) }
  }

  /// A file of `name` and its numbers, in F32.
  private func file(_ tensors: [String: ([Int], [Float])]) throws -> MemoryTensorSource {
    try MemoryTensorSource(
      tensors.map { name, tensor in
        (
          try info(name, .f32, tensor.0),
          TensorBytes(tensor.1.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { [UInt8]($0) } })
        )
      })
  }

  @Test(arguments: types) func importanceCountsAsInGGML(_ type: GGUFTensorType) throws {
    let source = try Checkpoint.open(Foreign.path("gguf/ggml.safetensors")).source
    let x = try #require(source.tensor(named: "x"))
    let importance = try bytes(of: source, "importance").withUnsafeBytes { raw in
      (0..<256).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
    var gram = [Float](repeating: 0.25, count: 256 * 256)
    for i in 0..<256 { gram[257 * i] = importance[i] }
    let name = type.description.lowercased()
    let expected = try bytes(of: source, source.tensor(named: "\(name).weighted") == nil ? name : "\(name).weighted")
    for statistics in [
      ["x.gram": ([256, 256], gram)],
      ["x.in_sum2": ([1, 256], importance.map { 8 * $0 }), "x.counts": ([1, 1], [8])],
    ] {
      let quantization = GGUFQuantization(type, importance: try ImportanceMatrix(file(statistics)))
      #expect(try encoded(type, x, source.bytes(of: x), quantization) == expected)
      let error = try #require(quantization.errors.byTensor.first)
      #expect(error.tensor == "x" && error.error > 0 && error.error == quantization.errors.total)
    }
  }

  @Test func eachMatrixOfAStackHasItsOwnImportance() throws {
    var random = SeededGenerator(seed: 4)
    let values = (0..<2 * 3 * 32).map { _ in Float.random(in: -1...1, using: &random) }
    let importance = (0..<64).map { _ in Float.random(in: 0...9, using: &random) }
    func blocks(_ shape: [Int], _ values: [Float], _ importance: [Float], counts: [Float]) throws -> [UInt8] {
      let source = try file(["w": (shape, values)])
      let matrix = try ImportanceMatrix(
        file(["w.in_sum2": ([counts.count, 32], importance), "w.counts": ([counts.count, 1], counts)]))
      return try encoded(
        .q4_1, source.tensors[0], source.bytes(of: source.tensors[0]), GGUFQuantization(.q4_1, importance: matrix))
    }
    let whole = try blocks([2, 3, 32], values, importance, counts: [1, 1])
    #expect(
      try whole == blocks([3, 32], Array(values[..<96]), Array(importance[..<32]), counts: [1])
        + blocks([3, 32], Array(values[96...]), Array(importance[32...]), counts: [1]))
    // A matrix that never had an input: all its columns count the same.
    #expect(
      try blocks([2, 3, 32], values, importance, counts: [1, 0])
        == blocks(
          [2, 3, 32], values, importance[..<32] + [Float](repeating: 1, count: 32), counts: [1, 1]))
  }

  @Test func importanceThatDoesNotFitIsRefused() throws {
    let x = try file(["x": ([2, 32], [Float](repeating: 1, count: 64))])
    let ones = [Float](repeating: 1, count: 64)
    func code(_ tensors: [String: ([Int], [Float])]) throws -> StorageError.Code? {
      TestSupport.code {
        let matrix = try ImportanceMatrix(file(tensors))
        _ = try encoded(.q4_0, x.tensors[0], x.bytes(of: x.tensors[0]), GGUFQuantization(.q4_0, importance: matrix))
      }
    }
    #expect(try code(["x.in_sum2": ([1, 32], Array(ones[..<32])), "x.counts": ([1], [1])]) == nil)
    #expect(try code(["y.gram": ([1, 1], [1])]) == nil)
    #expect(try code(["x": ([1], [1])]) == .malformed)
    #expect(try code(["x.in_sum2": ([1, 32], Array(ones[..<32]))]) == .malformed)
    #expect(try code(["x.in_sum2": ([1, 16], Array(ones[..<16])), "x.counts": ([1], [1])]) == .malformed)
    #expect(try code(["x.in_sum2": ([2, 32], ones), "x.counts": ([1], [1])]) == .malformed)
    #expect(try code(["x.in_sum2": ([2, 32], ones), "x.counts": ([2], [1, 1])]) == .shapeMismatch)
    #expect(try code(["x.in_sum2": ([1, 32], ones[..<31] + [-1]), "x.counts": ([1], [1])]) == .malformed)
    #expect(try code(["x.in_sum2": ([1, 32], ones[..<31] + [.nan]), "x.counts": ([1], [1])]) == .malformed)
    #expect(try code(["x.gram": ([8, 8], ones)]) == .shapeMismatch)
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
    let file = try GGUFFile(ForeignFixtures.gguf("signs.gguf"))
    #expect(try file.storedType(of: file.tensors[0]) == .q1_0)
    #expect(try bytes(of: file, "signs") == bytes(of: source, "q1_0.decoded"))
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
