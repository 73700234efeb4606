import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackFactorization
import TMPackFactors
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// Tensors of three dimensions that hold a matrix for each of a layer's experts.
@Suite struct StackTests {
  private let folder = TemporaryFolder()

  /// A change of low rank of one of many matrices.
  private struct Change {
    let rows: Int
    let columns: Int
    let rank: Int

    func elements(_ seed: UInt64) -> [Double] {
      let (left, right) = (noise(rows * rank, scale: 0.1, seed: 2 * seed), noise(columns * rank, seed: 2 * seed + 1))
      return (0..<rows * columns).map { place in
        (0..<rank).reduce(0) { $0 + left[place / columns * rank + $1] * right[$1 * columns + place % columns] }
      }
    }
  }

  private static let experts = 6
  private static let still = 2

  /// [E, rows, columns] in which every matrix but one changes, as whole matrices or as two that lie in each of them.
  private enum Layout: String, CaseIterable {
    case whole, above, beside, alternating

    /// The five numbers of TMP-6-28.
    var stack: [Int] {
      switch self {
      case .whole: [experts, 24, 1, 40, 1]
      case .above: [2 * experts, 24, 1, 40, 1]
      case .beside: [experts, 24, 2, 40, 1]
      case .alternating: [experts, 24, 1, 40, 2]
      }
    }

    var shape: [Int] {
      switch self {
      case .whole: [experts, 24, 40]
      case .above: [experts, 48, 40]
      case .beside, .alternating: [experts, 24, 80]
      }
    }

    /// The place in the tensor of an element of a matrix, written down for each layout by itself.
    func place(_ matrix: Int, _ i: Int, _ j: Int) -> Int {
      switch self {
      case .whole, .above: matrix * 960 + i * 40 + j
      case .beside: matrix / 2 * 1920 + i * 80 + matrix % 2 * 40 + j
      case .alternating: matrix / 2 * 1920 + i * 80 + 2 * j + matrix % 2
      }
    }

    var matrices: Int { self == .whole ? experts : 2 * experts }

    func change(rank: Int, seed: UInt64) -> [Double] {
      var values = [Double](repeating: 0, count: shape.reduce(1, *))
      let perExpert = matrices / experts
      for matrix in 0..<matrices where matrix / perExpert != still {
        for (element, value) in Change(rows: 24, columns: 40, rank: rank).elements(seed + UInt64(matrix)).enumerated() {
          values[place(matrix, element / 40, element % 40)] = value
        }
      }
      return values
    }
  }

  private func pack(
    _ tensors: [(name: String, shape: [Int], change: [Double])], _ packer: Packer, dtype: DType = .f32,
    to name: String = "zoo"
  ) throws -> Archive {
    let base = try tensors.enumerated().map { index, own in
      try tensor(own.name, dtype, own.shape, noise(own.change.count, seed: UInt64(900 + index)))
    }
    let changed = try tensors.enumerated().map { index, own in
      let start = noise(own.change.count, seed: UInt64(900 + index))
      return try tensor(own.name, dtype, own.shape, zip(start, own.change).map { $0 + $1 })
    }
    _ = try packer.pack(
      base: writeModel(base, to: folder("\(name)-base.safetensors")),
      experts: [ExpertInput(name: "a", checkpoint: writeModel(changed, to: folder("\(name)-a.safetensors")))],
      to: folder("\(name).tmpack"), replacing: true)
    return try Archive(folder("\(name).tmpack"))
  }

