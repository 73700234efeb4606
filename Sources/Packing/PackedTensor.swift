import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactorization
import TMPackDigests
import TMPackFactors
import TMPackReading
import TMPackTensorKit

/// One tensor of one expert, ready to be written: the result of a job that needs no other tensor and no file.
package struct PackedTensor: Sendable {
  package let name: String
  package let source: ContentDigest
  package let content: Content
  /// The rows beyond the shared tensor's (TMP-6-25): `content` is without them, `source` with them.
  let extra: EncodedPayload?

  package enum Content: Sendable {
    case unchanged
    case lossy(EncodedFactor, FactorMeasures, correction: EncodedPayload?)
    case difference(EncodedPayload)
    case replaced(TensorInfo, EncodedPayload)
    case quantizedOwn(TensorInfo, EncodedPayload, FactorMeasures)
  }

  package init(name: String, source: ContentDigest, content: Content, extra: EncodedPayload? = nil) {
    self.name = name
    self.source = source
    self.content = content
    self.extra = extra
  }

  /// The same with all rows of a tensor of which the first are packed.
  ///
  /// - Parameters:
  ///   - whole: all rows.
  ///   - info: of the packed ones.
  func extended(
    to whole: OpenTensor, _ info: TensorInfo, level: Int
  ) throws(StorageError) -> PackedTensor {
    let digest = try ContentDigest(of: whole)
    let extra = try whole.withBytes(info.byteCount..<whole.count) {
      EncodedPayload(tensor: $0, dtype: info.dtype, level: level)
    }
    return PackedTensor(name: name, source: digest, content: content, extra: extra)
  }

  /// Packs a tensor of an expert.
  ///
  /// Memory: the exclusive vector in binary32, or one matrix of it where it is taken as several; its decoded factor, and the factor.
  /// - Parameters:
  ///   - info: of the expert's tensor `own`.
  ///   - base: the shared tensor of that name as it is stored; nil when there is none. It is opened at most once.
  ///   - makeFactor: approximates the tensor, if its dtype is float; nil keeps it exactly.
  ///   - products: what the expert adds to the shared tensor, if that is known; asked for at most once.
  ///   - ownQuantizer: approximates the tensor if the shared model has none of its name; nil keeps it exactly.
  ///   - isCorrected: whether a factor goes with what makes it exact (TMP-6-17).
  ///   - scratch: for large payloads; nil holds them.
  /// - Throws: `nonFinite` for a NaN or an infinity in a tensor that is to be approximated.
  package init(
    _ info: TensorInfo, _ own: OpenTensor, base: SharedEntry?,
    openBase: () throws(StorageError) -> OpenTensor, makeFactor: (any FactorMaker)?,
    ownQuantizer: OwnQuantizer? = nil, products: () throws(StorageError) -> KnownProducts? = { nil },
    isCorrected: Bool = false, level: Int, scratch: PayloadScratch? = nil
  ) throws(StorageError) {
    name = info.name
    extra = nil
    let scan = try TensorScan(own, makeFactor == nil ? nil : info.dtype.floatFormat)
    source = scan.digest
    guard let base, base.info.matches(info) else {
      let exact = try EncodedPayload(tensor: own, dtype: info.dtype, level: level, scratch: scratch)
      let quantizer = base == nil ? ownQuantizer : nil
      let quantized = try quantizer.flatMap { quantizer throws(StorageError) in
        try quantizer.quantized(info, own, insteadOf: exact, level: level)
      }
      content = quantized.map { .quantizedOwn(info, $0.payload, $0.measures) } ?? .replaced(info, exact)
      return
    }
    // Whatever its numbers: nothing of it is approximated.
    if source == base.digest || info.byteCount == 0 {
      content = .unchanged
      return
    }
    if let makeFactor, let format = info.dtype.floatFormat {
      try scan.refuseNonFinite(format)
      content = try Self.lossy(
        makeFactor, base.info, format, own, try openBase(), products, isCorrected, level: level, scratch: scratch)
      return
    }
    content = .difference(
      try EncodedPayload(
        differenceOf: own, against: try openBase(), dtype: info.dtype, level: level, scratch: scratch))
  }

  /// Memory: the vector in binary32, or one matrix of it where it is taken as several.
  private static func lossy(
    _ makeFactor: any FactorMaker, _ info: TensorInfo, _ format: FloatFormat, _ own: OpenTensor,
    _ base: OpenTensor, _ products: () throws(StorageError) -> KnownProducts?, _ isCorrected: Bool, level: Int,
    scratch: PayloadScratch?
  ) throws(StorageError) -> Content {
    var tensor = ExclusiveTensor(of: own, against: base, format, shape: info.shape)
    let made: (factor: Factor?, measures: FactorMeasures)?
    if StackCandidates(info.shape).plain == nil {
      var vector = try tensor.vector()
      let survey = vector.survey
      try refuseNonFinite(survey)
      if survey.isZero {
        made = nil
      } else {
        vector.product = try products()?.matrix
        let factor = try makeFactor.factor(of: vector, shape: info.shape)
        made = (
          factor,
          try factor.map { factor throws(StorageError) in try vector.measures(of: factor) }
            ?? FactorMeasures(ofNothingInsteadOf: vector.energy)
        )
      }
    } else {
      let survey = try tensor.surveyed()
      try refuseNonFinite(survey)
      if survey.isZero {
        made = nil
      } else {
        tensor.products = try products()
        let factor: Factor?
        if let stack = try makeFactor.stack(for: tensor) {
          factor = try makeFactor.factor(of: tensor, as: stack)
        } else {
          factor = try makeFactor.factor(of: tensor.vector(), shape: info.shape)
        }
        let measures =
          if let factor {
            try tensor.measures(of: factor)
          } else {
            FactorMeasures(ofNothingInsteadOf: try tensor.energy())
          }
        made = (factor, measures)
      }
    }
    guard let (factor, measures) = made else {
      // The signs of zeros may differ.
      guard isCorrected else { return .unchanged }
      return .difference(
        try EncodedPayload(differenceOf: own, against: base, dtype: info.dtype, level: level, scratch: scratch))
    }
    let correction =
      isCorrected
      ? try ExactUpgrade(info).correction(of: own, shared: base, factor, level: level, scratch: scratch) : nil
    return .lossy(factor.map { EncodedFactor($0, level: level) } ?? .dropped, measures, correction: correction)
  }

  private static func refuseNonFinite(_ survey: ExclusiveSurvey) throws(StorageError) {
    guard let index = survey.firstNonFinite else { return }
    throw StorageError(
      .nonFinite,
      "the difference from the shared model is not finite at element \(index)"
    ).with(.keepExactly)
  }
}

extension PackedTensor {
  /// About what it will take in the archive, its entry included, its correction not.
  package var storedBytes: UInt64 {
    if case .unchanged = content, extra == nil { return 0 }
    return UInt64(payloads.reduce(QuantizableTensor.entryOverhead) { $0 + $1.storedSize })
  }

  /// All but the correction.
  package var payloads: [EncodedPayload] {
    let own: [EncodedPayload] =
      switch content {
      case .unchanged: []
      case .lossy(let factor, _, _): factor.payloads
      case .difference(let payload), .replaced(_, let payload), .quantizedOwn(_, let payload, _): [payload]
      }
    return own + [extra].compactMap { $0 }
  }
}
