import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

/// A tensor as llama.cpp has it, and what it is made of.
struct RuntimeTensor: Sendable {
  enum Content: Sendable {
    /// One tensor, or a stack of them.
    case tensors([TensorInfo], TensorChange)
    case values([Float])
  }

  let info: TensorInfo
  let content: Content

  /// Numbers as a vector.
  init(_ name: String, values: [Float]) throws(StorageError) {
    info = try TensorInfo(name: name, dtype: .f32, shape: Shape([values.count]))
    content = .values(values)
  }

  /// - Parameters:
  ///   - isStack: whether the tensors are the experts of a stack.
  ///   - heads: of the rows, where the change is about heads.
  /// - Throws: `shapeMismatch` for tensors that do not fit each other or the change.
  init(
    _ name: String, of tensors: [TensorInfo], _ change: TensorChange, isStack: Bool, heads: Int
  ) throws(StorageError) {
    let first = tensors[0]
    for info in tensors where info.shape != first.shape || info.dtype != first.dtype {
      throw StorageError(.shapeMismatch, "is not as \(first.name) is, in one stack with it", tensor: info.name)
    }
    var dimensions = first.shape.dimensions
    switch change {
    case .transposed:
      guard dimensions.count == 2 else { throw Self.unfit(first, "a matrix") }
      dimensions.reverse()
    case .interleavedQueries, .interleavedKeys:
      guard let rows = dimensions.first, rows.isMultiple(of: 2 * heads) else {
        throw Self.unfit(first, "\(heads) heads of an even length")
      }
    case .firstHalf, .secondHalf:
      guard dimensions.count == 3, dimensions[1].isMultiple(of: 2) else {
        throw Self.unfit(first, "a stack of matrices with an even number of rows")
      }
      dimensions[1] /= 2
    case .none, .plusOne, .plusOneScaled: break
    }
    if isStack { dimensions.insert(tensors.count, at: 0) }
    let shape = try Shape(dimensions)
    let changesNumbers = change == .plusOne || change == .plusOneScaled
    let isFull = dimensions.count < 2 || GGUFTensorName.isKeptInFull(name)
    guard first.dtype.conversionFormat != nil || !(changesNumbers || isFull) else {
      throw StorageError(
        .unsupportedFeature, "has elements of \(first.dtype.rawValue), which are no numbers to llama.cpp",
        tensor: first.name)
    }
    let dtype: DType = isFull ? .f32 : first.dtype == .f64 ? .f32 : first.dtype
    info = try TensorInfo(name: name, dtype: dtype, shape: shape)
    content = .tensors(tensors, change)
  }

  private static func unfit(_ info: TensorInfo, _ expected: String) -> StorageError {
    StorageError(.shapeMismatch, "has shape \(info.shape), not that of \(expected)", tensor: info.name)
  }

  /// The tensor that this one is, unchanged but for its name.
  var original: TensorInfo? {
    guard case .tensors(let tensors, .none) = content, tensors.count == 1, tensors[0].shape == info.shape,
      tensors[0].dtype == info.dtype
    else { return nil }
    return tensors[0]
  }
}
