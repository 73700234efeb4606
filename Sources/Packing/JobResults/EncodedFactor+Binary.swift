import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackJournal
import TMPackTensorKit

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
  init(parsing reader: inout ByteReader) throws(StorageError) {
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

  func write(to writer: inout ByteWriter) {
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
  init(parsing reader: inout ByteReader, size: Int) throws(StorageError) {
    try self.init(parsing: &reader)
    guard self.size == size else {
      throw StorageError(.malformed, "a payload has \(self.size) bytes, not \(size)", offset: reader.offset)
    }
  }
}

extension ByteWriter {
  mutating func measures(_ measures: FactorMeasures) {
    integer(measures.norm.value.bitPattern)
    integer(measures.error.value.bitPattern)
  }
}

extension ByteReader {
  mutating func measures() throws(StorageError) -> FactorMeasures {
    FactorMeasures(norm: try measure(), error: try measure())
  }

  mutating func measure() throws(StorageError) -> Measure {
    let value = Double(bitPattern: try integer())
    guard value.isFinite, value >= 0 else { throw StorageError(.malformed, "a measure is no number", offset: offset) }
    return Measure(value)
  }
}
