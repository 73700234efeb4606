import TMPackByteIO
import TMPackTensorKit

/// How far some tensors are from others, by runs of their elements: the same runs always.
package struct SampledChange: Sendable {
  /// Σ (own − reference)², Σ reference², Σ own · reference, Σ own², each tensor's as if all of its elements were counted.
  package private(set) var difference = 0.0
  package private(set) var reference = 0.0
  package private(set) var product = 0.0
  package private(set) var own = 0.0

  private static let runs = 16
  private static let runLength = 512

  package init() {}

  /// ‖own − reference‖ ÷ ‖reference‖; nil where the reference is zero, or something is not finite.
  package var relative: Double? {
    let ratio = (difference / reference).squareRoot()
    return ratio.isFinite ? ratio : nil
  }

  package var cosine: Double? {
    let cosine = product / (reference * own).squareRoot()
    return cosine.isFinite ? cosine : nil
  }

  /// Whether the one may have been made from the other: those that have nothing to do with each other are at right angles,
  /// about, and fine-tuning, even if it changes a weight by as much as there is, leaves a cosine of 0.7.
  package var isRelated: Bool { (cosine ?? 0) >= 0.5 }

  package mutating func add(_ other: SampledChange) {
    difference += other.difference
    reference += other.reference
    product += other.product
    own += other.own
  }

  /// - Parameters:
  ///   - info: a tensor of `source`, of a float dtype.
  ///   - base: one of `model`, of the same dtype; `info` has its elements first.
  package mutating func add(
    _ info: TensorInfo, of source: any TensorSource, against base: TensorInfo, of model: any TensorSource
  ) throws(StorageError) {
    guard let format = info.dtype.floatFormat, base.shape.elementCount > 0 else { return }
    let count = base.shape.elementCount
    let length = min(count, Self.runLength)
    let runs = min(Self.runs, (count + length - 1) / length)
    var mine = [Double](repeating: 0, count: length)
    var theirs = mine
    var sample = SampledChange()
    let (ownElements, baseElements) = (SampledElements(info, of: source), SampledElements(base, of: model))
    for run in 0..<runs {
      // The last run ends with the tensor.
      let start = runs == 1 ? 0 : Int(Double(count - length) * Double(run) / Double(runs - 1))
      let bytes = start * format.byteWidth..<(start + length) * format.byteWidth
      try ownElements.read(bytes, format, into: &mine)
      try baseElements.read(bytes, format, into: &theirs)
      for i in 0..<length {
        let (a, b) = (mine[i], theirs[i])
        // What is equal did not change, infinities too.
        let d = a == b ? 0 : a - b
        sample.difference += d * d
        sample.reference += b * b
        sample.product += a * b
        sample.own += a * a
      }
    }
    let weight = Double(count) / Double(runs * length)
    difference += sample.difference * weight
    reference += sample.reference * weight
    product += sample.product * weight
    own += sample.own * weight
  }
}

/// Elements of one tensor, read piece by piece where that is possible, else all at once.
private final class SampledElements {
  private let info: TensorInfo
  private let source: any TensorSource
  private var all: TensorBytes?

  init(_ info: TensorInfo, of source: any TensorSource) {
    self.info = info
    self.source = source
  }

  func read(_ range: Range<Int>, _ format: FloatFormat, into values: inout [Double]) throws(StorageError) {
    if all == nil, let piece = try source.piece(range, of: info) {
      return piece.withUnsafeBytes { raw in values.withUnsafeMutableBufferPointer { format.widen(raw, into: $0) } }
    }
    let bytes: TensorBytes
    if let all { bytes = all } else { bytes = try source.bytes(of: info) }
    all = bytes
    try bytes.withBytes { raw in
      values.withUnsafeMutableBufferPointer { format.widen(UnsafeRawBufferPointer(rebasing: raw[range]), into: $0) }
    }
  }
}
