import TMPackDigests
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

@Suite struct EmbeddingsTests {
  private let values: [Double] = [1, -2, 0.5, 4, 0, 8]
  private let floats: [Float] = [1, -2, 0.5, 4, 0, 8]

  private func source(_ tensors: [SampleTensor], _ metadata: [String: String] = [:]) throws -> MemoryTensorSource {
    try MemoryTensorSource(tensors, metadata: metadata)
  }

  @Test(arguments: [DType.f64, .f32, .f16, .bf16]) func readsFloats(_ dtype: DType) throws {
    let matrix = try Embeddings(source([tensor("anything", dtype, [3, 2], values)]))
    #expect(matrix.rows == 3 && matrix.dimension == 2 && matrix.values == floats && matrix.labels == nil)
    let vector = try Embeddings(source([tensor("x", dtype, [6], values)]))
    #expect(vector.rows == 1 && vector.dimension == 6)
    #expect(Array(matrix[1]) == [0.5, 4])
    // The digest is of the numbers, whatever the file has them in.
    #expect(matrix.digest == ContentDigest(of: lanes(floats.map(\.bitPattern))))
  }

  @Test func readsLabelsOfEveryWidth() throws {
    let kinds: [(DType, [UInt8])] = [
      (.u8, [2, 0, 1]), (.i8, [2, 0, 1]), (.i16, lanes([2, 0, 1] as [Int16])), (.u16, lanes([2, 0, 1] as [UInt16])),
      (.i32, lanes([2, 0, 1] as [Int32])), (.u32, lanes([2, 0, 1] as [UInt32])), (.i64, lanes([2, 0, 1] as [Int64])),
    ]
    for (dtype, bytes) in kinds {
      let own = try Embeddings(source([tensor("x", .f32, [3, 2], values), tensor("y", dtype, [3], bytes: bytes)]))
      #expect(own.labels == [2, 0, 1], "\(dtype)")
    }
  }

  @Test(arguments: ["npy", "npz", "safetensors", "pt"]) func readsFiles(_ suffix: String) throws {
    let folder = TemporaryFolder()
    try writeModel([tensor("embeddings", .f32, [3, 2], values)], to: folder("x.\(suffix)"))
    #expect(try Embeddings(contentsOf: folder("x.\(suffix)")).values == floats)
  }

  @Test func readsNamesOfClasses() throws {
    let tensors = try [tensor("x", .f32, [3, 2], values)]
    #expect(try Embeddings(source(tensors)).classNames == nil)
    #expect(try Embeddings(source(tensors, ["classes": "a b,é"])).classNames == ["a b", "é"])
    #expect(try Embeddings(source(tensors, ["classes": #"["a,b", "c"]"#])).classNames == ["a,b", "c"])
    for wrong in ["[1]", "[", #"["a"] "b""#] {
      #expect(code { _ = try Embeddings(source(tensors, ["classes": wrong])) } == .malformed)
    }
  }

  @Test func refusesWhatIsNotClear() throws {
    let matrix = try tensor("x", .f32, [3, 2], values)
    let other = try tensor("z", .f32, [2, 3], values)
    #expect(code { _ = try Embeddings(source([matrix, other])) } == .invalidArgument)
    let named = try Embeddings(source([matrix, tensor("embeddings", .f32, [2, 3], values)]))
    #expect(named.dimension == 3)
    let first = try tensor("a", .i64, [3], bytes: lanes([0, 1, 2] as [Int64]))
    let second = try tensor("b", .i64, [3], bytes: lanes([0, 1, 2] as [Int64]))
    #expect(code { _ = try Embeddings(source([matrix, first, second])) } == .invalidArgument)
    let labels = try tensor("labels", .i64, [3], bytes: lanes([1, 1, 1] as [Int64]))
    #expect(try Embeddings(source([matrix, first, labels])).labels == [1, 1, 1])
    #expect(code { _ = try Embeddings(source([first])) } == .invalidArgument)
    #expect(code { _ = try Embeddings(source([])) } == .invalidArgument)
  }

  @Test func refusesWhatCannotBe() throws {
    for value in [Double.nan, .infinity, -.infinity] {
      let error = failure { _ = try Embeddings(source([tensor("x", .f32, [2, 2], [1, 2, 3, value])])) }
      #expect(error?.code == .nonFinite && error?.message.contains("row 1") == true)
    }
    #expect(code { _ = try Embeddings(source([tensor("x", .f32, [0, 2], [])])) } == .shapeMismatch)
    #expect(code { _ = try Embeddings(source([tensor("x", .f32, [2, 0], [])])) } == .shapeMismatch)
    let matrix = try tensor("x", .f32, [3, 2], values)
    let few = try tensor("y", .u8, [2], bytes: [0, 1])
    #expect(code { _ = try Embeddings(source([matrix, few])) } == .shapeMismatch)
    let negative = try tensor("y", .i64, [3], bytes: lanes([0, -1, 1] as [Int64]))
    #expect(code { _ = try Embeddings(source([matrix, negative])) } == .invalidArgument)
    let wide = try tensor("x", .f32, [1, 65_537], [Double](repeating: 0, count: 65_537))
    #expect(code { _ = try Embeddings(source([wide])) } == .limitExceeded)
    #expect(code { _ = try Embeddings([1, 2, 3], dimension: 2) } == .shapeMismatch)
    #expect(code { _ = try Embeddings([], dimension: 2) } == .shapeMismatch)
  }
}
