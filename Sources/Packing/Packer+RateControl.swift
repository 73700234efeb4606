import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactorization
import TMPackDigests
import TMPackFactors
import TMPackMerging
import TMPackReading
import TMPackTensorKit

extension Packer {
  /// Whether a rate has to be found before anything is packed.
  package var searchesRate: Bool { rate != nil && rate?.fixedQuality == nil }

  /// How each expert's tensors are approximated. With a budget or an error target, finds out first what it allows.
  func factorMakers(
    _ experts: [ExpertInput], _ shared: SharedTensors, _ writer: ArchiveWriter, _ path: String,
    _ meter: inout ProgressMeter
  ) throws(StorageError) -> [NamedFactorMaker] {
    guard let rate, rate.fixedQuality == nil else {
      return experts.map { maker(quality: self.rate?.fixedQuality, for: $0) }
    }
    let scratch = try ScratchFile(besides: path)
    var prepared: [PreparedExpert] = []
    for (number, expert) in experts.enumerated() {
      meter.stage = "analysing \(expert.name)"
      prepared.append(try prepare(expert, number: number, experts.count, shared, scratch, &meter))
    }
    meter.stage = "fitting the rate"
    meter.advance(0)
    var found: [RateProbe.Factors] = []
    // A budget for the archive is one search, any other target one for each expert.
    let isOneSearch = if case .archiveBytes = rate.target { true } else { false }
    for numbers in isOneSearch ? [experts.indices] : experts.indices.map({ $0..<$0 + 1 }) {
      let probe = RateProbe(
        packer: self, experts: numbers.map { ($0, experts[$0], prepared[$0]) }, shared: shared, writer: writer,
        scratch: scratch, rate: rate)
      found += try probe.factors()
      meter.advance(numbers.reduce(0) { $0 + experts[$1].checkpoint.source.byteCount })
    }
    return found.map { factors in
      maker { name in factors[ExactString(name)].map { SearchedFactor(kept: $0) } }
    }
  }

  /// The rules, with the tensors that they leave to rate control at this quality; they are kept exactly without one.
  ///
  /// - Parameter expert: whose statistics weigh them.
  package func maker(quality: Double?, for expert: ExpertInput) -> NamedFactorMaker {
    guard let rate, let quality else { return maker(controlled: nil) }
    let setting = rate.setting(quality: quality)
    let codecs = rate.quantizedCodecs
    let rules = rules
    let isWeighed = rate.weighsDirections
    let products = rate.keepsProducts ? FactorPlan.products : nil
    return maker { name in
      RatedFactors(setting: setting, codecs: codecs, stacking: rules.stacking(of: name), products: products) {
        shape throws(StorageError) in isWeighed ? try expert.weights(of: name, shape) : nil
      }
    }
  }

  /// The rules, with `controlled` for the tensors that they leave to rate control.
  package func maker(controlled: NamedFactorMaker?) -> NamedFactorMaker {
    let rules = rules
    return { name in
      switch rules.treatment(of: name) {
      case .exact: nil
      case .factor(let plan): PlannedFactors(plan: plan, stacking: rules.stacking(of: name))
      case .controlled: controlled?(name)
      case .tallMask: preconditionFailure("made of all experts together")
      }
    }
  }

  /// Computes the singular vectors of the tensors that rate control decides on.
  private func prepare(
    _ expert: ExpertInput, number: Int, _ expertCount: Int, _ shared: SharedTensors, _ scratch: ScratchFile,
    _ meter: inout ProgressMeter
  ) throws(StorageError) -> PreparedExpert {
    let infos = expert.checkpoint.source.tensors
    let demand = tripletDemand(infos, expertCount)
    let manifest = shared.manifest
    var tensors: [ExactString: PreparedTensor] = [:]
    var small: [PackedTensor] = []
    var largeBytes: UInt64 = 0
    try pipeline.runJobs(
      infos.count, journal, key: { .analysis(number, $0) },
      subject: { ExpertTensor(infos[$0], in: manifest) }
    ) { index throws(StorageError) in
      let base = manifest.entry(named: infos[index].name)
      return try analysed(infos[index], of: expert, demand, base: base) { () throws(StorageError) in
        try shared.opened(base!)
      }
    } consume: { index, analysed, stored throws(StorageError) in
      switch analysed.result {
      case .controlled(let tensor):
        tensors[ExactString(infos[index].name)] = try PreparedTensor(tensor, in: stored, or: scratch)
      case .small(let packed): small.append(packed)
      case .large(let bytes): largeBytes += bytes
      }
      meter.advance(UInt64(infos[index].byteCount))
    }
    return PreparedExpert(tensors: tensors, small: small, largeBytes: largeBytes)
  }

