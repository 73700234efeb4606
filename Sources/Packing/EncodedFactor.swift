import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// A factor whose payloads are compressed, but not placed.
package typealias EncodedFactor = FactorLayout<EncodedPayload>

extension EncodedFactor {
  package init(_ factor: Factor, level: Int) {
    func encoded(_ bytes: [UInt8], width: Int = 1) -> EncodedPayload {
      EncodedPayload(bytes, elementWidth: width, level: level)
    }
    func product(_ role: PayloadRole, left: [UInt8], right: [UInt8], scales: [UInt8], width: Int) -> EncodedPayload {
      switch role {
      case .left: encoded(left, width: width)
      case .right: encoded(right, width: width)
      default: encoded(scales, width: 4)
      }
    }
    switch factor {
    case .lowRank(let own):
      self.init(.lowRank(rank: own.rank, own.dtype)) {
        product($0, left: own.left, right: own.right, scales: own.scales, width: own.dtype.planeWidth)
      }
    case .lowRankStack(let own):
      self.init(.lowRankStack(StackRanks(own.stack, ranks: own.ranks), own.dtype)) {
        product($0, left: own.left, right: own.right, scales: own.scales, width: own.dtype.planeWidth)
      }
    case .sparse(let own):
      self.init(.sparse(count: own.count, own.dtype)) { role in
        switch role {
        case .positions: encoded(own.positions)
        case .values: encoded(own.values, width: own.dtype.planeWidth)
        default: encoded(own.scale.littleEndianBytes, width: 4)
        }
      }
    case .dense(let own):
      self.init(.dense(own.dtype)) { role in
        role == .values
          ? encoded(own.values, width: own.dtype.planeWidth) : encoded(own.scale.littleEndianBytes, width: 4)
      }
    case .quantized(let own): self.init(CodedFactor(own), level: level)
    case .masked(let own):
      self.init(.masked) { role in
        role == .mask
          ? encoded(own.mask) : EncodedPayload(own.vector, elementWidth: 1, isShared: true, level: level)
      }
    }
  }

  /// - Parameter factor: nil for a tensor that is approximated by nothing.
  init(_ factor: CodedFactor?, level: Int) {
    self.init(factor?.archiveForm ?? .dropped) { _ in
      EncodedPayload(factor?.payload ?? [], elementWidth: 1, level: level)
    }
  }

  /// Approximated by nothing.
  package static var dropped: EncodedFactor { EncodedFactor(nil, level: 0) }

  /// Bytes of the compressed payloads.
  package var storedSize: Int { payloads.reduce(0) { $0 + $1.storedSize } }
}

extension ArchiveWriter {
  /// Writes the payloads of the factor.
  func place(_ factor: EncodedFactor) throws(StorageError) -> FactorLayout<PayloadReference> {
    try factor.map { payload throws(StorageError) in try place(payload) }
  }
}

extension CodedFactor {
  fileprivate var archiveForm: FactorForm {
    switch form {
    case .lowRank(let rank, let quantizer): .quantizedLowRank(rank: rank, quantizer)
    case .dense: .quantized
    case .layered(let rank, let quantizer): .quantizedLayered(rank: rank, quantizer)
    case .stack(let form):
      .quantizedStack(
        StackRanks(form.stack, ranks: form.matrices.map(\.rank)),
        dense: form.matrices.indices.filter { form.matrices[$0].isDense }, form.quantizer)
    }
  }
}

extension Float {
  /// As a payload of one scale (TMP-6-10).
  fileprivate var littleEndianBytes: [UInt8] { withUnsafeBytes(of: bitPattern.littleEndian) { [UInt8]($0) } }
}
