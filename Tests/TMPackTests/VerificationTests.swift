import TMPack
import TestSupport
import Testing

@Suite struct PropertyTests {
  // Whatever is packed is sound, and comes back as exactly as was promised.
  @Test(arguments: 0..<40 as Range<UInt64>) func packsVerifiesUnpacks(_ seed: UInt64) throws {
    let folder = TemporaryFolder()
    var random = SeededGenerator(seed: seed &+ 1000)
    let sample = try RandomModels(using: &random, in: folder, name: "m")
    let archive = try sample.pack()
    let report = try Verification(archive).run(.deep)
    #expect(report.isSound, "\(report.faults)")
    #expect(report.usableExperts == sample.allExperts.map(\.name))
    let shared = try Reconstructor(archive).mix(.shared)
    for expert in sample.allExperts {
      #expect(try Verification(archive).proveSource(ofExpert: expert.name, expert.checkpoint.source).isEmpty)
      let mix = try Reconstructor(archive).mix(.expert(expert.name))
      #expect(mix.metadata == expert.checkpoint.source.metadata)
      #expect(mix.tensors == expert.checkpoint.source.tensors)
      // Unpacked to a file and read again.
      let path = folder("out.safetensors")
      try CheckpointDestination(path, replacing: true).write(mix)
      #expect(try digests(of: Checkpoint.open(path).source) == digests(of: mix))
      let manifest = try archive.manifest(ofExpert: expert.name)
      for info in mix.tensors {
        let own = try bytes(of: expert.checkpoint.source, info.name)
        guard let measures = manifest.entry(named: info.name)?.measures else {
          let back = try bytes(of: mix, info.name)
          // Lossy packing takes zeros of either sign for unchanged.
          #expect(back == own || !sample.isLossless)
          continue
        }
        // TMP-6-6: the recorded norm and error, measured again in binary64 from what unpacking gives in binary32.
        let format = try #require(info.dtype.floatFormat)
        let count = info.shape.elementCount
        func widened(_ source: any TensorSource) throws -> [Double] {
          var values = [Double](repeating: 0, count: count)
          try source.bytes(of: source.tensor(named: info.name)!).withBytes { raw in
            source.tensor(named: info.name)!.dtype.floatFormat!.widen(raw, into: &values)
          }
          return values
        }
        let (a, s) = try (widened(expert.checkpoint.source), widened(shared))
        let b = try widened(Reconstructor(archive).mix(.expert(expert.name), dtype: format == .f64 ? .f64 : .f32))
        let norm = zip(a, s).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        let lost = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        #expect(abs(norm - measures.norm.value) <= 1e-5 * norm)
        // The sum's own rounding, of the size of the shared tensor's elements, comes on top.
        let size = s.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(abs(lost - measures.error.value * measures.norm.value) <= 1e-6 * (size + norm))
      }
    }
  }
}

extension FloatFormat {
  fileprivate func widen(_ raw: UnsafeRawBufferPointer, into values: inout [Double]) {
    values.withUnsafeMutableBufferPointer { widen(raw, into: $0) }
  }
}

@Suite struct SourceVerificationTests {
  private let folder = TemporaryFolder()

  private func source(_ tensors: [SampleTensor]) throws -> MemoryTensorSource { try MemoryTensorSource(tensors) }

