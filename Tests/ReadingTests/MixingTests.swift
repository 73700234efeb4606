import ArchiveSupport
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// What section 7 of the specification says, by hand.
@Suite struct MixingTests {
  private let folder = TemporaryFolder()

  private func pack(
    _ rules: TensorRules = TensorRules(.exact), base: [SampleTensor], _ experts: [(String, [SampleTensor])]
  ) throws -> Archive {
    let inputs = try experts.map { name, tensors in
      try ExpertInput(
        name: name, checkpoint: writeModel(tensors, metadata: ["of": name], to: folder("\(name).safetensors")))
    }
    let checkpoint = try writeModel(base, metadata: ["of": "base"], to: folder("base.safetensors"))
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules)
      .pack(base: checkpoint, experts: inputs, to: folder("a.tmpack"), replacing: true)
    return try Archive(folder("a.tmpack"))
  }

  private func mix(_ archive: Archive, _ text: String, _ dtype: FloatFormat? = nil) throws -> Mix {
    try Reconstructor(archive).mix(weights(text), dtype: dtype)
  }

  private func f32(_ name: String, _ values: [Double]) throws -> SampleTensor {
    try tensor(name, .f32, [values.count], values)
  }

  private func floats(_ source: any TensorSource, _ name: String) throws -> [Float] {
    let bytes = try bytes(of: source, name)
    return (0..<bytes.count / 4).map { index in
      Float(bitPattern: bytes[4 * index..<4 * index + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
    }
  }

  /// Of another mix, of another size, without the room: errors, whatever a caller asks for.
  @Test func refusesWhatItHasNot() throws {
    let archive = try pack(base: [f32("t", [1, 2])], [("a", [f32("t", [3, 5])])])
    let mix = try mix(archive, "a=1")
    let own = mix.tensors[0]
    for foreign in [try info("u", .f32, [2]), try info("t", .f32, [4])] {
      #expect(code { _ = try mix.bytes(of: foreign) } == .unknownName)
    }
    for (range, room) in [(0..<8, 7), (0..<9, 9), (4..<12, 8), (-4..<4, 8)] {
      let error = code {
        _ = try TensorBytes(count: room) { memory throws(StorageError) in try mix.read(range, of: own, into: memory) }
      }
      #expect(error == .invalidArgument)
    }
  }

  // TMP-7-1: weights of 0 and −0 are left out; without experts the result is the shared model.
  @Test func leavesOutExpertsOfWeightZero() throws {
    let archive = try pack(base: [f32("t", [1, 2])], [("a", [f32("t", [3, 5])]), ("b", [f32("t", [4, 6])])])
    for text in ["", "a=0", "a=-0,b=0"] {
      let result = try mix(archive, text)
      #expect(try floats(result, "t") == [1, 2])
      #expect(result.metadata["of"] == "base")
    }
    // TMP-7-10: alone, at weight 1, exactly; also when another is there at weight 0.
    #expect(try floats(mix(archive, "a=1,b=0"), "t") == [3, 5])
    #expect(code { _ = try mix(archive, "c=0") } == .unknownName)
  }

  // TMP-7-2: "A tensor without holders is not in the result."
  @Test func leavesOutTensorsThatNobodyHas() throws {
    let (x, y, z) = try (f32("x", [1]), f32("y", [1]), f32("z", [1]))
    let archive = try pack(base: [x, y, z], [("a", [x, f32("y", [2])]), ("b", [x, f32("w", [7])])])
    #expect(try mix(archive, "").tensors.map(\.name) == ["x", "y", "z"])
    #expect(try mix(archive, "a=1").tensors.map(\.name) == ["x", "y"])
    #expect(try mix(archive, "b=1").tensors.map(\.name) == ["w", "x"])
    let both = try mix(archive, "a=0.5,b=9")
    #expect(both.tensors.map(\.name) == ["w", "x", "y"])
    // b is heavier but does not hold y.
    #expect(try floats(both, "y") == [1.5])
    #expect(try floats(both, "w") == [7])
  }

  // TMP-7-3: the holder of the greatest weight decides; among equals the first in declaration order, not as given.
  @Test func theHeaviestDecidesWhatIsWhole() throws {
    func ids(_ number: Int64) throws -> SampleTensor { try tensor("n", .i64, [1], bytes: lanes([number])) }
    let base = try [ids(1), f32("t", [0, 0]), f32("u", [1])]
    let archive = try pack(
      base: base,
      [
        ("a", [ids(2), tensor("t", .f16, [2], [1, 1]), f32("u", [2])]),
        ("b", [ids(3), f32("t", [2, 4]), f32("u", [3])]),
        ("c", [ids(1), f32("t", [8]), f32("u", [1])]),
      ])
    func decided(_ text: String) throws -> UInt8 { try bytes(of: mix(archive, text), "n")[0] }
    #expect(try decided("a=1,b=2") == 3)
    #expect(try decided("a=2,b=1") == 2)
    #expect(try decided("b=1,a=1") == 2)
    #expect(try decided("a=-1,b=-2") == 2)
    #expect(try decided("a=-2,b=-1") == 3)
    // c has it unchanged: the shared tensor.
    #expect(try decided("c=3,a=1") == 1)
    #expect(try decided("a=1,c=1") == 2)
    // `t` is replaced in a (dtype) and c (shape); b adds to it. Only the decider's replacement counts.
    #expect(try mix(archive, "a=2,b=1").tensor(named: "t")?.dtype == .f16)
    #expect(try mix(archive, "c=2,b=1").tensor(named: "t")?.shape.dimensions == [1])
    #expect(try floats(mix(archive, "a=1,b=2,c=1"), "t") == [4, 8])
    // TMP-7-11
    #expect(try mix(archive, "a=1,b=1").metadata["of"] == "a")
    #expect(try mix(archive, "b=-1,a=-2").metadata["of"] == "b")
  }

  // TMP-7-4, TMP-7-7, TMP-7-8, TMP-7-9: against sums made here, one rounding at a time.
  @Test func addsDifferencesInDeclarationOrder() throws {
    let count = 200
    func values(_ seed: UInt64, _ scale: Double) -> [Double] {
      noise(count, scale: scale, seed: seed).map { Double(Float($0)) }
    }
    let (s, a, b) = (values(1, 1), values(2, 1e-3), values(3, 1e3))
    let (wa, wb) = (Float(0.7), Float(-1.3))
    let archive = try pack(
      base: [
        f32("t", s), tensor("d", .f64, [count], s), tensor("h", .f16, [count], s), tensor("z", .bf16, [count], s),
      ],
      [("a", a), ("b", b)].map { name, own in
        (
          name,
          try [
            f32("t", own), tensor("d", .f64, [count], own), tensor("h", .f16, [count], own),
            tensor("z", .bf16, [count], own),
          ]
        )
      })
    let result = try mix(archive, "b=-1.3,a=0.7")
    let expected = (0..<count).map { i in
      var acc = Float(s[i])
      acc.addProduct(wa, Float(a[i]) - Float(s[i]))
      acc.addProduct(wb, Float(b[i]) - Float(s[i]))
      return acc
    }
    #expect(try floats(result, "t").map(\.bitPattern) == expected.map(\.bitPattern))
    let wide = (0..<count).map { i in
      var acc = s[i]
      acc.addProduct(Double(wa), a[i] - s[i])
      acc.addProduct(Double(wb), b[i] - s[i])
      return acc
    }
    #expect(try bytes(of: result, "d") == lanes(wide.map(\.bitPattern)))
    // 16-bit tensors are widened, summed in binary32 and rounded once.
    for (name, format) in [("h", FloatFormat.f16), ("z", .bf16)] {
      func rounded(_ values: [Double]) throws -> [Float] {
        let tensor = try tensor("x", format.dtype, [count], values)
        var result = [Float](repeating: 0, count: count)
        try tensor.bytes.withBytes { raw in result.withUnsafeMutableBufferPointer { format.widen(raw, into: $0) } }
        return result
      }
      let (s16, a16, b16) = try (rounded(s), rounded(a), rounded(b))
      let sums = (0..<count).map { i in
        var acc = s16[i]
        acc.addProduct(wa, a16[i] - s16[i])
        acc.addProduct(wb, b16[i] - s16[i])
        return Double(acc)
      }
      #expect(
        try bytes(of: result, name) == tensor("x", format.dtype, [count], sums).bytes.withBytes { [UInt8]($0) })
    }
  }

  // TMP-7-13: what a dtype cannot hold becomes infinite, and is counted.
  @Test func countsWhatAnotherDTypeCannotHold() throws {
    let archive = try pack(
      base: [f32("t", [1e5, 1]), f32("u", [-7e4, 2])], [("a", [f32("t", [3, 3]), f32("u", [-7e4, 2])])])
    for (text, count) in [("", 2), ("a=1", 1), ("a=2", 2)] {
      let result = try mix(archive, text, .f16)
      #expect(try bytes(of: result, "u") == [0x00, 0xFC, 0x00, 0x40])
      _ = try bytes(of: result, "t")
      #expect(result.overflowCount == count, "\(text)")
      // In one pass, as it is written to a file.
      let once = try Reconstructor(archive, memoryLimit: 0).mix(weights(text), dtype: .f16)
      try CheckpointDestination(folder("o.safetensors"), replacing: true).write(once)
      #expect(once.overflowCount == count, "\(text)")
    }
    #expect(try mix(archive, "a=2").overflowCount == 0)
  }

  // TMP-7-5, TMP-7-6: lossy factors, decoded here from what the archive holds.
  @Test(arguments: FactorDType.allCases) func addsFactors(_ dtype: FactorDType) throws {
    let (m, n) = (6, 10)
    let s = noise(m * n, seed: 1).map { Double(Float($0)) }
    for method in [FactorPlan.Method.lowRank(rank: 2), .sparse(density: 0.2), .dense] {
      let rules = TensorRules(.factor(try FactorPlan(method, dtype: dtype)))
      let archive = try pack(
        rules, base: [tensor("t", .f32, [m, n], s)], [("a", [tensor("t", .f32, [m, n], noise(m * n, seed: 2))])])
      let section = try archive.file.expertSection(0)
      func values(_ payload: PayloadReference, _ dtype: FactorDType, run: Int) throws -> [[Float]] {
        let bytes = try archive.file.payloads.bytes(of: payload, in: section)
        let size = dtype.componentBytes(run)
        return (0..<bytes.count / size).map { component in
          Self.decode(Array(bytes[component * size..<(component + 1) * size]), dtype, count: run)
        }
      }
      var acc = s.map { Float($0) }
      let w = Float(0.37)
      guard case .lossy(let layout) = try #require(section.manifest.tensors.first).factor else {
        Issue.record("not lossy")
        continue
      }
      switch layout.form {
      case .lowRank(let rank, let dtype):
        let (left, right) = try (values(layout[.left], dtype, run: m), values(layout[.right], dtype, run: n))
        let scales = try values(layout[.scales], .f32, run: rank)[0]
        for k in 0..<rank {
          for i in 0..<m {
            let a = w * scales[k] * left[k][i]
            for j in 0..<n { acc[i * n + j].addProduct(a, right[k][j]) }
          }
        }
      case .sparse(let count, let dtype):
        let gaps = try archive.file.payloads.bytes(of: layout[.positions], in: section)
        let scale = try values(layout[.scales], .f32, run: 1)[0][0]
        let elements = try values(layout[.values], dtype, run: count)[0]
        var place = -1
        // All gaps are below 128 here: a byte each.
        for (gap, element) in zip(gaps, elements) {
          place += Int(gap) + 1
          acc[place].addProduct(w * scale, element)
        }
      case .dense(let dtype):
        let scale = try values(layout[.scales], .f32, run: 1)[0][0]
        for (place, element) in try values(layout[.values], dtype, run: m * n)[0].enumerated() {
          acc[place].addProduct(w * scale, element)
        }
      default: Issue.record("not a float factor")
      }
      #expect(try floats(mix(archive, "a=0.37"), "t").map(\.bitPattern) == acc.map(\.bitPattern), "\(method)")
    }
  }

  /// TMP-6-8, TMP-6-9
  private static func decode(_ bytes: [UInt8], _ dtype: FactorDType, count: Int) -> [Float] {
    (0..<count).map { index in
      switch dtype {
      case .f32:
        Float(bitPattern: bytes[4 * index..<4 * index + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
      case .bf16: BFloat16.float(bits: UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8)
      case .f16: Half.float(bits: UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8)
      case .int8: Float(Int8(bitPattern: bytes[index]))
      case .int4: Float(Int8(bitPattern: index % 2 == 0 ? bytes[index / 2] << 4 : bytes[index / 2] & 0xF0) >> 4)
      }
    }
  }

  // TMP-7-10: no sum, no rounding: NaNs keep their payloads, zeros their signs.
  @Test(arguments: FloatFormat.allCases) func takesBitsWhereNothingIsAdded(_ format: FloatFormat) throws {
    var random = SeededGenerator(seed: 3)
    let size = 64 * format.byteWidth
    let (s, own) = (random.bytes(size), [UInt8](repeating: 0xFF, count: size))
    let archive = try pack(
      base: [tensor("t", format.dtype, [64], bytes: s)], [("a", [tensor("t", format.dtype, [64], bytes: own)])])
    #expect(try bytes(of: mix(archive, ""), "t") == s)
    #expect(try bytes(of: mix(archive, "a=1"), "t") == own)
    #expect(try bytes(of: mix(archive, "a=1", format), "t") == own)
    // TMP-7-13: any sum or conversion makes the one NaN.
    let canonical: [FloatFormat: [UInt8]] = [
      .f64: [0, 0, 0, 0, 0, 0, 0xF8, 0x7F], .f32: [0, 0, 0xC0, 0x7F], .f16: [0, 0x7E], .bf16: [0xC0, 0x7F],
    ]
    #expect(try bytes(of: mix(archive, "a=0.5"), "t").suffix(format.byteWidth) == canonical[format]![...])
    for other in FloatFormat.allCases where other != format {
      #expect(try bytes(of: mix(archive, "a=1", other), "t").suffix(other.byteWidth) == canonical[other]![...])
    }
  }

  // TMP-7-7: "d = 0 where they are equal (infinities too)". TMP-7-13: overflow becomes infinity.
  @Test func infinitiesStay() throws {
    let archive = try pack(
      base: [f32("t", [.infinity, -.infinity, 0, 3e38])],
      [("a", [f32("t", [.infinity, -.infinity, .infinity, -3e38])])])
    #expect(try floats(mix(archive, "a=0.5"), "t") == [.infinity, -.infinity, .infinity, -.infinity])
    let wide = try pack(base: [f32("t", [65_519, 65_520, -1e30])], [("a", [f32("t", [65_519, 65_520, -1e30])])])
    let half = try bytes(of: mix(wide, "a=1", .f16), "t")
    #expect(half == lanes([0x7BFF, 0x7C00, 0xFC00] as [UInt16]))
  }

  // TMP-7-12: "Others keep their dtype."
  @Test func convertsFloatsOnly() throws {
    let base = try [
      f32("t", [1, 2]), tensor("n", .i32, [1], bytes: lanes([5] as [Int32])), tensor("e", .f8e4m3, [1], bytes: [0x38]),
      tensor("c", .c64, [1], bytes: [UInt8](repeating: 1, count: 8)),
    ]
    let archive = try pack(base: base, [("a", base + [tensor("x", .f64, [1], [1.0 / 3])])])
    let result = try mix(archive, "a=1", .bf16)
    #expect(result.tensors.map(\.dtype) == [.c64, .f8e4m3, .i32, .bf16, .bf16])
    #expect(try bytes(of: result, "x") == lanes([0x3EAB] as [UInt16]))
  }

  // Two tensors whose names are equal but for Unicode normalisation (TMP-1-8).
  @Test func tellsNamesApartByTheirBytes() throws {
    let (composed, decomposed) = ("é", "e\u{301}")
    let archive = try pack(
      base: [f32(composed, [1]), f32(decomposed, [2])],
      [("a", [f32(composed, [3]), f32(decomposed, [4]), f32("o\u{308}", [5]), f32("ö", [6])])])
    let reconstructor = try Reconstructor(archive)
    for _ in 0..<2 {
      let mix = try reconstructor.mix(.expert("a"))
      #expect(try floats(mix, composed) == [3] && floats(mix, decomposed) == [4])
      #expect(try floats(mix, "o\u{308}") == [5] && floats(mix, "ö") == [6])
    }
    #expect(try floats(mix(archive, ""), decomposed) == [2])
  }

  // What has been decoded is kept: the file may go.
  @Test func mixesAgainWithoutTheFile() throws {
    let rules = TensorRules(.factor(try FactorPlan(.lowRank(rank: 1), dtype: .f16)))
    let base = try [tensor("t", .f32, [8, 9], noise(72, seed: 1)), tensor("n", .u8, [3], bytes: [1, 2, 3])]
    let own = try [tensor("t", .f32, [8, 9], noise(72, seed: 2)), tensor("n", .u8, [3], bytes: [1, 2, 4])]
    _ = try pack(rules, base: base, [("a", own)])
    let path = folder("a.tmpack")
    let reconstructor = try Reconstructor(Archive(path, mode: .read))
    let first = try digests(of: reconstructor.mix(.expert("a")))
    let half = try digests(of: reconstructor.mix(weights("a=0.5")))
    truncateFile(path, to: 0)
    #expect(try digests(of: reconstructor.mix(.expert("a"))) == first)
    #expect(try digests(of: reconstructor.mix(weights("a=0.5"))) == half)
    let forgetful = code { _ = try digests(of: Reconstructor(Archive(path, mode: .read)).mix(.expert("a"))) }
    #expect(forgetful == .unknownFormat)
  }
}
