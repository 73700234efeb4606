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
      sources.append(PackJob(key: .source(index), cost: JobCost.digesting(size)))
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
