import ArchiveFormat
import ByteIO
import Digests
import Factorization
import TensorKit

/// The factor maker of a tensor, by name; nil for a tensor that is kept exactly.
typealias NamedFactorMaker = @Sendable (String) -> FactorMaker?

extension Packer {
  /// Whether a rate has to be found before anything is packed.
  var searchesRate: Bool { rate != nil && rate?.fixedQuality == nil }

  /// How each expert's tensors are approximated. With a budget or an error target, finds out first what it allows.
  func factorMakers(
    _ experts: [ExpertInput], _ shared: SharedTensors, _ writer: ArchiveWriter, _ path: String,
    _ meter: inout ProgressMeter
  ) throws(StorageError) -> [NamedFactorMaker] {
    guard let rate, rate.fixedQuality == nil else {
      return experts.map { _ in maker(quality: self.rate?.fixedQuality) }
    }
    let scratch = try ScratchFile(besides: path)
    var prepared: [PreparedExpert] = []
    for expert in experts {
      meter.stage = "analysing \(expert.name)"
      prepared.append(try prepare(expert, experts.count, shared, scratch, &meter))
    }
    meter.stage = "fitting the rate"
    let probe = RateProbe(
      packer: self, experts: Array(zip(experts, prepared)), shared: shared, writer: writer, scratch: scratch, rate: rate
    )
    return try probe.factors().map { factors in
      maker { name in
        guard let factor = factors[ExactString(name)] else { return nil }
        return { _, _ throws(StorageError) in try factor.loaded(from: scratch) }
      }
    }
  }

  /// The rules, with the tensors that they leave to rate control at this quality; they are kept exactly without one.
  func maker(quality: Double?) -> NamedFactorMaker {
    guard let rate, let quality else { return maker(controlled: nil) }
    let setting = rate.setting(quality: quality)
    let codecs = rate.quantizedCodecs
    let controlled: FactorMaker = { vector, shape throws(StorageError) in
      let tensor = try QuantizableTensor(vector, shape: shape, for: setting)
      let encoding = try tensor.encoding(at: setting, codecs) { $0(vector.values) }
      return try encoding.factor.map { factor throws(StorageError) in try Factor.quantized(factor).decoded() }
    }
    return maker { _ in controlled }
  }

  /// The rules, with `controlled` for the tensors that they leave to rate control.
  func maker(controlled: (@Sendable (String) -> FactorMaker?)?) -> NamedFactorMaker {
    let rules = rules
    return { name in
      switch rules.treatment(of: name) {
      case .exact: nil
      case .factor(let plan):
        { vector, shape throws(StorageError) in
          try plan.encode(vector.values, shape: shape, known: vector.knownVectors).decoded()
        }
      case .controlled: controlled?(name)
      case .tallMask: preconditionFailure("made of all experts together")
      }
    }
  }

  /// Computes the singular vectors of the tensors that rate control decides on.
  private func prepare(
    _ expert: ExpertInput, _ expertCount: Int, _ shared: SharedTensors, _ scratch: ScratchFile,
    _ meter: inout ProgressMeter
  ) throws(StorageError) -> PreparedExpert {
    let source = expert.checkpoint.source
    let infos = source.tensors
    let rank = largestRank(infos, expertCount)
    let fixed = maker(controlled: nil)
    var tensors: [ExactString: PreparedTensor] = [:]
    var small: [PackedTensor] = []
    var largeBytes: UInt64 = 0
    try pipeline.run(infos.count) { index throws(StorageError) -> (PreparedTensor?, PackedTensor?) in
      let info = infos[index]
      let base = shared.manifest.entry(named: info.name)
      return try located(file: source.label, expert: expert.name, tensor: info.name) { () throws(StorageError) in
        try source.bytes(of: info).withBytes { raw throws(StorageError) in
          if case .controlled = rules.treatment(of: info.name), let format = info.dtype.floatFormat, let base,
            base.info.matches(info)
          {
            try PackedTensor.refuseNonFinite(raw, format)
            if info.byteCount == 0 || Digest(of: raw) == base.digest { return (nil, nil) }
            var vector = try ExclusiveVector(of: raw, against: try shared.bytes(of: base), format)
            if vector.isZero || vector.firstNonFinite != nil { return (nil, nil) }
            vector.product = try expert.product(of: info, against: base)
            return (try PreparedTensor(vector, shape: info.shape, rank: rank, scratch: scratch), nil)
          }
          let packed = try PackedTensor(
            info, raw, base: base, baseBytes: { () throws(StorageError) in try shared.bytes(of: base!) },
            makeFactor: fixed(info.name),
            product: { () throws(StorageError) in try expert.product(of: info, against: base!) }, level: level)
          return (nil, packed)
        }
      }
    } consume: { index, result in
      if let tensor = result.0 { tensors[ExactString(infos[index].name)] = tensor }
      if let packed = result.1 {
        if packed.storedBytes <= EncodedPayload.pooledSize {
          small.append(packed)
        } else {
          largeBytes += packed.storedBytes
        }
      }
      meter.advance(UInt64(infos[index].byteCount))
    }
    return PreparedExpert(tensors: tensors, small: small, largeBytes: largeBytes)
  }

  /// More components than a budget can pay for need not be computed.
  func largestRank(_ infos: [TensorInfo], _ expertCount: Int) -> Int {
    let budget: UInt64
    switch rate?.target {
    case .bytesPerExpert(let bytes): budget = bytes
    case .archiveBytes(let bytes): budget = bytes / UInt64(expertCount) * 2
    default: return .max
    }
    let sides = infos.reduce(1) { sum, info in sum + (info.shape.matrix.map { $0.rows + $0.columns } ?? 0) }
    // A component takes about a bit a symbol; `leastError` spends them unevenly.
    let affordable = 8 * Double(budget) / Double(sides) * (rate?.objective == .balanced ? 1.5 : 6)
    return max(32, Int(min(affordable, 0x1p30)))
  }
}
