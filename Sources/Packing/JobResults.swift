import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackFactors
import TMPackJournal
import TMPackTensorKit

/// A tensor of an expert, and the shared tensor that its result was, or is to be, made against.
package struct ExpertTensor: Sendable {
  package let info: TensorInfo
  /// nil where the shared model has none of that name.
  package let base: ContentDigest?

  package init(_ info: TensorInfo, in shared: SharedManifest) {
    self.info = info
    base = shared.entry(named: info.name)?.digest
  }

  fileprivate func checkBase(_ reader: inout ByteReader) throws(StorageError) {
    guard try reader.optionalDigest() == base else {
      throw StorageError(
        .malformed, "it was made against another shared model: a model has changed between the runs",
        offset: reader.offset)
    }
  }
}

/// A job's result together with the digest of the shared tensor that it was made against: one of another shared model
/// is none.
package struct AgainstShared<Result: Sendable>: Sendable {
  package let result: Result
  package let base: ContentDigest?
}

extension AgainstShared: JobResult where Result: JobResult, Result.Subject == TensorInfo {
  package init(parsing reader: inout ByteReader, of subject: ExpertTensor) throws(StorageError) {
    try subject.checkBase(&reader)
    base = subject.base
    result = try Result(parsing: &reader, of: subject.info)
  }

  package func write(to writer: inout ByteWriter) {
    writer.optional(base)
    result.write(to: &writer)
  }
}

// MARK: Sources and the shared model

extension SourceRecord: JobResult {
  /// - Parameter subject: the file's path.
  package init(parsing reader: inout ByteReader, of subject: String) throws(StorageError) {
    let size = UInt64(try reader.count())
    self.init(name: FileTree.lastComponent(subject), size: size, digest: try reader.digest())
  }

  package func write(to writer: inout ByteWriter) {
    writer.integer(size)
    writer.append(digest.bytes)
  }
}

extension SharedTensorResult: JobResult {
  package init(parsing reader: inout ByteReader, of subject: TensorInfo) throws(StorageError) {
    let digest = try reader.digest()
    let overflows = try reader.count()
    let payload = try reader.optional { reader throws(StorageError) in
      try EncodedPayload(parsing: &reader, size: subject.byteCount)
    }
    if let payload {
      self.init(digest: digest, overflows: overflows, content: .embedded(payload))
    } else {
      self.init(digest: digest, overflows: overflows, content: .detached(CRC32(try reader.integer())))
    }
  }

  package func write(to writer: inout ByteWriter) {
    writer.append(digest.bytes)
    writer.integer(UInt64(overflows))
    writer.optional(payload) { $1.write(to: &$0) }
    if case .detached(let checksum) = content { writer.integer(checksum.value) }
  }
}

// MARK: Experts

extension PackedTensor: JobResult {
  package init(parsing reader: inout ByteReader, of subject: TensorInfo) throws(StorageError) {
    let source = try reader.digest()
    let extra = try reader.optional { reader throws(StorageError) in try EncodedPayload(parsing: &reader) }
    let content: Content
    switch try reader.integer(UInt8.self) {
    case 0: content = .unchanged
    case 1:
      let factor = try EncodedFactor(parsing: &reader)
      let measures = try reader.measures()
      let correction = try reader.optional { reader throws(StorageError) in
        try EncodedPayload(parsing: &reader, size: subject.byteCount)
      }
      content = .lossy(factor, measures, correction: correction)
    case 2: content = .difference(try EncodedPayload(parsing: &reader, size: subject.byteCount))
    case 3: content = .replaced(subject, try EncodedPayload(parsing: &reader, size: subject.byteCount))
    case 4:
      let measures = try reader.measures()
      content = .quantizedOwn(subject, try EncodedPayload(parsing: &reader), measures)
    default: throw StorageError(.malformed, "a packed tensor is of an unknown kind", offset: reader.offset)
    }
    self.init(name: subject.name, source: source, content: content, extra: extra)
  }

