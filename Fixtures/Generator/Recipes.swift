import TMPackArchiveFormat
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport

/// How one golden archive is made, and which mixes of it are recorded.
struct Recipe: Sendable {
  let name: String
  let mixes: [String]
  /// The experts that are recorded to the bit, too.
  let exact: [String]
  /// What its router is asked, and how many at a time: the answers are recorded, too.
  let inputs: [[Float]]
  let make: @Sendable (Workshop) throws -> Void

  init(
    _ name: String, mixes: [String], exact: [String] = [], inputs: [[Float]] = [],
    _ make: @escaping @Sendable (Workshop) throws -> Void
  ) {
    self.name = name
    self.mixes = mixes
    self.exact = exact
    self.inputs = inputs
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

  /// The model that the archive is bound to is written beside it.
  func packDetached(base: [SampleTensor], expert own: [SampleTensor]) throws {
    let shared = try writeModel(base, to: String(archive.dropLast("tmpack".count)) + "safetensors")
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: factors(.lowRank(rank: 1), .f16), isDetached: true)
      .pack(base: shared, experts: [expert("a", own)], to: archive)
  }
}

extension Workshop {
  func put(_ model: RouterModel, _ dtype: RouterDType, temperature: Double?, fallbackEntropy: Double?) throws {
    var draft = try RouterDraft(
      classes: ["math", "code"], model: model, dtype: dtype,
      provenance: Provenance(tool: "golden", options: [:], sources: []))
    draft.temperature = temperature
    draft.fallbackEntropy = fallbackEntropy
    draft.measures = RouterMeasures(accuracy: Measure(0.75), examples: 40)
    try Archive(archive).put(draft)
  }
}

/// Rows of three numbers, some of several inputs.
private let routerInputs: [[Float]] = [
  [0, 0, 0], [1, -2, 0.5], [-1.5, 0.25, 3], [100, -100, 50], [0.1, 0.2, 0.3, -0.1, -0.2, -0.3, 2, 1, 0],
]

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

/// Tensors whose exclusive vectors are, in steps of a half: signs, ternary, anything, and next to nothing.
private func steppedModels() throws -> (base: [SampleTensor], expert: [SampleTensor]) {
  var pairs: [(SampleTensor, SampleTensor)] = []
  func add(_ name: String, _ dtype: DType, _ shape: [Int], of scale: Double = 1, _ step: (Int) -> Double) throws {
    let count = shape.reduce(1, *)
    // In eighths, so that the difference is exact.
    let base = noise(count, seed: UInt64(pairs.count + 1)).map { ($0 * 8).rounded() / 8 * scale }
    let own = base.indices.map { base[$0] + step($0) / 2 }
    pairs.append((try tensor(name, dtype, shape, base), try tensor(name, dtype, shape, own)))
  }
  let random = noise(4000, seed: 77)
  try add("column", .f32, [30, 1]) { random[$0] * 20 }
  try add("faint", .f32, [9, 11]) { random[$0 + 30] / 500 }
  try add("faint.bf16", .bf16, [5], of: 0.01) { random[$0 + 130] / 500 }
  try add("large", .f32, [300], of: 0) { Double(($0 * $0 * 109) % 32_767) * (random[$0] < 0 ? -1 : 1) }
  try add("row", .f16, [1, 30]) { random[$0 + 200] * 20 }
  try add("scalar", .bf16, []) { _ in 40 }
  try add("signs", .bf16, [16, 40]) { random[$0 + 300] < 0 ? -1 : 1 }
  try add("ternary", .f16, [12, 2, 24]) { abs(random[$0 + 1000]) < 0.4 ? 0 : random[$0 + 1000] < 0 ? -1 : 1 }
  try add("wide", .f64, [9, 33]) { random[$0 + 2000] * 9 }
  return (pairs.map(\.0), pairs.map(\.1))
}

