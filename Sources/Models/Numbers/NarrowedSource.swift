import TMPackByteIO
import TMPackTensorKit

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