  package func write(to writer: inout ByteWriter) {
    writer.append(source.bytes)
    writer.optional(extra) { $1.write(to: &$0) }
    switch content {
    case .unchanged: writer.integer(UInt8(0))
    case .lossy(let factor, let measures, let correction):
      writer.integer(UInt8(1))
      factor.write(to: &writer)
      writer.measures(measures)
      writer.optional(correction) { $1.write(to: &$0) }
    case .difference(let payload):
      writer.integer(UInt8(2))
      payload.write(to: &writer)
    case .replaced(_, let payload):
      writer.integer(UInt8(3))
      payload.write(to: &writer)
    case .quantizedOwn(_, let payload, let measures):
      writer.integer(UInt8(4))
      writer.measures(measures)
      payload.write(to: &writer)
    }
  }
}

/// What a search of a rate needs to know of a tensor.
package enum AnalysedTensor: Sendable {
  case controlled(QuantizableTensor)
  /// Stored in the same way at every rate, and small: what it takes shows only beside the others that it shares frames with.
  case small(PackedTensor)
  /// The same, and large: about so many bytes, or none.
  case large(UInt64)
}

extension AnalysedTensor: JobResult {
  package init(parsing reader: inout ByteReader, of subject: TensorInfo) throws(StorageError) {
    switch try reader.integer(UInt8.self) {
    case 0: self = .large(UInt64(try reader.count()))
    case 2: self = .small(try PackedTensor(parsing: &reader, of: subject))
    case 1:
      let (rows, columns) = (try reader.count(), try reader.count())
      guard rows >= 1, columns >= 1, try rows.multiplied(by: columns, "a size") == subject.shape.elementCount else {
        throw StorageError(.malformed, "an analysis is not of its tensor", offset: reader.offset)
      }
      let spectrum = try Spectrum(parsing: &reader, rows: rows, columns: columns)
      self = .controlled(.one(try spectrum.matrix(parsing: &reader)))
    case 3:
      let stack = try reader.stack(of: subject)
      var spectra: [Spectrum?] = []
      for _ in 0..<stack.count {
        spectra.append(
          try reader.optional { reader throws(StorageError) in
            try Spectrum(parsing: &reader, rows: stack.rows, columns: stack.columns)
          })
      }
      self = .controlled(
        .stack(
          stack,
          try spectra.map { spectrum throws(StorageError) in
            try spectrum.map { spectrum throws(StorageError) in try spectrum.matrix(parsing: &reader) }
          }))
    default: throw StorageError(.malformed, "an analysis is of an unknown kind", offset: reader.offset)
    }
  }

  package func write(to writer: inout ByteWriter) {
    switch self {
    case .large(let bytes):
      writer.integer(UInt8(0))
      writer.integer(bytes)
    case .small(let packed):
      writer.integer(UInt8(2))
      packed.write(to: &writer)
    // The vectors come last, those of each matrix left and right, as `PreparedTensor` reads them.
    case .controlled(.one(let matrix)):
      writer.integer(UInt8(1))
      writer.integer(UInt64(matrix.rows))
      writer.integer(UInt64(matrix.columns))
      Spectrum(matrix).write(to: &writer)
      matrix.writeVectors(to: &writer)
    case .controlled(.stack(let stack, let matrices)):
      writer.integer(UInt8(3))
      writer.stack(stack)
      for matrix in matrices { writer.optional(matrix) { Spectrum($1).write(to: &$0) } }
      for matrix in matrices { matrix?.writeVectors(to: &writer) }
    }
  }

  /// A matrix's energy and singular values, in front of the vectors of all.
  private struct Spectrum {
    let rows: Int
    let columns: Int
    let energy: Double
    let singularValues: [Double]

    init(_ matrix: QuantizableMatrix) {
      (rows, columns, energy) = (matrix.rows, matrix.columns, matrix.energy)
      singularValues = matrix.vectors?.singularValues ?? []
    }

