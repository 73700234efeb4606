import TMPackArchiveFormat
import TMPackDigests
import TMPackFactors
import TMPackPacking
import TMPackTensorKit

/// The memory of packing, from the shapes alone: an estimate from above.
struct MemoryModel {
  package let threads: Int
  /// Bytes of all inputs.
  package let inputBytes: UInt64
  /// Whether tensors are views of mapped files.
  let isMapped: Bool

  /// The program, its libraries and the BLAS's buffers.
  private static let program = 24.0 * 0x1p20
  private static let perThread = 6.0 * 0x1p20
  /// What the allocator needs more than it is asked for, measured.
  private static let slack = 1.2
  /// What it keeps of buffers that were freed, of many sizes: measured on models of 30 to 134 MB, with one thread and two.
  /// Small models leave less, in proportion to their size.
  private static let kept = 24.0 * 0x1p20
  private static let keptPerArena = 40.0 * 0x1p20
  private static let keptOfInput = 1.25

  /// What reading a tensor holds of it: a few runs of a large one.
  private func held(_ info: TensorInfo) -> Double {
    Double(info.byteCount > OpenTensor.smallBytes ? 4 * OpenTensor.runBytes : info.byteCount)
  }

  /// What a payload of so many bytes holds until it is placed.
  private func held(payload bytes: Double) -> Double { min(bytes, Double(PayloadScratch.heldBytes)) }

  /// What a job holds while it works, and what it leaves until it is written.
  struct Job {
    let working: Double
    let result: Double
  }

  /// Merging one shared tensor (`SharedModelSource`) and compressing it.
  ///
  /// - Parameter isChunked: whether the sums are of some elements at a time.
  package func merging(_ info: TensorInfo, readsExperts: Bool, isChunked: Bool, isDetached: Bool) -> Job {
    let bytes = Double(info.byteCount)
    let all = 8 * Double(info.shape.elementCount)
    let sums = readsExperts && info.dtype.floatFormat != nil ? (isChunked ? min(all, 16 * 0x1p20) : all) : 0
    let result = isDetached ? 0 : held(payload: bytes)
    guard readsExperts else { return Job(working: (isMapped ? 0 : held(info)) + result, result: result) }
    return Job(working: bytes + max(sums + (isMapped ? 0 : held(info)), result), result: result)
  }

  /// Packing one tensor of an expert (`PackedTensor`).
  ///
  /// - Parameters:
  ///   - matrices: that it is taken as, which are decomposed one after another; nil for one that is none.
  ///   - rank: components to compute of each; nil for what is kept exactly.
  package func packing(_ info: TensorInfo, as matrices: ForeseenMatrices?, rank: Int?, isCorrected: Bool) -> Job {
    let bytes = Double(info.byteCount)
    let all = 4 * Double(info.shape.elementCount)
    // The expert's tensor, and the shared one, which may come from the archive.
    let both = (isMapped ? 0 : held(info)) + held(info)
    let exact = held(payload: bytes)
    guard let rank, info.dtype.floatFormat != nil else { return Job(working: both + exact, result: exact) }
    var (values, making, result) = (all, all, all)
    if let matrices, matrices.shortSide > 1 {
      let (rows, columns) = (matrices.rows, matrices.columns)
      let vectors = 4 * matrices.vectorLength(rank: rank)
      let short = Double(matrices.shortSide)
      let components = min(Double(rank), short)
      let subspace = min(2 * components + 16, short)
      let isGram = SingularVectors.takesGram(rows: rows, columns: columns, rank: min(rank, rows, columns))
      // Gram: s² doubles and a workspace of twice as many. Otherwise 4 l (m + n) floats. Then, when these are gone, both sides
      // in float64 and in float32.
      let decomposing = isGram ? 24 * short * short : 16 * subspace * (Double(rows) + Double(columns))
      values = all / Double(matrices.count)
      making = max(decomposing, 3 * vectors / Double(matrices.count))
      result = min(vectors, all)
      // The vectors of the matrices before.
      if matrices.count > 1 { making += result }
    }
    // The factor is measured a panel at a time.
    let encoding = 2 * result
    let correction = isCorrected ? exact : 0
    return Job(working: both + values + max(making, encoding, result + correction), result: result + correction)
  }

  /// The largest sum that jobs in this order can reach.
  func peak(_ jobs: [Job]) -> Double {
    var peak = 0.0
    for start in jobs.indices {
      // `OrderedPipeline` has `threads` jobs at work, and one more result.
      let window = jobs[start..<min(start + threads + 1, jobs.count)]
      let working = window.map(\.working).sorted(by: >)
      let busy = working.prefix(threads).reduce(0, +)
      let waiting = window.count > threads ? window.map(\.result).min() ?? 0 : 0
      peak = max(peak, busy + waiting)
    }
    // One thread alone is this one; several are besides it.
    let arenas = Double(threads == 1 ? 1 : threads + 1)
    let kept = min(Self.kept + arenas * Self.keptPerArena, Self.keptOfInput * Double(inputBytes))
    return Self.program + Double(threads) * Self.perThread + kept + Self.slack * peak
  }
}

/// The time of packing, from the times of the sampled tensors.
struct TimeModel {
  package let threads: Int

  /// Looks at a quality that the search of a rate takes.
  package static let looks = 2.5
  private static let start = 0.05

  /// - Parameter seconds: of all jobs on one thread; `longest` of the longest.
  package func pass(_ seconds: Double, longest: Double) -> Double { max(seconds / Double(threads), longest) }

  /// Finding a rate: so many times all tensors are quantised.
  func searching(lookSeconds: Double) -> Double { Self.looks * lookSeconds / Double(threads) }

  /// Digesting files, one a thread.
  package func digesting(_ sizes: [UInt64]) -> Double {
    let rate = Self.digestRate
    let total = sizes.reduce(0) { $0 + Double($1) }
    return Self.start + pass(total / rate, longest: Double(sizes.max() ?? 0) / rate)
  }

  /// Bytes a second, measured now.
  private static var digestRate: Double {
    let block = [UInt8](repeating: 1, count: 4 << 20)
    let start = ContinuousClock.now
    _ = ContentDigest(of: block)
    return Double(block.count) / max((ContinuousClock.now - start) / .seconds(1), 1e-6)
  }
}
