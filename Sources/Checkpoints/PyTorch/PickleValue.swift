import TMPackByteIO
import TMPackTensorKit

/// A value that a pickle makes. What has parts, or a name, is in the unpickler's list of objects, by number: so values
/// that contain each other, or themselves, cost neither recursion nor reference counts.
enum PickleValue: Sendable, Hashable {
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case object(Int)
}

/// What a pickle holds.
struct Pickle: Sendable {
  let root: PickleValue
  let objects: [PickleObject]
  /// What was set on dictionaries beside their members (`_metadata` of a `state_dict`), by their numbers.
  let attributes: [Int: PickleValue]
}

enum PickleObject: Sendable {
  case string(String)
  case bytes
  case global(PickleGlobal)
  /// A whole number beyond 64 bits.
  case long
  case tuple([PickleValue])
  case list(Growing<PickleValue>)
  case dictionary(Growing<PickleEntry>)
  case storage(TorchStorage)
  case tensor(TorchTensor)
  case unreadable(UnreadableTensor)
  /// What some class or function of Python would make; it is never asked.
  case opaque(OpaqueValue)
}

/// What a pickle says of an object whose class is unknown.
final class OpaqueValue: Sendable {
  /// Of its class, or of the function that makes it.
  let name: String
  /// Arguments, attributes and items.
  let parts: Growing<PickleValue>

  init(name: String, parts: [PickleValue]) {
    self.name = name
    self.parts = Growing(parts)
  }
}

/// An array that grows in place wherever it is referred to: in an enumeration's payload it would be copied at every
/// append, and a hostile pickle takes quadratic time.
///
/// Only the unpickler, on one thread, ever changes it.
final class Growing<Element: Sendable>: @unchecked Sendable {
  fileprivate(set) var values: [Element]

  init(_ values: [Element] = []) { self.values = values }

  func append(_ more: some Sequence<Element>) { values.append(contentsOf: more) }
}

struct PickleEntry: Sendable {
  let key: PickleValue
  let value: PickleValue
}

/// Memory that tensors are views of.
final class TorchStorage: Sendable {
  /// The name of its record in the file.
  let key: ExactString
  /// What its type is called in Python.
  let typeName: String
  /// Of its elements; nil for what no tensor here has. Bytes (`u8`) for an untyped one.
  let dtype: DType?
  /// Elements.
  let count: Int

  init(key: ExactString, typeName: String, dtype: DType?, count: Int) {
    self.key = key
    self.typeName = typeName
    self.dtype = dtype
    self.count = count
  }
}

/// A view of a storage.
final class TorchTensor: Sendable {
  let storage: TorchStorage
  /// nil for what no tensor here has.
  let dtype: DType?
  let typeName: String
  let shape: Shape
  let view: StridedView
  /// Whether the elements are not those of the storage: a lazy conjugate or negative, which PyTorch saves as a mere mark.
  let isUnresolved: Bool

  init(
    storage: TorchStorage, dtype: DType?, typeName: String, shape: Shape, view: StridedView, isUnresolved: Bool = false
  ) {
    self.storage = storage
    self.dtype = dtype
    self.typeName = typeName
    self.shape = shape
    self.view = view
    self.isUnresolved = isUnresolved
  }
}
