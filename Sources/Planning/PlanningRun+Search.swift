import TMPackByteIO
import TMPackPacking

extension PlanningRun {
  /// The share of a budget that packing uses up, within its window.
  private static let budgetAim = Estimate(0.9865, deviation: 0.012)
  /// The share of an allowed error.
  private static let errorAim = Estimate(0.99, deviation: 0.009)

  /// The quality of each expert that meets the target; nil for those where none does.
  mutating func searchRate(
    _ sampled: inout [SampledExpert], shared: Estimate
  ) throws(StorageError) -> (qualities: [Double?], PackPlan.Verdict) {
    guard let rate = packer.rate else { preconditionFailure("a rate is searched") }
    var verdict = PackPlan.Verdict.possible
    var qualities: [Double?] = []
    switch rate.target {
    case .quality(let quality): qualities = sampled.map { _ in quality }
    case .bytesPerExpert(let budget):
      for index in sampled.indices {
        let root = try root(of: Self.budgetAim.value * Double(budget), [index], fixed: 0, &sampled)
        qualities.append(root.quality)
        if let least = root.least {
          verdict = .unlikely(
            "even the coarsest factors of '\(sampled[index].empty.name)' take about \(Int(least)) bytes")
        }
      }
    case .archiveBytes(let budget):
      let taken = shared.value + frameBytes
      guard Double(budget) > taken else {
        verdict = .unlikely("the shared model alone takes about \(Int(taken)) bytes")
        return (sampled.map { _ in nil }, verdict)
      }
      let root = try root(of: Self.budgetAim.value * Double(budget), Array(sampled.indices), fixed: taken, &sampled)
      qualities = sampled.map { _ in root.quality }
      if let least = root.least {
        verdict = .unlikely("even the coarsest factors make an archive of about \(Int(least)) bytes")
      }
    case .error(let error):
      for index in sampled.indices {
        guard let curve = sampled[index].curve, !curve.isEmpty else {
          qualities.append(1)
          continue
        }
        let root = try Self.search(for: 1 / (Self.errorAim.value * error)).run {
          1 / max(curve.estimate(at: $0).error, 1e-300)
        } measure: { quality throws(StorageError) in
          (1 / max(try sampled[index].curve!.outcome(at: quality).error, 1e-300), ())
        }
        switch root {
        case .short(let finest):
          verdict = .unlikely(
            "the finest factors of '\(sampled[index].empty.name)' have an error of about \(Float(1 / finest.value))")
          qualities.append(nil)
        // A target above the coarsest factors' error is met by them.
        case .within(let found), .beside(let found, _), .none(let found): qualities.append(found.quality)
        }
      }
    }
    return (qualities, verdict)
  }

  private static func search(for value: Double) -> QualitySearch {
    QualitySearch(window: (0.995...1.005).scaled(by: value), fallback: .below)
  }

  /// Where the experts together take so many bytes: the quality, or the least that they take.
  private func root(
    of bytes: Double, _ indices: [Int], fixed: Double, _ sampled: inout [SampledExpert]
  ) throws(StorageError) -> (quality: Double?, least: Double?) {
    let curves = indices.compactMap { sampled[$0].curve }
    guard curves.contains(where: { !$0.isEmpty }) else { return (1, nil) }
    let result = try Self.search(for: bytes).run { quality in
      curves.reduce(fixed) { $0 + $1.estimate(at: quality).bytes }
    } measure: { quality throws(StorageError) in
      var sum = fixed
      for index in indices { sum += try sampled[index].curve!.outcome(at: quality).bytes }
      return (sum, ())
    }
    if case .none(let least) = result { return (nil, least.value) }
    return (result.measurement?.quality, nil)
  }

  /// What an expert becomes at the quality that was found.
  ///
  /// The search meets the target on all tensors, not on the sample: what the sample says too much or too little of the
  /// one, it says of the other.
  ///
  /// - Parameter isNew: whether no earlier expert has this quality, so that none has a factor of its own that is the same.
  package mutating func pack(
    _ index: Int, _ sampled: SampledExpert, quality: Double, isNew: Bool, sharedBytes: Estimate
  ) throws(StorageError) -> (bytes: Estimate, error: Estimate?) {
    guard let rate = packer.rate, let curve = sampled.curve else { preconditionFailure("a rate is searched") }
    var packed = FollowingMeter(
      try emptyExpert(index, behind: packedWriter), alone: sampled.empty, populations: samples[index].populations,
      repeatsAll: !isNew && repeatsAll(index))
    let sampler = ExpertSampler(
      packer: packer, expert: experts[index], shared: shared,
      makeFactor: packer.maker(controlled: curve.maker(quality: quality)), search: nil, frontier: [])
    let rules = packer.rules
    seconds += try sweep(index, sampler) { tensor, info, stratum, copies throws(StorageError) in
      if let content = tensor.packed {
        let isOther = isNew && rules.treatment(of: info.name) == .controlled
        try packed.add(content, stratum: stratum, isTied: copies.tied, isRepeated: copies.repeated && !isOther)
      }
    }
    seconds += TimeModel(threads: packer.pipeline.threads).searching(lookSeconds: curve.lookSeconds)
    var bytes = try packed.bytes()
    packedWriter = packed.writer
    switch rate.target {
    case .bytesPerExpert(let budget): bytes = controlled(bytes, by: budget)
    // The experts get what the shared model leaves of what is used up.
    case .archiveBytes(let budget):
      let spread = sharedBytes.deviation + Self.budgetAim.deviation * Double(budget)
      bytes = bytes + Estimate(0, deviation: spread / Double(experts.count))
    case .quality, .error: break
    }
    guard let error = packed.error, !curve.isEmpty, let slope = curve.slope(at: quality) else {
      return (bytes, packed.error)
    }
    let relative = (bytes: bytes.deviation / bytes.value, error: error.deviation / max(error.value, 1e-300))
    switch rate.target {
    case .error(let target) where abs(error.value / target - 1) < 0.25:
      // Where the error jumps over the target, packing holds the forms of tensors and makes their steps finer: the size
      // that takes lies between those on either side of the jump.
      let jump = max(0, error.value / (Self.errorAim.value * target) - 1 - Self.errorAim.deviation) / slope
      return (
        Estimate(
          bytes.value * (1 + jump),
          deviation: bytes.value * (jump / 2 + relative.bytes + (relative.error + Self.errorAim.deviation) / slope)),
        target * Self.errorAim
      )
    case .bytesPerExpert, .archiveBytes:
      return (
        bytes, Estimate(error.value, deviation: error.value * (relative.error + relative.bytes * slope))
      )
    default: return (bytes, error)
    }
  }

  /// The size of the archive, of which a budget decides.
  package func controlled(_ bytes: Estimate) -> Estimate {
    guard case .archiveBytes(let budget) = packer.rate?.target else { return bytes }
    return controlled(bytes, by: budget)
  }

  private func controlled(_ bytes: Estimate, by budget: UInt64) -> Estimate {
    // Corrections come on top; a budget above what the finest factors take is not used up.
    guard !packer.storesCorrections, abs(bytes.value / Double(budget) - Self.budgetAim.value) < 0.03 else {
      return bytes
    }
    return Double(budget) * Self.budgetAim
  }
}
