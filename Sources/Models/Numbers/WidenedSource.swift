import TMPackByteIO
import TMPackTensorKit

/// Another source with tensors of numbers that no arithmetic is done on as ones on which it is: 8-bit floats as F64, complex
/// numbers as pairs of F32 in one more dimension. Both are exact.
///
/// `NarrowedSource` makes them again what they were.
package struct WidenedSource: SourceView {
  package let tensors: [TensorInfo]
  package let source: any TensorSource

  /// Whether a model has such tensors.
  package static func isNeeded(for source: any TensorSource) -> Bool { source.tensors.contains { $0.widened != nil } }

  /// - Parameter other: which tensors are concerned: those that it has, too; nil for all.
  package init(_ source: any TensorSource, among other: (any TensorSource)? = nil) throws(StorageError) {
    self.source = source
    tensors = try source.tensors.map { info throws(StorageError) in
      switch other.map({ $0.tensor(named: info.name) != nil }) == false ? nil : info.widened {
      case .float8: try TensorInfo(name: info.name, dtype: .f64, shape: info.shape)
      case .complex: try TensorInfo(name: info.name, dtype: .f32, shape: Shape(info.shape.dimensions + [2]))
      case nil: info
      }
    }
  }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? {
    let original = source.tensor(named: info.name)!
    return original.dtype == info.dtype || original.widened == .complex ? original : nil
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let original = source.tensor(named: info.name)!
    guard unchanged(info) == nil, let format = original.dtype.conversionFormat else {
      return try source.read(original, into: destination)
    }
    try source.bytes(of: original).withBytes { _ = format.convert($0, to: .f64, into: destination) }
  }
}

extension WidenedSource {
  /// Floats that nothing here computes with.
  private static let unknown: Set<DType> = [.f4, .f6e2m3, .f6e3m2, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz]

  /// - Parameter purpose: what is not to be done with them: "merged".
  /// - Throws: `unsupportedFeature`, naming the tensor, for floats that nothing here computes with and that differ between two models.
  package static func refuseUnknown(
    _ source: any TensorSource, named name: String, against base: any TensorSource, purpose: String
  ) throws(StorageError) {
    for info in base.tensors where unknown.contains(info.dtype) {
      guard let own = source.tensor(named: info.name) else { continue }
      if own.matches(info) {
        let (ours, theirs) = (try base.bytes(of: info), try source.bytes(of: own))
        if ours.hasSameBytes(as: theirs) { continue }
      }
      throw StorageError(
        .unsupportedFeature, "is \(info.dtype.rawValue), which cannot be \(purpose), and differs from the base's",
        file: source.label, expert: name, tensor: info.name)
    }
  }
}

extension TensorInfo {
  enum Widening {
    case float8, complex
  }

  var widened: Widening? {
    switch dtype {
    case .f8e4m3, .f8e5m2: .float8
    case .c64: .complex
    default: nil
    }
  }
}
