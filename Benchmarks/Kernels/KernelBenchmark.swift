import TMPackByteIO
import TMPackCOpenBLAS
import TMPackCheckpoints
import TMPackFactorization
import TMPackFactors
import TMPackMerging
import TMPackPacking
import TMPackParallel
import TMPackReading
import TMPackTensorKit
import Timing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

// Measures the inner loops beside what bounds them.
//
//     kernel-benchmark FOLDER
//
// Prints JSON: seconds, the best of some rounds; CPU time of one thread, but wall time where all take part. FOLDER is for an archive, which is made and removed.

/// Roughly normal, and the same at every run.
struct Noise {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> Float {
    var sum: Float = -2
    for _ in 0..<4 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      sum += Float(state >> 40) * 0x1p-24
    }
    return sum * 1.7
  }

  mutating func values(_ count: Int, scale: Float) -> [Float] { (0..<count).map { _ in next() * scale } }
}

func tensor(_ name: String, _ shape: [Int], _ values: [Float]) throws -> any TensorSource {
  let info = try TensorInfo(name: name, dtype: .bf16, shape: Shape(shape))
  let bytes = TensorBytes(count: info.byteCount) { target in
    values.withUnsafeBufferPointer { FloatFormat.bf16.round($0, into: target) }
  }
  return try MemoryTensorSource([(info, bytes)])
}

/// A matrix with a spectrum that falls slowly, as task vectors have: noise, and stronger directions on it.
func taskVector(_ rows: Int, _ columns: Int, rank: Int, noise: inout Noise) -> [Float] {
  var matrix = noise.values(rows * columns, scale: 1e-3)
  let left = (0..<rank).flatMap { k in noise.values(rows, scale: 1 / Float(1 + k).squareRoot()) }
  let right = noise.values(rank * columns, scale: 2e-3)
  cblas_sgemm(
    CblasRowMajor, CblasTrans, CblasNoTrans, Int32(rows), Int32(columns), Int32(rank), 1, left, Int32(rows), right,
    Int32(columns), 1, &matrix, Int32(columns))
  return matrix
}

@main struct KernelBenchmark {
  static func main() throws {
    guard CommandLine.arguments.count == 2 else { fatalError("usage: kernel-benchmark FOLDER") }
    let folder = CommandLine.arguments[1]
    BLAS.prepare()
    let parts = [
      memory(), arithmetic(), try reconstruction(folder), try decomposition(folder),
    ]
    print("{\(parts.joined(separator: ", "))}")
  }

  static let side = 4096

  /// What memory allows: the copy of a tensor of 16-bit numbers.
  static func memory() -> String {
    let source = [UInt16](repeating: 0x3F80, count: side * side)
    var target = [UInt16](repeating: 0, count: side * side)
    func copy() { _ = memcpy(&target, source, 2 * source.count) }
    return
      #""memcpy_s": \#(Clock.thread.seconds(rounds: 9, copy)), "memcpy_wall_s": \#(Clock.wall.seconds(rounds: 9, copy))"#
  }