    init(parsing reader: inout ByteReader, rows: Int, columns: Int) throws(StorageError) {
      (self.rows, self.columns) = (rows, columns)
      energy = Double(bitPattern: try reader.integer())
      let rank = Int(try reader.integer(UInt32.self))
      guard rank <= min(rows, columns), energy.isFinite, energy >= 0 else {
        throw StorageError(.malformed, "an analysis is not of its tensor", offset: reader.offset)
      }
      singularValues = try reader.numbers(rank)
    }

    func write(to writer: inout ByteWriter) {
      writer.integer(energy.bitPattern)
      writer.integer(UInt32(singularValues.count))
      writer.numbers(singularValues)
    }

    func matrix(parsing reader: inout ByteReader) throws(StorageError) -> QuantizableMatrix {
      var vectors: SingularVectors?
      if !singularValues.isEmpty {
        vectors = SingularVectors(
          rows: rows, columns: columns, singularValues: singularValues,
          left: try reader.numbers(singularValues.count * rows),
          right: try reader.numbers(singularValues.count * columns))
      }
      guard vectors?.areUnitVectors ?? true else {
        throw StorageError(.malformed, "an analysis has no singular vectors", offset: reader.offset)
      }
      return QuantizableMatrix(rows: rows, columns: columns, energy: energy, vectors: vectors)
    }
  }
}

extension QuantizableMatrix {
  fileprivate func writeVectors(to writer: inout ByteWriter) {
    guard let vectors else { return }
    writer.numbers(vectors.left)
    writer.numbers(vectors.right)
  }
}

extension SingularVectors {
  /// Whether nothing is beyond what a decomposition gives.
  fileprivate var areUnitVectors: Bool {
    func areSmall(_ values: [Float]) -> Bool { values.reduce(true) { $0 && $1.magnitude < 2 } }
    return singularValues.allSatisfy { $0.isFinite && $0 >= 0 } && areSmall(left) && areSmall(right)
  }
}

/// A probe of a search of a rate, as far as one tensor is concerned: which tensor, and how fine.
struct ProbedPoint: Sendable {
  package let tensor: ExpertTensor
  package let quality: Double
  let fineness: Double
}

/// What a tensor becomes in a probe.
struct ProbedTensor: Sendable {
  package let point: ProbedPoint
  /// ‖v − decoded‖²
  package let squaredError: Double
  /// nil for a tensor that is better left out.
  package let factor: CodedFactor?
}

extension ProbedTensor: JobResult {
  package init(parsing reader: inout ByteReader, of subject: ProbedPoint) throws(StorageError) {
    point = subject
    try subject.tensor.checkBase(&reader)
    let (quality, fineness): (UInt64, UInt64) = (try reader.integer(), try reader.integer())
    guard quality == subject.quality.bitPattern, fineness == subject.fineness.bitPattern else {
      throw StorageError(.malformed, "a probe is of another search", offset: reader.offset)
    }
    squaredError = try reader.measure().value
    factor = try reader.optional { reader throws(StorageError) in
      try CodedFactor(parsing: &reader, of: subject.tensor.info)
    }
  }

  package func write(to writer: inout ByteWriter) {
    writer.optional(point.tensor.base)
    writer.integer(point.quality.bitPattern)
    writer.integer(point.fineness.bitPattern)
    writer.integer(squaredError.bitPattern)
    // The message comes last, as `SpilledFactor` reads it.
    writer.optional(factor) { $1.write(to: &$0) }
  }
}