/// Entry-wise, or in any form, with one step.
private func stepped(_ step: Double, _ codecs: Set<RateControl.Codec> = RateControl.Codec.standard) throws
  -> RateControl
{
  try RateControl(.quality(1 / step), objective: .leastError, codecs: codecs)
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

private func quantizedLowRank(
  _ name: String, step: Double = 0.02, _ codecs: Set<RateControl.Codec> = [.lowRank]
) -> Recipe {
  Recipe(name, mixes: lossyMixes) { shop in
    var (base, experts) = try lossyModels()
    // More components than contexts take to settle.
    let large = noise(48 * 40, seed: 50)
    base.append(try tensor("e.weight", .f32, [48, 40], large))
    for (seed, name) in ["code", "math"].enumerated() {
      let own = zip(large, noise(48 * 40, scale: 0.1, seed: UInt64(seed) + 51)).map { $0 + $1 }
      experts[name]!.append(try tensor("e.weight", .f32, [48, 40], own))
    }
    let inputs = try experts.sorted { $0.key < $1.key }.map { try shop.expert($0.key, $0.value) }
    _ = try Packer(rules: TensorRules(.controlled), rate: stepped(step, codecs))
      .pack(base: shop.model("base", base), experts: inputs, to: shop.archive)
  }
}

/// Tensors of three dimensions that hold one matrix, or two of them, for each of some experts; not all of them change.
private func stackedModels() throws -> (base: [SampleTensor], experts: [String: [SampleTensor]]) {
  let layouts: [(name: String, dtype: DType, shape: [Int], isOf: (Int) -> Int)] = [
    // The matrix that an element is of.
    ("above", .f16, [4, 24, 20], { $0 / 240 }), ("alternating", .f32, [3, 16, 48], { $0 / 768 * 2 + $0 % 2 }),
    ("beside", .f64, [3, 16, 48], { $0 / 768 * 2 + $0 % 48 / 24 }), ("whole", .bf16, [5, 10, 14], { $0 / 140 }),
  ]
  var base: [SampleTensor] = []
  var experts: [String: [SampleTensor]] = ["code": [], "math": []]
  for (index, layout) in layouts.enumerated() {
    let count = layout.shape.reduce(1, *)
    let start = noise(count, seed: UInt64(600 + index))
    base.append(try tensor(layout.name, layout.dtype, layout.shape, start))
    for (number, name) in ["code", "math"].enumerated() {
      let (rows, columns) = (layout.shape[1], layout.shape[2])
      let faint = noise(count, scale: 0.02, seed: UInt64(610 + 10 * index + number))
      let values = start.indices.map { place in
        let matrix = layout.isOf(place)
        guard place / (rows * columns) % 3 != 2 * number else { return start[place] }
        // Of rank one for each matrix, with a little of everything.
        let left = noise(rows, seed: UInt64(700 + 40 * index + matrix))
        let right = noise(columns, seed: UInt64(900 + 40 * index + matrix + number))
        let isUp = (left[place / columns % rows] < 0) == (right[place % columns] < 0)
        return start[place] + (isUp ? 0.1 : -0.1) + faint[place]
      }
      experts[name]!.append(try tensor(layout.name, layout.dtype, layout.shape, values))
    }
  }
  return (base, experts)
}

/// TMP-6-28 to TMP-6-32, TMP-7-18, TMP-10-11
private func stacks(_ name: String, _ treatment: TensorTreatment, _ rate: RateControl? = nil) -> Recipe {
  Recipe(name, mixes: lossyMixes, exact: ["code", "math"]) { shop in
    let (base, experts) = try stackedModels()
    let inputs = try experts.sorted { $0.key < $1.key }.map { try shop.expert($0.key, $0.value) }
    let rules = TensorRules(treatment, stacking: [(try Glob("*"), .stack)])
    _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules, rate: rate, storesCorrections: true)
      .pack(base: shop.model("base", base), experts: inputs, to: shop.archive)
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
    // Made before there was a trellis, of uniform symbols.
    quantizedLowRank("quantized-low-rank"), quantizedLowRank("trellis"),
    quantizedLowRank("layered", step: 0.01, [.layered]),
    Recipe("masked", mixes: lossyMixes) { shop in
      let (base, experts) = try lossyModels()
      let inputs = try experts.sorted { $0.key < $1.key }.map { try shop.expert($0.key, $0.value) }
      _ = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.tallMask(TALLMaskPlan())))
        .pack(base: shop.model("base", base), experts: inputs, to: shop.archive)
    },
    Recipe("quantized", mixes: ["", "a=1", "a=0.3", "a=-2"]) { shop in
      let (base, expert) = try steppedModels()
      let rules = TensorRules(.controlled, excluding: [try Glob("faint*")])
      _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules, rate: stepped(0.5, [.entrywise]))
        .pack(base: shop.model("base", base), experts: [shop.expert("a", expert)], to: shop.archive)
    },
    Recipe("dropped", mixes: ["", "a=1", "b=1", "a=0.5", "a=1,b=1"]) { shop in
      let (base, a) = try steppedModels()
      let b = base.map { sample in
        sample.info.name.hasPrefix("faint") ? a.first { $0.info == sample.info }! : sample
      }
      _ = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.controlled), rate: stepped(0.5))
        .pack(
          base: shop.model("base", base), experts: [shop.expert("a", a), shop.expert("b", b)], to: shop.archive)
    },
    Recipe("corrections", mixes: ["", "a=1", "b=1", "a=0.5,b=0.5"], exact: ["a", "b"]) { shop in
      let (base, a) = try steppedModels()
      let (others, experts) = try lossyModels()
      let rules = try TensorRules(
        .controlled,
        overrides: [
          (Glob("a.weight"), .factor(FactorPlan(.lowRank(rank: 2), dtype: .int8))),
          (Glob("b.weight"), .factor(FactorPlan(.sparse(density: 0.2), dtype: .bf16))),
          (Glob("d.weight"), .factor(FactorPlan(.dense, dtype: .int4))), (Glob("wide"), .exact),
        ])
      let inputs = try [shop.expert("a", a + experts["code"]!), shop.expert("b", base + experts["math"]!)]
      _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules, rate: stepped(0.05), storesCorrections: true)
        .pack(base: shop.model("base", base + others), experts: inputs, to: shop.archive)
    },
    Recipe("filters", mixes: ["", "a=1", "a=0.5"]) { shop in
      // What compresses to little, above the size of what is pooled; one of more than a block (TMP-6-14).
      func model(_ isExpert: Bool) throws -> [SampleTensor] {
        let steps = [0, 0, 0, 0, 0, 1, -1, 2, -3, 9]
        func step(_ i: Int) -> Int { isExpert ? steps[i * i % 89 % 10] << (i % 8 / 6 * 4) : 0 }
        let few = noise(89, seed: 60)
        func values(_ count: Int) -> [Double] { (0..<count).map { few[$0 % 89] } }
        func bits<Lane: FixedWidthInteger>(_ sample: SampleTensor, _: Lane.Type) throws -> SampleTensor {
          let width = Lane.bitWidth / 8
          let moved: [Lane] = try sample.bytes.withBytes { raw in
            (0..<raw.count / width).map { i in
              let lane: Lane = raw.loadUnaligned(fromByteOffset: i * width, as: Lane.self)
              return lane &+ Lane(truncatingIfNeeded: step(i))
            }
          }
          return try tensor(sample.info.name, sample.info.dtype, sample.info.shape.dimensions, bytes: lanes(moved))
        }
        return try [
          bits(tensor("bf16", .bf16, [600, 900], values(540_000)), UInt16.self),
          bits(tensor("f16", .f16, [36_000], values(36_000)), UInt16.self),
          bits(tensor("f32", .f32, [18_000], values(18_000)), UInt32.self),
          bits(tensor("f64", .f64, [9000], values(9000)), UInt64.self),
          tensor("i32", .i32, [18_000], bytes: lanes((0..<18_000).map { Int32($0 / 7 + step($0)) })),
        ]
      }
      try shop.pack(lossless, base: model(false), ["a": model(true)])
    },
  ]
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
      try shop.packDetached(base: base + [integers], expert: experts["code"]! + [others])
    },
    Recipe("checksums", mixes: ["", "a=1"]) { shop in
      let base = try [tensor("empty", .f32, [0], []), tensor("t", .bf16, [3, 5], noise(15, seed: 41))]
      try shop.packDetached(base: base, expert: [base[0], tensor("t", .bf16, [3, 5], noise(15, seed: 42))])
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
    // TMP-6-25 to TMP-6-27, TMP-7-17: vocabularies that have grown, with loss, exactly, and by rows alone; a head's bias with it.
    Recipe(
      "extra-rows", mixes: ["", "a=1", "b=1", "c=1", "a=0.5", "a=0.4,b=0.6", "a=0.6,b=0.4,c=0.6", "c=1,b=0.5"],
      exact: ["a", "b", "c"]
    ) { shop in
      func model(_ rows: Int, _ change: Double, seed: UInt64) throws -> [SampleTensor] {
        func tensor(_ name: String, _ dtype: DType, _ rows: Int, _ width: Int?, _ own: UInt64) throws -> SampleTensor {
          let (common, width, scale) = (9 * (width ?? 1), width ?? 1, name == "kept" ? 0 : change)
          var values = noise(common, seed: own)
          for (i, step) in noise(common, scale: scale, seed: own + seed).enumerated() where scale > 0 {
            values[i] += step
          }
          values += noise((rows - 9) * width, seed: own + seed + 7)
          return try TestSupport.tensor(name, dtype, width == 1 ? [rows] : [rows, width], values)
        }
        return try [
          tensor("bias", .f32, rows, nil, 1), tensor("embed", .bf16, rows, 6, 2), tensor("lossless", .f16, rows, 4, 3),
          tensor("kept", .f64, rows, 3, 4), tensor("layer", .f32, 9, 5, 5),
        ]
      }
      let c = try model(10, 0.1, seed: 300)
      // Untied, with the numbers of the embeddings (TMP-7-16).
      let embed = c.first { $0.info.name == "embed" }!
      let head = try tensor("head", .bf16, [10, 6], bytes: embed.bytes.withBytes { [UInt8]($0) })
      let rules = try TensorRules(
        .factor(FactorPlan(.lowRank(rank: 2), dtype: .f16)), overrides: [(Glob("lossless"), .exact)])
      let inputs = try [
        shop.expert("a", model(11, 0.1, seed: 100)), shop.expert("b", model(9, 0.1, seed: 200)),
        shop.expert("c", c + [head]),
      ]
      _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules, storesCorrections: true)
        .pack(base: shop.model("base", model(9, 0, seed: 0)), experts: inputs, to: shop.archive)
    },
    stacks("stacks", .controlled, try! RateControl(.quality(2))),
    stacks("stacks-layered", .controlled, try! stepped(0.03, [.layered])),
    stacks("stacks-entrywise", .controlled, try! stepped(0.05, [.entrywise])),
    stacks("stacks-low-rank", .factor(try! FactorPlan(.lowRank(rank: 2), dtype: .int4))),
    // TMP-6-33, TMP-6-34, TMP-7-19: heads of several dtypes, one of them of both experts.
    Recipe("quantized-own", mixes: ["", "a=1", "b=1", "a=0.5,b=0.5", "a=-1,b=0.25"]) { shop in
      let base = try [tensor("w.weight", .f32, [6, 8], noise(48, seed: 1))]
      func expert(_ seed: UInt64, _ dtype: DType, _ own: [SampleTensor]) throws -> [SampleTensor] {
        let head = try tensor("head.weight", dtype, [33, 40], noise(1320, scale: 0.02, seed: seed))
        return try own + [head, tensor("w.weight", .f32, [6, 8], noise(48, seed: seed + 1))]
      }
      let a = try expert(
        10, .bf16,
        [
          tensor("conv.weight", .f16, [16, 3, 5, 5], noise(1200, seed: 12)),
          tensor("wide.weight", .f64, [2, 700], noise(1400, scale: 1e-50, seed: 13)),
        ])
      let b = try expert(20, .f32, [tensor("small.weight", .f32, [5, 5], noise(25, seed: 22))])
      let rules = TensorRules(.controlled)
      _ = try Packer(sharedModel: .merged(BaseModel()), rules: rules, rate: RateControl(.quality(2)))
        .pack(base: shop.model("base", base), experts: [shop.expert("a", a), shop.expert("b", b)], to: shop.archive)
    },
    // TMP-5-12
    Recipe("mappable", mixes: ["", "a=1", "a=0.5"]) { shop in
      func model(_ seed: UInt64) throws -> [SampleTensor] {
        try [
          tensor("large.weight", .bf16, [130, 300], noise(39_000, seed: seed)),
          tensor("small.weight", .f32, [7, 5], noise(35, seed: seed + 1)),
        ]
      }
      _ = try Packer(
        sharedModel: .merged(BaseModel()), rules: factors(.lowRank(rank: 2), .int8), isMappable: true
      ).pack(
        base: shop.model("base", model(1)), experts: [shop.expert("a", model(3))], to: shop.archive)
    },
    // TMP-11-6
    Recipe("router", mixes: ["", "code=0.5,math=0.5"], inputs: routerInputs) { shop in
      let (base, experts) = try lossyModels()
      try shop.pack(factors(.lowRank(rank: 1), .bf16), base: base, experts)
      var random = SeededGenerator(seed: 7)
      func layer(_ inputs: Int, _ outputs: Int) throws -> LayeredRouter.Layer {
        let bias = (0..<outputs).map { _ in random.noise() }
        return try LayeredRouter.Layer(
          inputs: inputs, outputs: outputs, bias: bias, weights: (0..<inputs * outputs).map { _ in random.noise() })
      }
      let model = try LayeredRouter([layer(3, 5), layer(5, 4), layer(4, 2)], slope: 0.125)
      try shop.put(.layers(model), .bf16, temperature: 0.75, fallbackEntropy: 0.9)
    },
    // TMP-11-7
    Recipe("router-neighbours", mixes: [""], inputs: routerInputs) { shop in
      let (base, experts) = try lossyModels()
      try shop.pack(lossless, base: base, experts)
      var random = SeededGenerator(seed: 8)
      // Some examples twice: of equal distances the earlier counts.
      let vectors = (0..<20).flatMap { _ in (0..<3).map { _ in random.noise() } }
      let model = try NeighbourRouter(
        classCount: 2, count: 5, centers: [0.5, -0.25, 0], scales: [1, 2, 0.75],
        labels: (0..<40).map { UInt16($0 % 3 == 0 ? 1 : 0) }, vectors: vectors + vectors)
      try shop.put(.neighbours(model), .f16, temperature: nil, fallbackEntropy: nil)
    },
  ]
