import TMPackByteIO
import TMPackTensorKit

extension TensorSource {
  /// How much of two tensors is compared before all of it is.
  private var glanceBytes: Int { 4096 }

  /// Whether two tensors of this source are the same, dtype, shape and bytes. Memory: both, where their beginnings agree.
  package func areEqual(_ first: TensorInfo, _ second: TensorInfo) throws(StorageError) -> Bool {
    guard first.matches(second) else { return false }
    let beginning = 0..<min(glanceBytes, first.byteCount)
    if let one = try piece(beginning, of: first), let other = try piece(beginning, of: second), one != other {
      return false
    }
    return try bytes(of: first).hasSameBytes(as: try bytes(of: second))
  }

  /// The first other tensor that is the same as one of this source, among those that `predicate` admits.
  package func twin(
    of info: TensorInfo, where predicate: (TensorInfo) -> Bool
  ) throws(StorageError) -> TensorInfo? {
    for other in tensors
    where other.matches(info) && !other.name.hasSameBytes(as: info.name) && predicate(other) {
      if try areEqual(info, other) { return other }
    }
    return nil
  }
}