extension CodedFactor {
  /// What is left of a record.
  fileprivate init(parsing reader: inout ByteReader, of info: TensorInfo) throws(StorageError) {
    let kind: UInt8 = try reader.integer()
    if kind == 4 {
      let stack = try reader.stack(of: info)
      (rows, columns) = (stack.rows, stack.columns)
      let quantizer = try reader.rankAndQuantizer().1
      var forms: [QuantizedStack.Form] = []
      for _ in 0..<stack.count {
        let (rank, isDense) = (Int(try reader.integer(UInt32.self)), try reader.integer(UInt8.self) == 1)
        guard rank <= min(rows, columns) else {
          throw StorageError(.malformed, "a factor is not of its tensor", offset: reader.offset)
        }
        forms.append(.init(rank: rank, isDense: isDense))
      }
      form = .stack(.init(stack: stack, quantizer: quantizer, matrices: forms))
    } else {
      (rows, columns) = (try reader.count(), try reader.count())
      guard rows >= 1, columns >= 1, try rows.multiplied(by: columns, "a size") == info.shape.elementCount else {
        throw StorageError(.malformed, "a factor is not of its tensor", offset: reader.offset)
      }
      let (rank, quantizer) = try reader.rankAndQuantizer()
      switch kind {
      case 1: form = .lowRank(rank: rank, quantizer)
      case 2: form = .dense
      case 3: form = .layered(rank: rank, quantizer)
      default: throw StorageError(.malformed, "a factor is of an unknown kind", offset: reader.offset)
      }
    }
    payload = [UInt8](try reader.take(reader.remaining))
  }

  fileprivate func write(to writer: inout ByteWriter) {
    func write(_ kind: UInt8, _ rank: Int, _ quantizer: Quantizer) {
      writer.integer(kind)
      writer.integer(UInt64(rows))
      writer.integer(UInt64(columns))
      writer.rankAndQuantizer(rank, quantizer)
    }
    switch form {
    case .lowRank(let rank, let quantizer): write(1, rank, quantizer)
    case .dense: write(2, 0, .uniform)
    case .layered(let rank, let quantizer): write(3, rank, quantizer)
    case .stack(let form):
      writer.integer(UInt8(4))
      writer.stack(form.stack)
      writer.rankAndQuantizer(0, form.quantizer)
      for matrix in form.matrices {
        writer.integer(UInt32(matrix.rank))
        writer.integer(UInt8(matrix.isDense ? 1 : 0))
      }
    }
    writer.append(payload)
  }
}

extension ByteReader {
  fileprivate mutating func stack(of info: TensorInfo) throws(StorageError) -> MatrixStack {
    guard let stack = MatrixStack(try stackDimensions(), of: info.shape.elementCount),
      stack.count <= Limits.stackedMatrices
    else {
      throw StorageError(.malformed, "a stack is not of its tensor", offset: offset)
    }
    return stack
  }

  private mutating func stackDimensions() throws(StorageError) -> [Int] {
    var dimensions: [Int] = []
    for _ in 0..<5 { dimensions.append(try count()) }
    return dimensions
  }

  fileprivate mutating func stackRanks() throws(StorageError) -> StackRanks {
    let dimensions = try stackDimensions()
    let count = try count()
    try Limits.check(count, atMost: Limits.stackedMatrices, "the matrices of a stack")
    var ranks: [Int] = []
    for _ in 0..<count { ranks.append(Int(try integer(UInt32.self))) }
    guard let ranks = StackRanks(dimensions, ranks: ranks) else {
      throw StorageError(.malformed, "a stack is not of its tensor", offset: offset)
    }
    return ranks
  }
}

extension ByteWriter {
  fileprivate mutating func stack(_ stack: MatrixStack) {
    for dimension in stack.dimensions { integer(UInt64(dimension)) }
  }

  fileprivate mutating func stackRanks(_ ranks: StackRanks) {
    for dimension in ranks.dimensions { integer(UInt64(dimension)) }
    integer(UInt64(ranks.ranks.count))
    for rank in ranks.ranks { integer(UInt32(rank)) }
  }
}

extension EncodedFactor {
  package init(parsing reader: inout ByteReader) throws(StorageError) {
    let form = try FactorForm(parsing: &reader)
    var payloads = reader
    try self.init(form) { _ throws(StorageError) in try EncodedPayload(parsing: &payloads) }
    reader = payloads
  }

