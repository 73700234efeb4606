import TMPack
import TestSupport

/// How one golden archive is made, and which mixes of it are recorded.
struct Recipe: Sendable {
  let name: String
  let mixes: [String]
  let make: @Sendable (Workshop) throws -> Void

  init(_ name: String, mixes: [String], _ make: @escaping @Sendable (Workshop) throws -> Void) {
    self.name = name
    self.mixes = mixes
    self.make = make
  }
}

/// Where a recipe finds room, and what most of them do.
struct Workshop {
  let folder = TemporaryFolder()
  let archive: String

  func model(_ name: String, _ tensors: [SampleTensor], metadata: [String: String] = [:]) throws -> Checkpoint {
    try writeModel(tensors, metadata: metadata, to: folder("\(name).safetensors"))
  }

  func expert(_ name: String, _ tensors: [SampleTensor], metadata: [String: String] = [:]) throws -> ExpertInput {
    try ExpertInput(name: name, checkpoint: model(name, tensors, metadata: metadata))
  }

  func pack(_ rules: TensorRules, base: [SampleTensor], _ experts: [String: [SampleTensor]]) throws {
    let inputs = try experts.sorted { $0.key < $1.key }.map { try expert($0.key, $0.value) }
    _ = try Packer(sharedModel: .merged(TaskArithmetic()), rules: rules)
      .pack(base: model("base", base), experts: inputs, to: archive)
  }
}

private func factors(_ method: FactorPlan.Method, _ dtype: FactorDType) throws -> TensorRules {
  TensorRules(.factor(try FactorPlan(method, dtype: dtype)))
}

private let lossless = TensorRules(.exact)

/// A base of two matrices, a vector and a scalar in mixed dtypes, and two experts near it.
private func lossyModels() throws -> (base: [SampleTensor], experts: [String: [SampleTensor]]) {
  func model(_ seed: UInt64?) throws -> [SampleTensor] {
    func values(_ count: Int, _ own: UInt64) -> [Double] {
      let base = noise(count, seed: own)
      guard let seed else { return base }
      return zip(base, noise(count, scale: 0.1, seed: seed * 100 + own)).map { $0 + $1 }
    }
    return try [
      tensor("a.weight", .f32, [9, 7], values(63, 1)), tensor("b.weight", .bf16, [6, 2, 5], values(60, 2)),
      tensor("c.weight", .f64, [5, 8], values(40, 3)), tensor("d.weight", .f16, [8, 6], values(48, 4)),
      tensor("bias", .f32, [7], values(7, 5)), tensor("scale", .bf16, [], values(1, 6)),
    ]
  }
  return (try model(nil), ["code": try model(1), "math": try model(2)])
}

private let lossyMixes = ["", "code=1", "math=1", "code=0.7,math=0.3", "code=-1.5,math=1e-3", "math=2,code=0"]

private func lossy(_ name: String, _ method: FactorPlan.Method, _ dtype: FactorDType) -> Recipe {
  Recipe(name, mixes: lossyMixes) { shop in
    let (base, experts) = try lossyModels()
    try shop.pack(factors(method, dtype), base: base, experts)
  }
}

/// Bits of every kind: zeros, subnormal and greatest numbers, infinities, NaNs with payloads, and random ones.
private func anyBits(_ dtype: DType, _ count: Int, seed: UInt64) -> [UInt8] {
  var random = SeededGenerator(seed: seed)
  var bytes = random.bytes(count * dtype.bitWidth / 8)
  for index in 0..<bytes.count / 3 { bytes[index] = [0, 0xFF, 0x80, 0x7F][Int(random.next() & 3)] }
  return bytes
}

private func difference(_ dtype: DType) -> Recipe {
  Recipe("difference-\(dtype.rawValue.lowercased())", mixes: ["", "a=1", "b=1", "a=0.5", "a=0.25,b=0.75", "b=-1,a=3"]) {
    shop in
    func model(_ seed: UInt64) throws -> [SampleTensor] {
      try [
        tensor("any", dtype, [4, 10], bytes: anyBits(dtype, 40, seed: seed)),
        tensor("same", dtype, [3], bytes: anyBits(dtype, 3, seed: 9)),
      ] + (dtype.floatFormat == nil ? [] : [tensor("near", dtype, [20], noise(20, scale: Double(seed), seed: 5))])
    }
    let experts = try [shop.expert("a", model(2)), shop.expert("b", model(3))]
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: lossless)
      .pack(base: shop.model("base", model(1)), experts: experts, to: shop.archive)
  }
}

