import ArchiveSupport
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackReading
import TMPackTensorKit
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
        // Of a tensor that has grown the shared one has the first rows only.
        func widened(_ source: any TensorSource) throws -> [Double] {
          let count = source.tensor(named: info.name)!.shape.elementCount
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
