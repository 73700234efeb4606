import ArchiveFormat
import ByteIO
import Digests
import Factorization
import TensorKit

/// One tensor of one expert, ready to be written: the result of a job that needs no other tensor and no file.
struct PackedTensor: Sendable {
  let name: String
  let source: Digest
  let content: Content

  enum Content: Sendable {
    case unchanged
    case lossy(EncodedFactor, FactorMeasures, correction: EncodedPayload?)
    case difference(EncodedPayload)
    case replaced(TensorInfo, EncodedPayload)
  }

  /// Packs a tensor of an expert.
  ///
  /// Memory: the exclusive vector in binary32, its decoded factor, and the factor.
  /// - Parameters:
  ///   - info: of the expert's tensor, `bytes` its bytes.
  ///   - base: the shared tensor of that name as it is stored; nil when there is none. Its bytes are asked for at most once.
  ///   - isCorrected: whether a factor goes with what makes it exact (TMP-6-17).
  /// - Throws: `nonFinite` for a NaN or an infinity in a tensor that is to be approximated.
  init(
    _ info: TensorInfo, _ bytes: UnsafeRawBufferPointer, base: SharedEntry?,
    baseBytes: () throws(StorageError) -> TensorBytes, treatment: TensorTreatment,
    isCorrected: Bool = false, level: Int
  ) throws(StorageError) {
    name = info.name
    source = Digest(of: bytes)
    guard let base, base.info.matches(info) else {
      content = .replaced(info, EncodedPayload(tensor: bytes, dtype: info.dtype, level: level))
      return
    }
    if case .factor(let plan) = treatment, let format = info.dtype.floatFormat {
      try Self.refuseNonFinite(bytes, format)
      if source == base.digest || info.byteCount == 0 {
        content = .unchanged
      } else {
        content = try Self.lossy(plan, base.info, format, bytes, try baseBytes(), isCorrected, level: level)
      }
      return
    }
    if source == base.digest {
      content = .unchanged
      return
    }
    content = .difference(
      try EncodedPayload(differenceOf: bytes, against: try baseBytes(), dtype: info.dtype, level: level))
  }

  private static func lossy(
    _ plan: FactorPlan, _ info: TensorInfo, _ format: FloatFormat, _ bytes: UnsafeRawBufferPointer, _ base: TensorBytes,
    _ isCorrected: Bool, level: Int
  ) throws(StorageError) -> Content {
    let vector = try ExclusiveVector(of: bytes, against: base, format)
    guard let index = vector.firstNonFinite else {
      if vector.isZero {
        // The signs of zeros may differ.
        guard isCorrected else { return .unchanged }
        return .difference(try EncodedPayload(differenceOf: bytes, against: base, dtype: info.dtype, level: level))
      }
      let factor = try plan.encode(vector.values, shape: info.shape)
      let measures = try vector.measures(of: factor)
      let correction =
        isCorrected ? try ExactUpgrade(info).correction(of: bytes, shared: base, factor, level: level) : nil
      return .lossy(EncodedFactor(factor, level: level), measures, correction: correction)
    }
    throw StorageError(
      .nonFinite,
      "the difference from the shared model is not finite at element \(index); --lossless or --exclude keeps it exactly"
    )
  }

  static func refuseNonFinite(_ bytes: UnsafeRawBufferPointer, _ format: FloatFormat) throws(StorageError) {
    guard let index = format.firstNonFinite(bytes) else { return }
    throw StorageError(
      .nonFinite,
      "element \(index) (byte \(index * format.byteWidth) of the tensor) is NaN or infinite; --lossless or --exclude keeps it exactly"
    )
  }
}

/// A factor whose payloads are compressed, but not placed.
struct EncodedFactor: Sendable {
  enum Form: Sendable {
    case lowRank(rank: Int, left: EncodedPayload, right: EncodedPayload)
    case sparse(count: Int, positions: EncodedPayload, values: EncodedPayload)
    case dense(values: EncodedPayload)
  }
  let form: Form
  let dtype: FactorDType
  let scales: EncodedPayload

  init(_ factor: Factor, level: Int) {
    func encoded(_ bytes: [UInt8], width: Int) -> EncodedPayload {
      EncodedPayload(bytes, elementWidth: width, level: level)
    }
    switch factor {
    case .lowRank(let factor):
      dtype = factor.dtype
      form = .lowRank(
        rank: factor.rank, left: encoded(factor.left, width: dtype.planeWidth),
        right: encoded(factor.right, width: dtype.planeWidth))
      scales = encoded(factor.scales, width: 4)
    case .sparse(let factor):
      dtype = factor.dtype
      form = .sparse(
        count: factor.count, positions: encoded(factor.positions, width: 1),
        values: encoded(factor.values, width: dtype.planeWidth))
      scales = encoded(factor.scale.littleEndianBytes, width: 4)
    case .dense(let factor):
      dtype = factor.dtype
      form = .dense(values: encoded(factor.values, width: dtype.planeWidth))
      scales = encoded(factor.scale.littleEndianBytes, width: 4)
    }
  }

  /// Writes the payloads of the factor.
  func place(in writer: ArchiveWriter) throws(StorageError) -> StoredFactor {
    switch form {
    case .lowRank(let rank, let left, let right):
      .lowRank(
        rank: rank, dtype: dtype, left: try writer.place(left), right: try writer.place(right),
        scales: try writer.place(scales))
    case .sparse(let count, let positions, let values):
      .sparse(
        count: count, dtype: dtype, positions: try writer.place(positions), values: try writer.place(values),
        scales: try writer.place(scales))
    case .dense(let values):
      .dense(dtype: dtype, values: try writer.place(values), scales: try writer.place(scales))
    }
  }
}

extension Float {
  /// As a payload of one scale (TMP-6-10).
  fileprivate var littleEndianBytes: [UInt8] { withUnsafeBytes(of: bitPattern.littleEndian) { [UInt8]($0) } }
}
