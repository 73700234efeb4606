import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// What an archive stores for one tensor, decoded as far as does not depend on router weights.
package enum DecodedPart: Sendable {
  /// A lossy factor, to be added.
  case factor(Factor)
  /// What is approximated by nothing: adds nothing.
  case nothing
  /// A tensor's own bytes: the shared model's, or an expert's.
  case bytes(TensorBytes)

  /// Memory that it takes; of a view of a mapped file, its pages.
  package var byteCount: Int {
    switch self {
    case .factor(let factor): factor.memorySize
    case .nothing: 0
    case .bytes(let bytes): bytes.count
    }
  }

  /// - Parameters:
  ///   - elements: of a stack of matrices, decode those alone that have any of them; nil for all.
  ///   - payloads: reads a payload of the entry's section, or some of its bytes.
  ///   - info: of the shared tensor of the same name, which every factor has that does not stand by itself (TMP-6-7).
  ///   - shared: reads that tensor.
  init(
    _ entry: ExpertEntry, info: TensorInfo?, touching elements: Range<Int>? = nil,
    payloads read: (PayloadReference, Range<Int>?) throws(StorageError) -> [UInt8],
    shared: () throws(StorageError) -> TensorBytes
  ) throws(StorageError) {
    func payloads(_ payload: PayloadReference) throws(StorageError) -> [UInt8] { try read(payload, nil) }
    if case .replaced(_, _, let payload) = entry.factor {
      let bytes = try payloads(payload)
      self = .bytes(TensorBytes(count: bytes.count) { target in bytes.withUnsafeBytes { target.copyMemory(from: $0) } })
      return
    }
    if case .quantizedOwn(let dtype, let shape, let payload) = entry.factor {
      let info = try TensorInfo(name: entry.name, dtype: dtype, shape: shape)
      let factor = try Self.quantized(try payloads(payload), shape: shape)
      // TMP-7-19
      self = .bytes(try ExactUpgrade(info).approximation(of: TensorBytes(zeros: info.byteCount), factor))
      return
    }
    guard let info else { preconditionFailure("the manifest was checked (TMP-6-7)") }
    switch entry.factor {
    case .lossy(let layout):
      let factor = try Factor(layout, shape: info.shape, elements: elements, payloads: read)
      self = factor.map { .factor($0) } ?? .nothing
    case .common: self = .nothing
    case .difference(let payload):
      let reference = try shared()
      let difference = try payloads(payload)
      self = .bytes(
        try TensorBytes(count: info.byteCount) { target throws(StorageError) in
          try ExactDifference.decodeConcurrently(difference, against: reference, dtype: info.dtype, into: target)
        })
    case .replaced, .quantizedOwn: preconditionFailure("handled above")
    }
  }

  /// Entry by entry, as TMP-6-21 has it.
  static func quantized(_ payload: [UInt8], shape: Shape) throws(StorageError) -> Factor {
    let (rows, columns) = shape.matrix ?? (1, shape.elementCount)
    return .quantized(.dense(try QuantizedDenseFactor(payload: payload, rows: rows, columns: columns)))
  }
}
