import TMPackArchiveFormat
import TMPackByteIO
import TMPackPacking
import TMPackTensorKit

extension PlanningRun {
  /// What packing takes of the machine.
  package func cost() throws(StorageError) -> PackPlan.Cost {
    let threads = packer.pipeline.threads
    let files = try weightFiles()
    let input = files.reduce(0) { $0 + $1.size }
    let isMapped = planner.inputMode != .read && files.allSatisfy(\.isMapped)
    let memory = MemoryModel(threads: threads, inputBytes: input, isMapped: isMapped)
    let merging = memory.peak(
      shared.tensors.map {
        memory.merging(
          $0, readsExperts: packer.mergesExperts, isChunked: packer.mergesInChunks, isDetached: packer.isDetached)
      })
    let packing = experts.map { expert in
      memory.peak(
        expert.checkpoint.source.tensors.map {
          memory.packing(
            $0, as: packer.rules.foreseenMatrices(of: $0), rank: rank(of: $0), isCorrected: packer.storesCorrections)
        })
    }
    let mapped = isMapped ? mappedBytes : 0
    let peak = Double(mapped) + max(merging, packing.max() ?? 0)
    let time = TimeModel(threads: threads)
    let free = try output.map { path throws(StorageError) in try Resources.freeDiskBytes(at: FileTree.parent(path)) }
    return PackPlan.Cost(
      peakMemory: UInt64(min(peak, 0x1p62)), mappedMemory: mapped,
      seconds: time.digesting(files.map(\.size)) + seconds, inputBytes: input, scratchBytes: scratchBytes,
      sharedModelBytes: planner.writesSharedModel ? shared.byteCount : 0, freeDisk: free)
  }

  /// Of all tensors that are views of their files: not of those that are read in parts.
  private var mappedBytes: UInt64 {
    ([reference] + experts.map(\.checkpoint)).reduce(0) { sum, model in
      model.source.tensors.reduce(sum) { $0 + UInt64($1.byteCount > OpenTensor.smallBytes ? 0 : $1.byteCount) }
    }
  }

  /// Of the base or the given shared model and of all experts. One that is given twice is read, and mapped, twice.
  private func weightFiles() throws(StorageError) -> [ReadableFile] {
    let paths = ([reference] + experts.map(\.checkpoint)).flatMap(\.weightFiles)
    return try paths.map { path throws(StorageError) in try ReadableFile(path) }
  }

  /// Components that packing computes of a tensor; nil for what is kept exactly.
  private func rank(of info: TensorInfo) -> Int? {
    guard shared.tensor(named: info.name)?.matches(info) == true else { return nil }
    switch packer.rules.treatment(of: info.name) {
    case .exact: return nil
    case .factor(let plan):
      guard let matrices = packer.rules.foreseenMatrices(of: info),
        case .lowRank(let rank) = plan.form(rows: matrices.rows, columns: matrices.columns).method
      else { return 0 }
      return rank
    case .tallMask: preconditionFailure("refused before")
    case .controlled:
      if packer.searchesRate { return packer.largestRank(shared.tensors, experts.count) }
      guard packer.rate?.objective == .balanced else { return .max }
      return Int(min((packer.rate?.fixedQuality ?? 1).rounded(.up), 0x1p31))
    }
  }

  /// Singular vectors that are kept on disk while a rate is searched.
  private var scratchBytes: UInt64 {
    guard packer.searchesRate else { return 0 }
    var sum = 0.0
    for expert in experts {
      for info in expert.checkpoint.source.tensors {
        guard case .controlled = packer.rules.treatment(of: info.name), info.dtype.floatFormat != nil,
          let matrices = packer.rules.foreseenMatrices(of: info), let rank = rank(of: info)
        else { continue }
        sum += 4 * matrices.vectorLength(rank: rank)
      }
    }
    return UInt64(min(sum, 0x1p62))
  }
}

extension Packer {
  /// Whether the merging method is known to look at some elements at a time; others may hold whole tensors.
  fileprivate var mergesInChunks: Bool {
    [SharedMethod.Name.taskArithmetic, .average, .base].contains(sharedRecord.name)
  }
}
