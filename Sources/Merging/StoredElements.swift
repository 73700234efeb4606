import TMPackByteIO
import TMPackTensorKit

/// The elements of one tensor of a source, or of one matrix of it, read some at a time where the source can, all at once where not.
package final class StoredElements {
  package let info: TensorInfo
  package let source: any TensorSource
  private let format: FloatFormat
  /// The tensor that these are one matrix of.
  private let origin: (tensor: StoredElements, part: MatrixPart)?
  /// All of it, for a source without `piece`.
  private var whole: TensorBytes?

  /// - Precondition: the tensor is of a float dtype.
  init(_ info: TensorInfo, of source: any TensorSource) {
    guard let format = info.dtype.floatFormat else { preconditionFailure("floats only") }
    self.info = info
    self.source = source
    self.format = format
    origin = nil
  }

  /// - Parameter info: of a tensor of the matrix's shape.
  private init(_ part: MatrixPart, of tensor: StoredElements, info: TensorInfo) {
    self.info = info
    source = tensor.source
    format = tensor.format
    origin = (tensor, part)
  }

  /// One matrix of the tensor, under its name.
  func matrix(_ part: MatrixPart) throws(StorageError) -> StoredElements {
    StoredElements(part, of: self, info: try info.ofMatrix(in: part.stack))
  }

  package func read(
    _ range: Range<Int>, into values: UnsafeMutableBufferPointer<Double>
  ) throws(StorageError) {
    if let origin { return try read(range, of: origin.part, of: origin.tensor, into: values) }
    let bytes = range.lowerBound * format.byteWidth..<range.upperBound * format.byteWidth
    if whole == nil, let piece = try source.piece(bytes, of: info) {
      return piece.withUnsafeBytes { format.widen($0, into: values) }
    }
    let all: TensorBytes
    if let whole { all = whole } else { all = try source.bytes(of: info) }
    whole = all
    try all.withBytes { format.widen(UnsafeRawBufferPointer(rebasing: $0[bytes]), into: values) }
  }

  private func read(
    _ range: Range<Int>, of part: MatrixPart, of tensor: StoredElements, into values: UnsafeMutableBufferPointer<Double>
  ) throws(StorageError) {
    let step = part.stack.inner
    try part.stack.forEachRun(of: range, in: part.number) { run, place throws(StorageError) in
      let own = run.lowerBound - range.lowerBound..<run.upperBound - range.lowerBound
      if step == 1 {
        return try tensor.read(place..<place + run.count, into: UnsafeMutableBufferPointer(rebasing: values[own]))
      }
      let spread = try tensor.elements(place..<place + (run.count - 1) * step + 1)
      for (index, target) in own.enumerated() { values[target] = spread[index * step] }
    }
  }

  package func elements(_ range: Range<Int>) throws(StorageError) -> [Double] {
    var values = [Double](repeating: 0, count: range.count)
    guard !range.isEmpty else { return values }
    try values.withUnsafeMutableBufferPointer { buffer throws(StorageError) in try read(range, into: buffer) }
    return values
  }
}

extension TensorInfo {
  /// A tensor of the same name and dtype that is one matrix of a stack.
  func ofMatrix(in stack: MatrixStack) throws(StorageError) -> TensorInfo {
    try TensorInfo(name: name, dtype: dtype, shape: Shape([stack.rows, stack.columns]))
  }
}
