import COpenBLAS
import Factorization
import TMPack

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

// Measures the inner loops beside what bounds them, on one thread.
//
//     kernel-benchmark FOLDER
//
// Prints JSON: CPU seconds, the best of some rounds. FOLDER is for an archive, which is made and removed.

func threadTime() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

func seconds(rounds: Int, _ body: () throws -> Void) rethrows -> Double {
  var best = Double.infinity
  for _ in 0..<rounds {
    let start = threadTime()
    try body()
    best = min(best, threadTime() - start)
  }
  return best
}

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

guard CommandLine.arguments.count == 2 else { fatalError("usage: kernel-benchmark FOLDER") }
let folder = CommandLine.arguments[1]
BLAS.prepare()
var noise = Noise(seed: 1)
let side = 4096
var results: [String] = []

// What memory allows: the copy of a tensor of 16-bit numbers.
let source = [UInt16](repeating: 0x3F80, count: side * side)
var target = [UInt16](repeating: 0, count: side * side)
let copy = seconds(rounds: 9) { _ = memcpy(&target, source, 2 * source.count) }
results.append(#""memcpy_s": \#(copy)"#)

// What the processor allows: the product of square matrices.
do {
  let (a, b) = (noise.values(1024 * 1024, scale: 1), noise.values(1024 * 1024, scale: 1))
  var c = [Float](repeating: 0, count: 1024 * 1024)
  let time = seconds(rounds: 9) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, 1024, 1024, 1024, 1, a, 1024, b, 1024, 0, &c, 1024)
  }
  results.append(#""sgemm_gflops": \#(2 * 1024.0 * 1024 * 1024 / time / 1e9)"#)
}

// A tensor of a mix, decoded already, with other weights: shared model and factors to bf16.
let base = noise.values(side * side, scale: 0.02)
var reconstructions: [String] = []
for rank in [16, 64, 128] {
  var expert = base
  let left = noise.values(side * rank, scale: 0.05)
  let right = noise.values(rank * side, scale: 0.05)
  cblas_sgemm(
    CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(side), Int32(side), Int32(rank), 1, left, Int32(rank), right,
    Int32(side), 1, &expert, Int32(side))
  let path = FileTree.join(folder, "kernel-benchmark.tmpack")
  let plan = try FactorPlan(.lowRank(rank: rank), dtype: .bf16)
  let models = try (tensor("w", [side, side], base), tensor("w", [side, side], expert))
  let files = (FileTree.join(folder, "kernel-base.safetensors"), FileTree.join(folder, "kernel-expert.safetensors"))
  try CheckpointDestination(files.0, replacing: true).write(models.0)
  try CheckpointDestination(files.1, replacing: true).write(models.1)
  _ = try Packer(sharedModel: .merged(BaseModel()), rules: TensorRules(.factor(plan))).pack(
    base: Checkpoint.open(files.0), experts: [ExpertInput(name: "e", checkpoint: Checkpoint.open(files.1))], to: path,
    replacing: true)
  let reconstructor = try Reconstructor(Archive(path))
  try target.withUnsafeMutableBytes { buffer in
    var weight: Float = 0.5
    let time = try seconds(rounds: 9) {
      weight += 0.01
      let mix = try reconstructor.mix(RouterWeights([(name: "e", weight: weight)]))
      try mix.read(mix.tensors[0], into: buffer)
    }
    let flops = 2 * Double(side) * Double(side) * Double(rank)
    reconstructions.append(#"{"rank": \#(rank), "s": \#(time), "gflops": \#(flops / time / 1e9)}"#)
  }
  for file in [path, files.0, files.1] { try FileTree.remove(file) }
}
results.append(#""reconstruct": [\#(reconstructions.joined(separator: ", "))]"#)

// Decompositions, with what is left of the matrix.
var decompositions: [String] = []
for (rows, columns) in [(768, 3072), (4096, 4096), (4096, 11008)] {
  let matrix = taskVector(rows, columns, rank: 96, noise: &noise)
  try matrix.withUnsafeBufferPointer { values in
    var vectors: SingularVectors?
    let time = try seconds(rounds: 3) {
      vectors = try SingularVectors(of: MatrixView(values, rows: rows, columns: columns), rank: 64)
    }
    let energy = values.reduce(0) { $0 + Double($1) * Double($1) }
    let kept = vectors!.singularValues.reduce(0) { $0 + $1 * $1 }
    decompositions.append(
      #"{"rows": \#(rows), "columns": \#(columns), "s": \#(time), "error": \#(((energy - kept) / energy).squareRoot())}"#
    )
  }
  // The same matrix for peers.
  try values(matrix, to: FileTree.join(folder, "matrix-\(rows)x\(columns).f32"))
}
results.append(#""svd": [\#(decompositions.joined(separator: ", "))]"#)
print("{\(results.joined(separator: ", "))}")

func values(_ matrix: [Float], to path: String) throws {
  let file = try AtomicFile(path, replacing: true)
  try matrix.withUnsafeBytes { raw throws(StorageError) in try file.write(raw) }
  try file.commit()
}
