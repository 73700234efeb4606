import ArchiveSupport
import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// Tensors that are made a span at a time have the bits of those that are made as a whole.
@Suite struct SpanTests {
  private let folder = TemporaryFolder()

  /// Rows that end where frames do and where they do not, several spans with a rest, and what is too small for two.
  private static let shapes: [(name: String, dtype: DType, shape: [Int])] = [
    ("aligned", .bf16, [1100, 1024]), ("crooked", .f32, [811, 1021]), ("double", .f64, [700, 411]),
    ("small", .f32, [33, 21]), ("stack", .bf16, [40, 96, 300]), ("vector", .f16, [1_200_001]),
  ]

  private static func model(_ seed: UInt64, movedBy scale: Double) throws -> [SampleTensor] {
    let floats = try shapes.enumerated().map { index, tensor in
      let count = tensor.shape.reduce(1, *)
      let values = zip(noise(count, seed: UInt64(index)), noise(count, scale: scale, seed: seed + UInt64(index)))
      return try TestSupport.tensor(tensor.name, tensor.dtype, tensor.shape, values.map { $0 + $1 })
    }
    let isBase = scale == 0
    return try floats + [
      tensor("ids", .i32, [600_000], bytes: lanes((0..<600_000).map { Int32($0 * (isBase ? 1 : Int(seed))) })),
      tensor("resized", isBase ? .f32 : .bf16, [isBase ? 10 : 1_100_000], noise(isBase ? 10 : 1_100_000, seed: seed)),
    ]
  }

  private static let treatments: [TensorTreatment] = {
    let methods: [FactorPlan.Method] = [.lowRank(rank: 3), .sparse(density: 0.01), .dense]
    return [.exact, .controlled] + methods.map { .factor(try! FactorPlan($0, dtype: .int4)) }
  }()