  package func write(to writer: inout ByteWriter) {
    form.write(to: &writer)
    for payload in payloads { payload.write(to: &writer) }
  }
}

extension FactorForm {
  fileprivate init(parsing reader: inout ByteReader) throws(StorageError) {
    switch try reader.integer(UInt8.self) {
    case 0: self = .dropped
    case 1:
      let rank = Int(try reader.integer(UInt32.self))
      self = .lowRank(rank: rank, try reader.factorDType())
    case 2: self = .sparse(count: try reader.count(), try reader.factorDType())
    case 3: self = .dense(try reader.factorDType())
    case 4:
      let (rank, quantizer) = try reader.rankAndQuantizer()
      self = .quantizedLowRank(rank: rank, quantizer)
    case 5: self = .quantized
    case 6:
      let (rank, quantizer) = try reader.rankAndQuantizer()
      self = .quantizedLayered(rank: rank, quantizer)
    case 7: self = .masked
    case 8: self = .lowRankStack(try reader.stackRanks(), try reader.factorDType())
    case 9:
      let ranks = try reader.stackRanks()
      let count = try reader.count()
      try Limits.check(count, atMost: ranks.ranks.count, "the dense matrices of a stack")
      var dense: [Int] = []
      for _ in 0..<count { dense.append(try reader.count()) }
      self = .quantizedStack(ranks, dense: dense, try reader.rankAndQuantizer().1)
    default: throw StorageError(.malformed, "a factor is of an unknown kind", offset: reader.offset)
    }
  }

  fileprivate func write(to writer: inout ByteWriter) {
    switch self {
    case .dropped: writer.integer(UInt8(0))
    case .lowRank(let rank, let dtype):
      writer.integer(UInt8(1))
      writer.integer(UInt32(rank))
      writer.factorDType(dtype)
    case .sparse(let count, let dtype):
      writer.integer(UInt8(2))
      writer.integer(UInt64(count))
      writer.factorDType(dtype)
    case .dense(let dtype):
      writer.integer(UInt8(3))
      writer.factorDType(dtype)
    case .quantizedLowRank(let rank, let quantizer):
      writer.integer(UInt8(4))
      writer.rankAndQuantizer(rank, quantizer)
    case .quantized: writer.integer(UInt8(5))
    case .quantizedLayered(let rank, let quantizer):
      writer.integer(UInt8(6))
      writer.rankAndQuantizer(rank, quantizer)
    case .masked: writer.integer(UInt8(7))
    case .lowRankStack(let ranks, let dtype):
      writer.integer(UInt8(8))
      writer.stackRanks(ranks)
      writer.factorDType(dtype)
    case .quantizedStack(let ranks, let dense, let quantizer):
      writer.integer(UInt8(9))
      writer.stackRanks(ranks)
      writer.integer(UInt64(dense.count))
      for number in dense { writer.integer(UInt64(number)) }
      writer.rankAndQuantizer(0, quantizer)
    }
  }
}

extension EncodedPayload {
  /// - Throws: `malformed` unless the payload has that many bytes.
  fileprivate init(parsing reader: inout ByteReader, size: Int) throws(StorageError) {
    try self.init(parsing: &reader)
    guard self.size == size else {
      throw StorageError(.malformed, "a payload has \(self.size) bytes, not \(size)", offset: reader.offset)
    }
  }
}

extension ByteWriter {
  fileprivate mutating func measures(_ measures: FactorMeasures) {
    integer(measures.norm.value.bitPattern)
    integer(measures.error.value.bitPattern)
  }
}

extension ByteReader {
  fileprivate mutating func measures() throws(StorageError) -> FactorMeasures {
    FactorMeasures(norm: try measure(), error: try measure())
  }

  fileprivate mutating func measure() throws(StorageError) -> Measure {
    let value = Double(bitPattern: try integer())
    guard value.isFinite, value >= 0 else { throw StorageError(.malformed, "a measure is no number", offset: offset) }
    return Measure(value)
  }
}
