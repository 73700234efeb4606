import TMPackByteIO
import TMPackJournal
import TMPackPacking
import TMPackTensorKit

/// A job that any process can do, with what it costs.
package struct PackJob: Sendable, Hashable {
  package let key: JobKey
  /// About nanoseconds of one core.
  package let cost: UInt64
}

/// The jobs of a packing that need no other job's result, by what they share.
struct PackJobs {
  /// Of the weight files.
  package let sources: [PackJob]
  /// By the tensor's name, in order: the shared model's tensor first, then the experts'. They all need the shared tensor.
  package let tensors: [(name: String, jobs: [PackJob])]

  init(_ packer: Packer, _ inputs: PackInputs) throws(StorageError) {
    let (shared, experts) = (inputs.shared, inputs.experts)
    var sources: [PackJob] = []
    for (index, path) in inputs.recordedFiles.enumerated() {
      let size = try ReadableFile(path, mode: .read).size
      sources.append(PackJob(key: .source(index), cost: 1 + size / 10 * 7))
    }
    self.sources = sources

    let merges = packer.mergesExperts
    let cost = JobCost(packer, mergedModels: merges ? experts.count + 1 : 0)
    var byName: [ExactString: [PackJob]] = [:]
    for (index, info) in shared.source.tensors.enumerated() {
      byName[ExactString(info.name), default: []].append(PackJob(key: .shared(index), cost: cost.sharing(info)))
    }
    for (number, expert) in experts.enumerated() {
      let infos = expert.checkpoint.source.tensors
      let rank = packer.searchesRate ? packer.largestRank(infos, experts.count) : 0
      for (index, info) in infos.enumerated() {
        let base = shared.source.tensor(named: info.name)
        var jobs: [PackJob] = []
        let searches = packer.searchesRate
        if searches {
          jobs.append(PackJob(key: .analysis(number, index), cost: cost.analysing(info, base, rank: rank)))
        }
        // What the rate has no influence on need not wait for it.
        if !searches || !packer.isControlled(info, base) {
          jobs.append(PackJob(key: .packing(number, index), cost: cost.packing(info, base)))
        }
        byName[ExactString(info.name), default: []] += jobs
      }
    }
    tensors = byName.sorted { $0.key.text.precedesInBytes($1.key.text) }.map { ($0.key.text, $0.value) }
    try Limits.check(count, atMost: Limits.taskJobs, "the number of jobs")
  }

  package var count: Int { sources.count + tensors.reduce(0) { $0 + $1.jobs.count } }
}

extension Packer {
  /// Whether rate control decides on a tensor of an expert.
  func isControlled(_ info: TensorInfo, _ base: TensorInfo?) -> Bool {
    guard case .controlled = rules.treatment(of: info.name) else { return false }
    return info.dtype.floatFormat != nil && base?.matches(info) == true
  }
}

/// About what jobs cost, from the shapes alone, so that every process shares them out alike. Only the proportions matter.
private struct JobCost {
  private let packer: Packer
  /// Models that are read to merge a tensor.
  private let mergedModels: Int

  init(_ packer: Packer, mergedModels: Int) {
    self.packer = packer
    self.mergedModels = mergedModels
  }

  func sharing(_ info: TensorInfo) -> UInt64 {
    let merging = info.dtype.floatFormat == nil ? 0 : 3 * mergedModels * info.shape.elementCount
    return Self.cost(merging + (packer.isDetached ? 1 : 7) * info.byteCount)
  }

  package func analysing(_ info: TensorInfo, _ base: TensorInfo?, rank: Int) -> UInt64 {
    guard packer.isControlled(info, base) else { return packing(info, base) }
    return Self.cost(4 * info.shape.elementCount) + decomposing(info, rank: rank)
  }

  package func packing(_ info: TensorInfo, _ base: TensorInfo?) -> UInt64 {
    let exact = Self.cost(8 * info.byteCount)
    guard info.dtype.floatFormat != nil, base?.matches(info) == true else { return exact }
    let correction = packer.storesCorrections ? exact : 0
    switch packer.rules.treatment(of: info.name) {
    case .exact: return exact
    case .factor(let plan):
      let own = Self.cost(20 * info.shape.elementCount) + correction
      guard case .lowRank(let rank) = plan.form(for: info.shape).method else { return own }
      return own + decomposing(info, rank: rank)
    // A list of tasks has none of these (`checkSharesNothing`).
    case .tallMask: return exact
    case .controlled:
      guard let rate = packer.rate else { return exact }
      let rank = rate.objective == .balanced ? Int(min((rate.fixedQuality ?? 1).rounded(.up), 0x1p31)) : 128
      return Self.cost(25 * info.shape.elementCount) + correction + decomposing(info, rank: rank)
    }
  }

  /// A randomised SVD with two power iterations, or the Gram matrix's eigenvectors where that is as cheap.
  private func decomposing(_ info: TensorInfo, rank: Int) -> UInt64 {
    guard let (rows, columns) = info.shape.matrix, min(rows, columns) > 1 else { return 0 }
    let short = Double(min(rows, columns))
    let components = min(2 * Double(min(rank, rows, columns)) + 16, short)
    return UInt64(
      min(0.15 * Double(rows) * Double(columns) * components + 0.5 * components * components * short, 0x1p50))
  }

  private static func cost(_ nanoseconds: Int) -> UInt64 { UInt64(max(1, min(nanoseconds, 1 << 50))) }
}