  @Test(arguments: treatments.indices, [false, true]) func spansMakeTheSameBytesAsWholes(
    _ treatment: Int, _ isDetached: Bool
  ) throws {
    let treatment = Self.treatments[treatment]
    let base = try writeModel(Self.model(100, movedBy: 0), to: folder("base.safetensors"))
    let experts = try [("a", UInt64(200)), ("b", 300)].map { name, seed in
      try ExpertInput(
        name: name, checkpoint: writeModel(Self.model(seed, movedBy: 0.1), to: folder("\(name).safetensors")))
    }
    var rate: RateControl?
    if case .controlled = treatment { rate = try RateControl(.quality(8), objective: .leastError) }
    let packer = Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(treatment, stacking: [(try Glob("stack"), .stack)]),
      rate: rate, isDetached: isDetached)
    _ = try packer.pack(base: base, experts: experts, to: folder("x.tmpack"))
    let archive = try Archive(folder("x.tmpack"), sharedModel: isDetached ? base.source : nil)
    for (text, dtype) in [("", nil), ("a=1", nil), ("b=1", FloatFormat.f16), ("a=0.5,b=-1.25", .f32)] {
      let whole = try Reconstructor(archive).mix(weights(text), dtype: dtype)
      let streamed = try Reconstructor(archive, memoryLimit: 0).mix(weights(text), dtype: dtype)
      var inSpans: Set<String> = []
      for info in streamed.tensors {
        let expected = try bytes(of: whole, info.name)
        if let kept = try whole.spanned(info) {
          let isSame = try Self.assembled(kept, count: info.byteCount) == expected
          #expect(isSame, "\(info.name) of \(text), kept")
        }
        guard let spanned = try streamed.spanned(info) else { continue }
        inSpans.insert(info.name)
        let isSame = try Self.assembled(spanned, count: info.byteCount) == expected
        #expect(isSame, "\(info.name) of \(text)")
      }
      // Exact experts that are mixed are the exception.
      let isMixOfExact = text.contains(",") && archiveIsExact(treatment)
      let wanted = Set(streamed.tensors.map(\.name)).subtracting(isMixOfExact ? Self.shapes.map(\.name) : [])
      #expect(inSpans == wanted, "\(text)")
    }
  }

  private func archiveIsExact(_ treatment: TensorTreatment) -> Bool {
    if case .exact = treatment { true } else { false }
  }

  /// From the last span to the first: none may need another.
  private static func assembled(_ tensor: SpannedTensor, count: Int) throws -> [UInt8] {
    let read = try tensor.open()
    var bytes = [UInt8](repeating: 0xA5, count: count)
    try bytes.withUnsafeMutableBytes { buffer in
      for start in stride(from: 0, to: count, by: tensor.length).reversed() {
        try read(start, UnsafeMutableRawBufferPointer(rebasing: buffer[start..<min(start + tensor.length, count)]))
      }
    }
    return bytes
  }

  // TMP-6-24
  @Test func everyPartOfALargeDetachedTensorIsChecked() throws {
    var random = SeededGenerator(seed: 5)
    var bytes = random.bytes(9 << 20 | 5)
    func write() throws -> Checkpoint {
      try writeModel([tensor("t", .u8, [bytes.count], bytes: bytes)], to: folder("base.safetensors"))
    }
    let base = try write()
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact), isDetached: true)
      .pack(base: base, experts: [ExpertInput(name: "a", checkpoint: base)], to: folder("x.tmpack"))
    func outcome() throws -> StorageError? {
      let mix = try Reconstructor(Archive(folder("x.tmpack"), sharedModel: write().source)).mix(.shared)
      return failure { _ = try mix.bytes(of: mix.tensors[0]) }
    }
    #expect(try outcome() == nil)
    for place in [0, 5 << 20, bytes.count - 1] {
      bytes[place] ^= 1
      #expect(try outcome()?.code == .baseMismatch, "byte \(place)")
      bytes[place] ^= 1
    }
  }

  /// TMP-6-4
  @Test(arguments: [InputMode.mmap, .read], [1, 2, 4]) func aDetachedModelOfOtherBytesIsRefused(
    _ mode: InputMode, _ threads: Int
  ) throws {
    let base = try writeModel(Self.model(100, movedBy: 0), to: folder("base.safetensors"))
    let expert = try ExpertInput(
      name: "a", checkpoint: writeModel(Self.model(200, movedBy: 0.1), to: folder("a.safetensors")))
    let rules = try TensorRules(.factor(FactorPlan(.lowRank(rank: 3), dtype: .int8)))
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules, isDetached: true)
      .pack(base: base, experts: [expert], to: folder("x.tmpack"))
    var bytes = try contents(folder("base.safetensors"))
    let names = folder.names
    for place in [bytes.count - 1, bytes.count / 2] {
      bytes[place] ^= 1
      try put(bytes, at: folder("base.safetensors"))
      let shared = try Checkpoint.open(folder("base.safetensors"), mode: mode).source
      let archive = try Archive(folder("x.tmpack"), sharedModel: shared)
      for text in ["", "a=1"] {
        let mix = try Reconstructor(archive, memoryLimit: 0).mix(weights(text))
        let error = failure {
          try CheckpointDestination(folder("out.safetensors")).write(mix, threads: threads)
        }
        #expect(error?.code == .baseMismatch && error?.tensor != nil, "byte \(place)")
        #expect(error?.file == folder("base.safetensors"))
        #expect(folder.names == names)
      }
      bytes[place] ^= 1
    }
  }

  /// A damaged frame in the last span is found, and nothing is left behind.
  @Test func damageInTheLastSpanIsNamed() throws {
    let base = try writeModel(Self.model(100, movedBy: 0), to: folder("base.safetensors"))
    let expert = try ExpertInput(
      name: "a", checkpoint: writeModel(Self.model(200, movedBy: 0.1), to: folder("a.safetensors")))
    let path = folder("x.tmpack")
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.exact))
      .pack(base: base, experts: [expert], to: path)
    var bytes = try contents(path)
    // The frames of the expert stand between the shared model's and the sections.
    let place = bytes.count - 400_000
    bytes[place] ^= 0x10
    try put(bytes, at: path)
    let mix = try Reconstructor(Archive(path), memoryLimit: 0).mix(weights("a=1"))
    let error = failure { try CheckpointDestination(folder("out.safetensors")).write(mix) }
    #expect(error?.code == .digestMismatch || error?.code == .malformed)
    #expect(error?.file == path && error?.tensor != nil && error?.offset != nil && error?.expert == "a")
    #expect(folder.names.sorted() == ["a.safetensors", "base.safetensors", "x.tmpack"])
  }
}