let recipes: [Recipe] =
  FactorDType.allCases.map { lossy("low-rank-\($0.rawValue.lowercased())", .lowRank(rank: 2), $0) }
  + [
    lossy("sparse-f32", .sparse(density: 0.2), .f32), lossy("sparse-i4", .sparse(density: 0.3), .int4),
    lossy("dense-bf16", .dense, .bf16), lossy("dense-i8", .dense, .int8),
  ]
  + [.f64, .f32, .f16, .bf16, .f8e4m3, .i64, .c64].map(difference)
  + [
    Recipe("replaced", mixes: ["", "a=1", "b=1", "a=0.5,b=0.5", "a=0.5,b=0.6", "a=-1,b=-2"]) { shop in
      let base = try [
        tensor("dtype", .f32, [4], noise(4, seed: 1)), tensor("shape", .f32, [2, 3], noise(6, seed: 2)),
        tensor("steady", .f32, [3, 3], noise(9, seed: 3)),
      ]
      let a = try [
        tensor("dtype", .bf16, [4], noise(4, seed: 4)), tensor("shape", .f32, [3, 3], noise(9, seed: 5)),
        tensor("steady", .f32, [3, 3], noise(9, seed: 6)), tensor("new", .f16, [5], noise(5, seed: 7)),
      ]
      let b = try [
        tensor("dtype", .f32, [4], noise(4, seed: 8)), tensor("shape", .i32, [2], bytes: lanes([7, -7] as [Int32])),
        tensor("steady", .f32, [3, 3], noise(9, seed: 9)), tensor("new", .f64, [5], noise(5, seed: 10)),
      ]
      try shop.pack(factors(.dense, .f16), base: base, ["a": a, "b": b])
    },
    Recipe("absent", mixes: ["", "a=1", "b=1", "a=0.5,b=0.5"]) { shop in
      let all = try (0..<4).map { try tensor("t\($0)", .f32, [2, 2], noise(4, seed: UInt64($0))) }
      let other = try (0..<4).map { try tensor("t\($0)", .f32, [2, 2], noise(4, seed: UInt64($0) + 9)) }
      try shop.pack(lossless, base: all, ["a": [all[0], other[1]], "b": [other[0], all[2]]])
    },
    Recipe("detached", mixes: ["", "a=1", "a=0.5"]) { shop in
      let (base, experts) = try lossyModels()
      let integers = try tensor("ids", .i64, [3], bytes: lanes([1, 2, 3] as [Int64]))
      let others = try tensor("ids", .i64, [3], bytes: lanes([1, 2, 4] as [Int64]))
      let path = String(shop.archive.dropLast("tmpack".count)) + "safetensors"
      let shared = try writeModel(base + [integers], to: path)
      _ = try Packer(sharedModel: .merged(BaseModel()), rules: factors(.lowRank(rank: 1), .f16), isDetached: true)
        .pack(base: shared, experts: [shop.expert("a", experts["code"]! + [others])], to: shop.archive)
    },
    Recipe("files", mixes: ["", "a=1", "b=1", "a=1,b=2"]) { shop in
      func folder(_ name: String, _ seed: UInt64, _ files: [(name: String, bytes: [UInt8])]) throws -> Checkpoint {
        try writeModel(
          [tensor("t", .f32, [4], noise(4, seed: seed))], metadata: ["format": "pt", "name": name], files: files,
          to: shop.folder(name))
      }
      let config: (name: String, bytes: [UInt8]) = ("config.json", Array(#"{"hidden_size": 4}"#.utf8))
      let base = try folder("base", 1, [config, ("tokenizer/vocab.txt", Array("a\nb\n".utf8)), ("empty.txt", [])])
      let a = try folder("a", 2, [config, ("LICENSE", Array("free".utf8))])
      let b = try shop.expert("b", [tensor("t", .f32, [4], noise(4, seed: 3))])
      _ = try Packer(rules: lossless, options: ["note": "é\"\\\n"])
        .pack(base: base, experts: [ExpertInput(name: "a", checkpoint: a), b], to: shop.archive)
    },
    Recipe("two-generations", mixes: ["", "old=1", "new=1", "old=0.5,new=0.5"]) { shop in
      let (base, experts) = try lossyModels()
      try shop.pack(factors(.lowRank(rank: 1), .bf16), base: base, ["old": experts["code"]!])
      _ = try Packer(rules: factors(.sparse(density: 0.1), .f32))
        .add([shop.expert("new", experts["math"]!)], to: Archive(shop.archive))
    },
    Recipe("tied", mixes: ["", "a=1", "b=1", "twin=1", "a=1,b=1,twin=1"]) { shop in
      var random = SeededGenerator(seed: 1)
      // Above the size of what is pooled, and compressible.
      let block = random.bytes(97)
      let (large, changed) = ((0..<66_000).map { block[$0 % 97] }, (0..<66_000).map { block[$0 % 89] })
      func model(_ head: [UInt8]) throws -> [SampleTensor] {
        try [tensor("embed", .u8, [66_000], bytes: head), tensor("head", .u8, [66_000], bytes: head)]
      }
      try shop.pack(lossless, base: model(large), ["a": model(changed), "b": model(large), "twin": model(changed)])
    },
    Recipe("shapes", mixes: ["", "a=1", "a=0.5"]) { shop in
      func model(_ seed: UInt64) throws -> [SampleTensor] {
        try [
          tensor("empty", .f32, [0], []), tensor("empty.matrix", .bf16, [3, 0, 2], []),
          tensor("one", .f32, [1, 1], noise(1, seed: seed)), tensor("row", .f32, [1, 6], noise(6, seed: seed + 10)),
          tensor("scalar", .f64, [], noise(1, seed: seed + 20)),
          tensor("tall", .f16, [6, 1], noise(6, seed: seed + 30)),
          tensor("é😀", .f32, [1, 1, 2, 1, 2], noise(4, seed: seed + 40)),
        ]
      }
      try shop.pack(factors(.lowRank(rank: 4), .f32), base: model(1), ["a": model(2)])
    },
    Recipe("frames", mixes: ["", "a=1"]) { shop in
      var random = SeededGenerator(seed: 1)
      // More than one frame, which compresses well; noise, which is stored raw and aligned; and a pool.
      func model(_ noise: [UInt8], _ step: Int) throws -> [SampleTensor] {
        try [
          tensor("long", .u8, [1_200_000], bytes: (0..<1_200_000).map { UInt8($0 / step % 251) }),
          tensor("pooled", .u8, [30], bytes: Array(0..<30)), tensor("raw", .u8, [65_601], bytes: noise),
        ]
      }
      let noise = random.bytes(65_601)
      try shop.pack(lossless, base: model(noise, 1), ["a": model(noise, 3)])
    },
  ]