  private func packer(
    _ rate: RateControl? = nil, rank: Int = 2, stacking: [(Glob, Stacking)] = [], threads: Int = 1
  ) throws -> Packer {
    let treatment: TensorTreatment =
      rate == nil ? .factor(try FactorPlan(.lowRank(rank: rank), dtype: .f32)) : .controlled
    return Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(treatment, stacking: stacking), rate: rate,
      pipeline: OrderedPipeline(threads: threads))
  }

  // TMP-6-28 to TMP-6-30
  @Test(arguments: Layout.allCases.map(\.rawValue), [false, true])
  func findsTheMatrices(_ layout: String, isQuantized: Bool) throws {
    let layout = Layout(rawValue: layout)!
    let rate = isQuantized ? try RateControl(.error(0.3)) : nil
    let archive = try pack(
      [("experts", layout.shape, layout.change(rank: 2, seed: 1))], packer(rate))
    let entry = try #require(try archive.manifest(ofExpert: "a").entry(named: "experts"))
    #expect(entry.factor.kind == (isQuantized ? .quantizedStack : .lowRankStack))
    let stack = try #require(entry.factor.form?.stack)
    #expect(stack.dimensions == layout.stack)
    let perExpert = layout.matrices / Self.experts
    for (matrix, rank) in stack.ranks.enumerated() {
      #expect(matrix / perExpert == Self.still ? rank == 0 : (1...2).contains(rank), "matrix \(matrix)")
    }
    let limit = isQuantized ? 0.3 : 1e-5
    #expect(entry.measures!.error.value <= limit)
    // What is rebuilt is as near to the expert as the archive says, element by element.
    let expert = try Checkpoint.open(folder("zoo-a.safetensors"))
    let findings = try Verification(archive).proveSource(ofExpert: "a", expert.source)
    #expect(findings.isEmpty)
  }

  @Test func takesAboutTheBytesOfTheMatrices() throws {
    let change = Layout.whole.change(rank: 3, seed: 5)
    let rate = try RateControl(.error(0.4))
    let together = try pack([("experts", [Self.experts, 24, 40], change)], packer(rate), to: "three")
    let apart = try pack(
      (0..<Self.experts).map { ("experts.\($0)", [24, 40], Array(change[$0 * 960..<($0 + 1) * 960])) }, packer(rate),
      to: "two")
    let errors = [together, apart].map { $0.experts[0].summary.error!.value }
    #expect(errors.allSatisfy { (0.39...0.4).contains($0) })
    #expect(Double(together.experts[0].summary.bytes) < 1.03 * Double(apart.experts[0].summary.bytes))
  }

  @Test func aConvolutionIsOneMatrix() throws {
    // [out, in, 3, 3], of low rank from inputs to outputs.
    let change = Change(rows: 32, columns: 16 * 9, rank: 2).elements(3)
    for rate in [nil, try RateControl(.error(0.3))] {
      let archive = try pack([("conv", [32, 16, 3, 3], change)], packer(rate))
      let entry = try #require(try archive.manifest(ofExpert: "a").entry(named: "conv"))
      #expect(entry.factor.kind == (rate == nil ? .lowRank : .quantizedLowRank))
    }
  }

  @Test func rulesHaveTheLastWord() throws {
    let whole = Layout.whole.change(rank: 1, seed: 7)
    let conv = Change(rows: 32, columns: 16 * 9, rank: 2).elements(3)
    let tensors = [("conv", [32, 16, 3, 3], conv), ("experts", [Self.experts, 24, 40], whole)]
    let archive = try pack(
      tensors, packer(stacking: [(try Glob("*"), .stack), (try Glob("exp*"), .matrix)]))
    let kinds = try archive.manifest(ofExpert: "a").tensors.map(\.factor.kind)
    #expect(kinds == [.lowRankStack, .lowRank])
  }

  /// Matrices with less than two rows and columns worth the name stay what they were.
  @Test(arguments: [[1, 24, 40], [6, 3, 40], [6, 24, 3], [6, 24]]) func isNoStack(_ shape: [Int]) throws {
    let count = shape.reduce(1, *)
    let archive = try pack(
      [("t", shape, noise(count, scale: 0.1, seed: 4))], packer(rank: 1, stacking: [(try Glob("*"), .stack)]))
    #expect(try archive.manifest(ofExpert: "a").tensors[0].factor.form?.stack == nil)
  }

  /// One place of the first dimension, which an expert's matrices are, costs what is stored for it.
  @Test(arguments: Layout.allCases.map(\.rawValue), [false, true])
  func readsTheMatricesThatAreAskedFor(_ layout: String, isQuantized: Bool) throws {
    let layout = Layout(rawValue: layout)!
    let rate = isQuantized ? try RateControl(.error(0.2)) : nil
    let archive = try pack([("t", layout.shape, layout.change(rank: 4, seed: 23))], packer(rate, rank: 4))
    let entry = try archive.manifest(ofExpert: "a").tensors[0]
    let perExpert = layout.matrices / Self.experts
    for limit in [0, 1 << 20] {
      let reconstructor = try Reconstructor(archive, memoryLimit: limit)
      let mix = try reconstructor.mix(RouterWeights(parsing: "a=0.5"))
      let whole = try bytes(of: mix, "t")
      let slice = whole.count / Self.experts
      for range in [0..<slice, slice..<2 * slice, 2 * slice..<3 * slice, slice + 3..<4 * slice + 9, 5..<6, 7..<7] {
        let own = try [UInt8](count: range.count) { target throws(StorageError) in
          try mix.read(range, of: mix.tensors[0], into: target)
        }
        #expect(own == Array(whole[range]))
      }
      guard limit == 0 else { continue }
      let all = try reconstructor.part(entry, ofExpert: 0).byteCount
      for expert in 0..<Self.experts {
        let places = expert * slice / 4..<(expert + 1) * slice / 4
        let part = try reconstructor.part(entry, ofExpert: 0, touching: places)
        if expert == Self.still {
          guard case .nothing = part else {
            Issue.record("matrices that do not change")
            continue
          }
        } else {
          guard case .factor(let factor) = part else {
            Issue.record("expert \(expert) has a factor")
            continue
          }
          #expect(4 * part.byteCount < all)
          let products = try #require(factor.stackedProducts(weight: 1)).products
          for (matrix, product) in products.enumerated() {
            #expect((product != nil) == (matrix / perExpert == expert), "matrix \(matrix)")
          }
        }
      }
    }
  }

  @Test(arguments: [nil, 0.3]) func bytesDoNotDependOnThreads(_ error: Double?) throws {
    let rate = try error.map { try RateControl(.error($0)) }
    let tensors = Layout.allCases.map { ($0.rawValue, $0.shape, $0.change(rank: 2, seed: 11)) }
    let digests = try [1, 2, 3].map { threads in
      try pack(tensors, packer(rate, threads: threads)).rootDigest
    }
    #expect(Set(digests).count == 1)
  }

  @Test func signsHaveAScaleForEachMatrix() throws {
    let change = Layout.whole.change(rank: 2, seed: 29).enumerated().map { $1 * Double(1 + $0 / 960) }
    let signs = Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.factor(try FactorPlan(.signs, dtype: .f32))))
    let together = try pack([("experts", [Self.experts, 24, 40], change)], signs, to: "three")
    let apart = try pack(
      (0..<Self.experts).map { ("experts.\($0)", [24, 40], Array(change[$0 * 960..<($0 + 1) * 960])) }, signs, to: "two"
    )
    #expect(try together.manifest(ofExpert: "a").tensors.map(\.factor.kind) == [.quantizedStack])
    let errors = [together, apart].map { $0.experts[0].summary.error!.value }
    #expect(abs(errors[0] - errors[1]) < 1e-6)
    #expect(together.experts[0].summary.bytes < apart.experts[0].summary.bytes)
  }

  // TMP-7-14
  @Test func correctionsMakeThemExact() throws {
    let tensors = Layout.allCases.map { ($0.rawValue, $0.shape, $0.change(rank: 4, seed: 13)) }
    let rules = TensorRules(.controlled)
    let exact = Packer(
      sharedModel: .merged(BaseModel()), rules: rules, rate: try RateControl(.quality(2)), storesCorrections: true)
    let archive = try pack(tensors, exact, dtype: .bf16)
    let mix = try Reconstructor(archive).exact("a")
    let own = try Checkpoint.open(folder("zoo-a.safetensors")).source
    #expect(try hasSameTensors(mix, own))
  }

  // TMP-7-18: w · (what the expert adds), each matrix by itself.
  @Test(arguments: Layout.allCases.map(\.rawValue)) func weighsEachMatrix(_ layout: String) throws {
    let layout = Layout(rawValue: layout)!
    let change = layout.change(rank: 1, seed: 17)
    let archive = try pack([("t", layout.shape, change)], packer(rank: 1))
    let start = noise(change.count, seed: 900)
    let mix = try Reconstructor(archive).mix(RouterWeights(parsing: "a=0.5"))
    let values = try bytes(of: mix, "t").withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    for place in values.indices {
      #expect(abs(Double(values[place]) - start[place] - 0.5 * change[place]) < 1e-5)
    }
  }
}
