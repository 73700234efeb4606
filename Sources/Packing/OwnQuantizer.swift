import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackTensorKit

/// Approximates tensors that only the expert has, such as the head of its task: entry by entry, with a small step
/// (Spec/decisions/0026).
package struct OwnQuantizer: Sendable {
  /// As a multiple of the RMS of the elements.
  private let step: Double

  private static let standardStep = 0.1
  /// Fewer are kept exactly: it hardly costs anything.
  private static let leastElements = 1024

  /// Takes what a name and a shape say to be a matrix of weights: other floats may be tables that are not to be touched.
  ///
  /// - Parameter error: the most that may be lost; nil without a bound.
  /// - Returns: nil for a tensor that is to be kept exactly.
  package init?(for info: TensorInfo, error: Double? = nil) {
    guard info.dtype.floatFormat != nil, info.shape.dimensions.count >= 2,
      info.shape.elementCount >= Self.leastElements, info.name.split(separator: ".").last == "weight"
    else { return nil }
    // The error of a fine step is step ÷ √12, and a little more for symbols that are chosen to be short.
    step = error.map { min(Self.standardStep, 2.5 * $0) } ?? Self.standardStep
  }

  /// - Parameter exact: what the tensor takes as it is.
  /// - Returns: nil for what is better kept exactly: with other numbers than finite ones, of nothing but zeros, or hardly smaller.
  /// Memory: the elements in binary32, and their symbols.
  func quantized(
    _ info: TensorInfo, _ own: OpenTensor, insteadOf exact: EncodedPayload, level: Int
  ) throws(StorageError) -> (payload: EncodedPayload, measures: FactorMeasures)? {
    guard let format = info.dtype.floatFormat, try own.firstNonFinite(format) == nil else { return nil }
    let vector = try ExclusiveTensor(of: own, against: .zeros(count: info.byteCount), format, shape: info.shape)
      .vector()
    let (rows, columns) = info.shape.matrix ?? (1, info.shape.elementCount)
    let rms = (vector.energy / Double(info.shape.elementCount)).squareRoot()
    guard rms > 0, rms.isFinite,
      let factor = vector.withValues({
        QuantizedDenseFactor(quantizing: $0, rows: rows, columns: columns, step: step * rms)
      })
    else { return nil }
    let payload = EncodedPayload(factor.payload, elementWidth: 1, level: level)
    guard 8 * payload.storedSize < 7 * exact.storedSize else { return nil }
    return (payload, try vector.measures(of: .quantized(.dense(factor))))
  }
}

extension Packer {
  /// What approximates a tensor that the shared model lacks; nil for one that is kept exactly.
  package func ownQuantizer(of info: TensorInfo) -> OwnQuantizer? {
    guard let rate, !storesCorrections, case .controlled = rules.treatment(of: info.name) else { return nil }
    if case .error(let error) = rate.target { return OwnQuantizer(for: info, error: error) }
    return OwnQuantizer(for: info)
  }
}
