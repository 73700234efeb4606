import TMPackByteIO
import TMPackFactors
import TMPackJournal

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