  /// What the processor allows: the product of square matrices.
  static func arithmetic() -> String {
    let n = 1024
    var noise = Noise(seed: 2)
    let a = noise.values(n * n, scale: 1)
    let b = noise.values(n * n, scale: 1)
    var c = [Float](repeating: 0, count: n * n)
    let (m, length) = (Int32(n), Int32(n))
    let time = Clock.thread.seconds(rounds: 9) {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, m, m, 1, a, length, b, length, 0, &c, length)
    }
    let flops = 2 * Double(n) * Double(n) * Double(n)
    return #""sgemm_gflops": \#(flops / time / 1e9)"#
  }

  /// A tensor of a mix, decoded already, with other weights: shared model and factors to bf16.
  static func reconstruction(_ folder: String) throws -> String {
    var noise = Noise(seed: 3)
    let base = noise.values(side * side, scale: 0.02)
    var results: [String] = []
    for rank in [16, 64, 128] {
      let expert = sum(of: base, rank: rank, &noise)
      let path = FileTree.join(folder, "kernel-benchmark.tmpack")
      let basePath = FileTree.join(folder, "kernel-base.safetensors")
      let expertPath = FileTree.join(folder, "kernel-expert.safetensors")
      try CheckpointDestination(basePath, replacing: true).write(tensor("w", [side, side], base))
      try CheckpointDestination(expertPath, replacing: true).write(tensor("w", [side, side], expert))
      let plan = try FactorPlan(.lowRank(rank: rank), dtype: .bf16)
      let packer = Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.factor(plan)))
      let input = try ExpertInput(name: "e", checkpoint: Checkpoint.open(expertPath))
      _ = try packer.pack(base: Checkpoint.open(basePath), experts: [input], to: path, replacing: true)
      let time = try remix(path, threads: 1)
      let together = try remix(path, threads: threads)
      let flops = 2 * Double(side) * Double(side) * Double(rank)
      results.append(
        #"{"rank": \#(rank), "s": \#(time), "gflops": \#(flops / time / 1e9), "all_s": \#(together)}"#)
      for file in [path, basePath, expertPath] { try FileTree.remove(file) }
    }
    return #""threads": \#(threads), "reconstruct": [\#(results.joined(separator: ", "))]"#
  }

  static let threads = OrderedPipeline.automatic.threads

  /// Wall seconds for the one tensor of an archive, with another weight each time.
  static func remix(_ path: String, threads: Int) throws -> Double {
    let reconstructor = try Reconstructor(Archive(path))
    let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * side * side, alignment: 64)
    defer { target.deallocate() }
    nonisolated(unsafe) let destination = target
    var weight: Float = 0.5
    // Many, since on a busy machine few are undisturbed.
    return try Clock.wall.seconds(rounds: 100) {
      weight += 0.01
      let mix = try reconstructor.mix(RouterWeights([(name: "e", weight: weight)]))
      try OrderedPipeline(threads: threads).run(1) { _ throws(StorageError) in
        try mix.read(mix.tensors[0], into: destination)
      } consume: { _, _ in
      }
    }
  }

  static func sum(of base: [Float], rank: Int, _ noise: inout Noise) -> [Float] {
    var expert = base
    let left = noise.values(side * rank, scale: 0.05)
    let right = noise.values(rank * side, scale: 0.05)
    let (n, r) = (Int32(side), Int32(rank))
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, r, 1, left, r, right, n, 1, &expert, n)
    return expert
  }

  /// The leading triplets, with what is left of the matrix.
  static func decomposition(_ folder: String) throws -> String {
    var noise = Noise(seed: 4)
    var results: [String] = []
    for (rows, columns) in [(768, 3072), (4096, 4096), (4096, 11008)] {
      let matrix = taskVector(rows, columns, rank: 96, noise: &noise)
      var kept = 0.0
      let time = try Clock.thread.seconds(rounds: 5) { kept = try energy(matrix, rows, columns, rank: 64) }
      let whole = matrix.reduce(0) { $0 + Double($1) * Double($1) }
      let error = max(0, (whole - kept) / whole).squareRoot()
      results.append(#"{"rows": \#(rows), "columns": \#(columns), "s": \#(time), "error": \#(error)}"#)
      // The same matrix for peers.
      try values(matrix, to: FileTree.join(folder, "matrix-\(rows)x\(columns).f32"))
    }
    return #""svd": [\#(results.joined(separator: ", "))]"#
  }

  static func energy(_ matrix: [Float], _ rows: Int, _ columns: Int, rank: Int) throws -> Double {
    try matrix.withUnsafeBufferPointer { values in
      let vectors = try SingularVectors(of: MatrixView(values, rows: rows, columns: columns), rank: rank)
      return vectors.singularValues.reduce(0) { $0 + $1 * $1 }
    }
  }
}

func values(_ matrix: [Float], to path: String) throws {
  var writer = ByteWriter()
  for value in matrix { writer.integer(value.bitPattern) }
  let file = try AtomicFile(path, replacing: true)
  try file.write(writer.bytes)
  try file.commit()
}
