import TMPackByteIO
import TMPackReading
import TMPackTensorKit

/// The largest difference of an element, over the largest element, of each tensor.
///
/// - Throws: `shapeMismatch` unless the tensors are of the same names, dtypes and shapes.
package func worstDifference(_ a: any TensorSource, _ b: any TensorSource) throws -> Double {
  let comparison = try Comparison(a, b)
  guard comparison.onlyLeft.isEmpty, comparison.onlyRight.isEmpty else {
    throw StorageError(.shapeMismatch, "\(a.label) and \(b.label) have other tensors")
  }
  return try comparison.tensors.map { tensor in
    guard let difference = tensor.difference else {
      throw StorageError(.shapeMismatch, "is of another shape", tensor: tensor.left.name)
    }
    if tensor.left.dtype.floatFormat == nil { return difference.isEqual ? 0 : .infinity }
    let rms = (difference.leftSquares / Double(max(1, difference.elementCount))).squareRoot()
    return difference.maximum == 0 ? 0 : difference.maximum / max(rms, 1e-3)
  }.max() ?? 0
}
