import TMPackFactors
import TMPackTensorKit

/// A `DecodedPart` as far as sums need it.
enum PreparedPart: Sendable {
  case factor(PreparedFactor)
  /// Adds nothing.
  case nothing
  /// An expert's own tensor.
  case bytes(TensorBytes)

  init(_ part: DecodedPart) {
    self =
      switch part {
      case .factor(let factor): .factor(PreparedFactor(factor))
      case .nothing: .nothing
      case .bytes(let bytes): .bytes(bytes)
      }
  }

  /// Memory that it takes.
  var byteCount: Int {
    switch self {
    case .factor(let factor): factor.byteCount
    case .nothing: 0
    case .bytes(let bytes): bytes.count
    }
  }
}
