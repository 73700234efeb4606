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

  package init(_ source: any TensorSource) throws(StorageError) {
    self.source = source
    tensors = try source.tensors.map { info throws(StorageError) in
      switch info.widened {
      case .float8: try TensorInfo(name: info.name, dtype: .f64, shape: info.shape)
      case .complex: try TensorInfo(name: info.name, dtype: .f32, shape: Shape(info.shape.dimensions + [2]))
      case nil: info
      }
    }
  }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? {
    let original = source.tensor(named: info.name)!
    return original.widened == .float8 ? nil : original
  }

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let original = source.tensor(named: info.name)!
    guard case .float8 = original.widened, let format = original.dtype.conversionFormat else {
      return try source.read(original, into: destination)
    }
    try source.bytes(of: original).withBytes { _ = format.convert($0, to: .f64, into: destination) }
  }
}

/// A source whose tensors were widened, in the dtypes and shapes of the model that they were widened from.
package struct NarrowedSource: SourceView {
  package let tensors: [TensorInfo]
  package let source: any TensorSource
  private let keepsWide: Bool

  /// - Parameters:
  ///   - original: what was widened to the tensors of `source`.
  ///   - keepsWide: whether 8-bit floats stay F64, as another dtype is asked for in any case.
  package init(_ source: any TensorSource, as original: any TensorSource, keepsWide: Bool) {
    self.source = source
    self.keepsWide = keepsWide
    tensors = source.tensors.map { info in
      guard let narrow = original.tensor(named: info.name), let kind = narrow.widened else { return info }
      return kind == .float8 && keepsWide ? info : narrow
    }
  }

  package func unchanged(_ info: TensorInfo) -> TensorInfo? {
    let wide = source.tensor(named: info.name)!
    return info.dtype == wide.dtype || info.dtype.conversionFormat == nil ? wide : nil
  }

  /// - Throws: `nonFinite` for a number that is too large for the 8-bit float.
  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let wide = source.tensor(named: info.name)!
    guard info.dtype != wide.dtype, let format = info.dtype.conversionFormat else {
      return try source.read(wide, into: destination)
    }
    let count = try source.bytes(of: wide).withBytes { ConversionFormat.f64.convert($0, to: format, into: destination) }
    guard count == 0 else {
      throw StorageError(
        .nonFinite,
        "\(count) \(count == 1 ? "number is" : "numbers are") too large for \(info.dtype.rawValue)",
        file: label, tensor: info.name
      ).with(.takeDType("bf16"))
    }
  }
}

extension TensorInfo {
  fileprivate enum Widening {
    case float8, complex
  }

  fileprivate var widened: Widening? {
    switch dtype {
    case .f8e4m3, .f8e5m2: .float8
    case .c64: .complex
    default: nil
    }
  }
}

extension MergeSources {
  /// The same models with numbers that can be added up in every tensor that a merged model may need them of.
  ///
  /// - Throws: `unsupportedFeature` for a tensor of floats that nothing here computes with, and that is not the same in all
  ///   models.
  package func widened() throws(StorageError) -> MergeSources {
    try refuseOtherFloats()
    guard WidenedSource.isNeeded(for: base) else { return self }
    return MergeSources(
      base: try WidenedSource(base),
      experts: try experts.map { expert throws(StorageError) in
        Expert(name: expert.name, source: try WidenedSource(expert.source), statistics: expert.statistics)
      })
  }

  private func refuseOtherFloats() throws(StorageError) {
    let others: Set<DType> = [.f4, .f6e2m3, .f6e3m2, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz]
    for info in base.tensors where others.contains(info.dtype) {
      for expert in experts {
        guard let own = expert.source.tensor(named: info.name) else { continue }
        if own.matches(info) {
          let (ours, theirs) = (try base.bytes(of: info), try expert.source.bytes(of: own))
          if ours.hasSameBytes(as: theirs) { continue }
        }
        throw StorageError(
          .unsupportedFeature, "is \(info.dtype.rawValue), which cannot be merged, and differs from the base's",
          file: expert.source.label, expert: expert.name, tensor: info.name)
      }
    }
  }
}