  /// A prepared expert with other ranks for some tensors.
  ///
  /// - Parameter attempt: from 1; what a journal has of it is not done again.
  func extended(
    _ expert: RateProbe.Expert, _ ranks: [ExactString: Int], attempt: Int, _ shared: SharedTensors,
    _ scratch: ScratchFile
  ) throws(StorageError) -> PreparedExpert {
    let places = expert.input.checkpoint.source.tensors.enumerated().filter {
      ranks[ExactString($0.element.name)] != nil
    }
    let (number, input, prepared) = expert
    let manifest = shared.manifest
    var fresh: [ExactString: PreparedTensor] = [:]
    try pipeline.runJobs(
      places.count, journal, key: { .analysis(number, places[$0].offset, attempt: attempt) },
      subject: { ExpertTensor(places[$0].element, in: manifest) }
    ) { index throws(StorageError) in
      let info = places[index].element
      let base = manifest.entry(named: info.name)
      return try analysed(info, of: input, .atMost(ranks[ExactString(info.name)]!), base: base) {
        () throws(StorageError) in
        try shared.opened(base!)
      }
    } consume: { index, analysed, stored throws(StorageError) in
      let name = places[index].element.name
      guard case .controlled(let tensor) = analysed.result else {
        throw StorageError(
          .malformed, "a record says that the expert leaves it alone", expert: input.name, tensor: name)
      }
      fresh[ExactString(name)] = try PreparedTensor(tensor, in: stored, or: scratch)
    }
    return prepared.replacing(fresh)
  }

  /// What a search of a rate needs to know of a tensor of an expert.
  ///
  /// - Parameters:
  ///   - demand: the most components that will be wanted.
  ///   - base: the shared tensor of that name, if there is one; `openBase` opens it.
  package func analysed(
    _ info: TensorInfo, of expert: ExpertInput, _ demand: QuantizableMatrix.Demand, base: SharedEntry?,
    openBase: () throws(StorageError) -> OpenTensor
  ) throws(StorageError) -> AgainstShared<AnalysedTensor> {
    let source = expert.checkpoint.source
    /// What is stored at every rate: further rows.
    func fixed() throws(StorageError) -> AnalysedTensor {
      let none = PackedTensor(name: info.name, source: base!.digest, content: .unchanged)
      let packed = try expert.extended(none, info, level: level)
      guard packed.extra != nil else { return .large(0) }
      return packed.storedBytes <= EncodedPayload.pooledSize ? .small(packed) : .large(packed.storedBytes)
    }
    let analysed = try located(file: source.label, expert: expert.name, tensor: info.name) {
      () throws(StorageError) -> AnalysedTensor in
      let own = try source.opened(info)
      if case .controlled = rules.treatment(of: info.name), let format = info.dtype.floatFormat, let base,
        base.info.matches(info)
      {
        let scan = try TensorScan(own, format)
        if info.byteCount == 0 || scan.digest == base.digest { return try fixed() }
        try scan.refuseNonFinite(format)
        var tensor = ExclusiveTensor(of: own, against: try openBase(), format, shape: info.shape)
        guard StackCandidates(info.shape).plain != nil else {
          var vector = try tensor.vector()
          let survey = vector.survey
          if survey.isZero || survey.firstNonFinite != nil { return try fixed() }
          vector.product = try expert.products(of: info, against: base)?.matrix
          return .controlled(.one(try QuantizableMatrix(vector, shape: info.shape, demand)))
        }
        let survey = try tensor.surveyed()
        if survey.isZero || survey.firstNonFinite != nil { return try fixed() }
        tensor.products = try expert.products(of: info, against: base)
        let stack = try rules.stacking(of: info.name).stack(for: tensor)
        return .controlled(try QuantizableTensor(tensor, as: stack, demand))
      }
      let packed = try expert.extended(
        try PackedTensor(
          info, own, base: base, openBase: openBase, makeFactor: maker(controlled: nil)(info.name),
          ownQuantizer: ownQuantizer(of: info),
          products: { () throws(StorageError) in try expert.products(of: info, against: base!) }, level: level), info,
        level: level)
      return packed.storedBytes <= EncodedPayload.pooledSize ? .small(packed) : .large(packed.storedBytes)
    }
    return AgainstShared(result: analysed, base: base?.digest)
  }

  /// How many components a search starts with.
  package func tripletDemand(_ infos: [TensorInfo], _ expertCount: Int) -> QuantizableMatrix.Demand {
    .start(SearchStart(atMost: largestRank(infos, expertCount), leaving: rate?.surelyLeft))
  }

  /// More components than a budget can pay for need not be computed.
  package func largestRank(_ infos: [TensorInfo], _ expertCount: Int) -> Int {
    let budget: UInt64
    switch rate?.target {
    case .bytesPerExpert(let bytes): budget = bytes
    case .archiveBytes(let bytes): budget = bytes / UInt64(expertCount) * 2
    default: return .max
    }
    let sides = infos.reduce(1) { $0 + $1.shape.leastComponentLength }
    // A component takes about a bit a symbol; `leastError` spends them unevenly.
    let affordable = 8 * Double(budget) / Double(sides) * (rate?.objective == .balanced ? 1.5 : 6)
    return max(32, Int(min(affordable, 0x1p30)))
  }
}

extension RateControl {
  /// The share of a matrix's energy that is surely no component of its own: the quantiser loses some of what an error target allows.
  fileprivate var surelyLeft: Double? {
    guard case .error(let error) = target else { return nil }
    return (objective == .balanced ? 0.4 : 0.2) * error * error
  }
}

extension Shape {
  /// Numbers of a component, of one matrix or of all of a stack.
  fileprivate var leastComponentLength: Int {
    guard let (rows, columns) = matrix else { return 0 }
    guard let plain = StackCandidates(self).plain else { return rows + columns }
    return min(rows + columns, plain.count * (plain.rows + plain.columns))
  }
}