  @Test func findsWhatIsNotTheSource() throws {
    func matrix(_ name: String, _ seed: UInt64) throws -> SampleTensor {
      try tensor(name, .f32, [8, 8], noise(64, seed: seed))
    }
    let base = try [matrix("a", 1), matrix("b", 2), matrix("gone", 3), matrix("same", 4)]
    let own = try [matrix("a", 5), matrix("b", 6), matrix("new", 7), matrix("same", 4)]
    let expert = try ExpertInput(name: "x", checkpoint: writeModel(own, to: folder("x.safetensors")))
    let plan = try FactorPlan(.lowRank(rank: 2), dtype: .int8)
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.factor(plan), excluding: [try Glob("b")]))
      .pack(base: writeModel(base, to: folder("base.safetensors")), experts: [expert], to: folder("a"))
    let verification = Verification(try Archive(folder("a")))
    func tensorsAtFault(_ tensors: [SampleTensor]) throws -> [String?] {
      try verification.proveSource(ofExpert: "x", source(tensors)).faults.map(\.tensor)
    }
    #expect(try tensorsAtFault(own).isEmpty)
    #expect(try tensorsAtFault([matrix("a", 8)] + own[1...]) == ["a"])
    #expect(try tensorsAtFault([own[0], matrix("b", 8)] + own[2...]) == ["b"])
    #expect(try tensorsAtFault(Array(own[..<3]) + [matrix("same", 8)]) == ["same"])
    #expect(try tensorsAtFault(own + [base[2]]) == ["gone"])
    #expect(try tensorsAtFault(own + [matrix("z", 1)]) == ["z"])
    #expect(try Set(tensorsAtFault([own[0], own[1]])) == ["new", "same"])
    #expect(code { _ = try verification.proveSource(ofExpert: "y", source(own)) } == .unknownName)
  }
}

@Suite struct ComparisonTests {
  @Test func agreesWithPlainSums() throws {
    let (a, b) = (noise(1000, seed: 1), noise(1000, seed: 2))
    func source(_ values: [Double], _ dtype: DType) throws -> MemoryTensorSource {
      try MemoryTensorSource([tensor("t", dtype, [10, 100], values), tensor("only", .u8, [1], bytes: [1])])
    }
    let comparison = try Comparison(source(a, .f64), source(b, .f64))
    let numbers = try #require(comparison.tensors.last?.difference)
    let dot = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    let squares = { (x: [Double]) in x.reduce(0) { $0 + $1 * $1 } }
    let delta = zip(a, b).map { $0 - $1 }
    #expect(abs(numbers.relativeError - (squares(delta) / squares(a)).squareRoot()) < 1e-12)
    #expect(abs(numbers.cosine - dot / (squares(a) * squares(b)).squareRoot()) < 1e-12)
    #expect(numbers.maximum == delta.map(abs).max())
    #expect(numbers.equalCount == 0 && numbers.elementCount == 1000)
    #expect(!comparison.isEqual && abs(comparison.relativeError - numbers.relativeError) < 1e-15)
    let same = try Comparison(source(a, .f64), source(a, .f64))
    #expect(same.isEqual && same.relativeError == 0)
    #expect(same.tensors.allSatisfy { $0.difference?.cosine == 1 })
    // Values that a narrower type holds are equal in both, but the tensors are of two dtypes.
    let mixed = try Comparison(
      source([Double](repeating: 0.5, count: 1000), .f16), source([Double](repeating: 0.5, count: 1000), .f32))
    #expect(mixed.tensors.allSatisfy { $0.difference?.isEqual == true } && !mixed.isEqual)
  }

  @Test func tellsWhatCannotBeCompared() throws {
    let left = try MemoryTensorSource([
      tensor("a", .f32, [2], [1, 2]), tensor("left", .f32, [], [1]), tensor("n", .i16, [2], bytes: [1, 0, 2, 0]),
      tensor("nan", .f32, [2], [.nan, .infinity]), tensor("zero", .f32, [1], [0]),
    ])
    let right = try MemoryTensorSource([
      tensor("a", .f32, [1, 2], [1, 2]), tensor("right", .f32, [], [1]), tensor("n", .i16, [2], bytes: [1, 0, 3, 0]),
      tensor("nan", .f32, [2], [.nan, .infinity]), tensor("zero", .f32, [1], [1]),
    ])
    let comparison = try Comparison(left, right)
    #expect(comparison.onlyLeft == ["left"] && comparison.onlyRight == ["right"])
    let differences = comparison.tensors.map(\.difference)
    #expect(differences[0] == nil)
    #expect(differences[1]?.equalCount == 1)
    #expect(differences[2]?.isEqual == true)
    #expect(differences[3]?.relativeError == .infinity)
    #expect(!comparison.isEqual)
  }
}
