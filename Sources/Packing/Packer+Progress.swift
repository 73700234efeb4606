import TMPackCheckpoints
import TMPackReading
import TMPackTensorKit

extension Packer {
  /// What packing goes through, with what it is expected to cost.
  ///
  /// - Parameter digested: bytes of weight files.
  func progressParts(
    digested: UInt64, sharing shared: (any TensorSource)?, reference: any TensorSource, _ experts: [ExpertInput]
  ) -> [ProgressMeter.Part] {
    let cost = JobCost(self, mergedModels: mergesExperts ? experts.count + 1 : 0)
    var parts = [ProgressMeter.Part(bytes: digested, cost: Double(JobCost.digesting(digested)))]
    if let shared {
      parts.append(
        ProgressMeter.Part(
          bytes: shared.byteCount, cost: shared.tensors.reduce(0) { $0 + Double(cost.sharing($1)) }))
    }
    let bytes = experts.reduce(0) { $0 + $1.checkpoint.source.byteCount }
    func sum(_ each: (TensorInfo, TensorInfo?, [TensorInfo]) -> UInt64) -> Double {
      experts.reduce(0) { sum, expert in
        let infos = expert.checkpoint.source.tensors
        return infos.reduce(sum) { $0 + Double(each($1, reference.tensor(named: $1.name), infos)) }
      }
    }
    if searchesRate {
      parts.append(
        ProgressMeter.Part(
          bytes: bytes,
          cost: sum { info, base, infos in
            cost.analysing(info, base, rank: largestRank(infos, experts.count))
          }))
      // What was found is only written after that.
      parts.append(ProgressMeter.Part(bytes: bytes, cost: sum { info, base, _ in cost.fitting(info, base) }))
      parts.append(
        ProgressMeter.Part(
          bytes: bytes,
          cost: sum { info, base, _ in
            isControlled(info, base) ? cost.placing(info) : cost.packing(info, base)
          }))
      return parts
    }
    if rules.makesTALLMasks { parts.append(ProgressMeter.Part(bytes: bytes, cost: 2 * Double(bytes))) }
    parts.append(ProgressMeter.Part(bytes: bytes, cost: sum { info, base, _ in cost.packing(info, base) }))
    return parts
  }
}
