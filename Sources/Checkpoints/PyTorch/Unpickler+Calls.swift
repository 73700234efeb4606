import ByteIO
import TensorKit

/// What the allowed names stand for: functions that make tensors, and persistent ids, which are storages.
extension Unpickler {
  mutating func call(
    _ function: PickleValue, _ arguments: [PickleValue]
  ) throws(StorageError) -> PickleValue {
    guard let global = self.global(function) else {
      throw StorageError(.malformed, "the pickle calls what is no function")
    }
    switch global {
    case .orderedDictionary:
      let pairs = try arguments.first.map { value throws(StorageError) in try sequence(value, "the items") } ?? []
      var parts: [PickleValue] = []
      for pair in pairs {
        let items = try sequence(pair, "an item")
        guard items.count == 2 else { throw StorageError(.malformed, "an item is no pair") }
        parts += items
      }
      try make(.dictionary(Growing()))
      let dictionary = try pop()
      try insert(parts, into: dictionary)
      return dictionary
    case .rebuildTensor(let version): return try tensor(arguments, version)
    case .rebuildParameter:
      guard case .object(let index)? = arguments.first, case .tensor = objects[index] else {
        throw StorageError(.malformed, "a parameter is made of what is no tensor")
      }
      return .object(index)
    case .rebuildFromType:
      guard arguments.count == 4, self.global(arguments[1]) == .tensorType else {
        throw StorageError(.unsupportedFeature, "a tensor is of a type of its own")
      }
      // Itself with other arguments would be a recursion.
      guard case .rebuildTensor(let version)? = self.global(arguments[0]) else {
        throw StorageError(.unsupportedFeature, "a tensor is made by other means than from a storage")
      }
      return try tensor(tuple(arguments[2], "the arguments of a tensor"), version)
    case .size:
      guard let first = arguments.first else { throw StorageError(.malformed, "a size has no argument") }
      try make(.tuple(sequence(first, "a size")))
      return try pop()
    case .inert(let name):
      try make(.inert(name))
      return try pop()
    case .storage, .untypedStorage, .elementType, .tensorType:
      throw StorageError(.malformed, "the pickle calls what files of tensors only mention")
    }
  }

  /// `(storage, offset, size, strides, requires_grad, backward_hooks[, dtype][, metadata])`
  private mutating func tensor(_ arguments: [PickleValue], _ version: Int) throws(StorageError) -> PickleValue {
    guard arguments.count >= (version == 3 ? 7 : 4) else {
      throw StorageError(.malformed, "a tensor has too few arguments")
    }
    guard case .object(let index) = arguments[0], case .storage(let storage) = objects[index] else {
      throw StorageError(.malformed, "a tensor is made of what is no storage")
    }
    let shape = try Shape(integers(arguments[2], "the size of a tensor"))
    let strides = try integers(arguments[3], "the strides of a tensor")
    guard case .integer(let offset) = arguments[1] else {
      throw StorageError(.malformed, "the offset of a tensor is no number")
    }
    var dtype = storage.dtype
    var typeName = storage.typeName
    if version == 3 {
      guard case .elementType(let name, let given)? = global(arguments[6]) else {
        throw StorageError(.malformed, "a tensor has no dtype")
      }
      (typeName, dtype) = (name, given)
    }
    // What cannot be read is refused by name later; where its elements are does not matter then.
    var capacity = Int.max - Limits.expandedElements
    if let dtype, let unit = storage.dtype { capacity = storage.count * (unit.bitWidth / 8) / (dtype.bitWidth / 8) }
    let view = try StridedView(offset: offset, shape: shape, strides: strides, capacity: capacity)
    let isUnresolved = try hasMarks(arguments.dropFirst(version == 3 ? 7 : 6).first ?? .none)
    try make(
      TorchTensor(
        storage: storage, dtype: dtype, typeName: typeName, shape: shape, view: view, isUnresolved: isUnresolved))
    return try pop()
  }

  /// Whether a tensor's metadata, a dictionary or none, has any mark that is set: `conj` or `neg`.
  private func hasMarks(_ metadata: PickleValue) throws(StorageError) -> Bool {
    switch metadata {
    case .none: return false
    case .object(let index):
      guard case .dictionary(let marks) = objects[index] else { break }
      return marks.values.contains { $0.value != .bool(false) }
    default: break
    }
    throw StorageError(.malformed, "the metadata of a tensor are no dictionary")
  }

  /// `("storage", type, key, location, count)`, in the old format with a sixth: a part of another storage.
  mutating func pushStorage(_ value: PickleValue) throws(StorageError) {
    let parts = try tuple(value, "a persistent id")
    guard parts.count == 5 || parts.count == 6, try string(parts[0], "the kind of a persistent id") == "storage" else {
      throw StorageError(.unsupportedFeature, "a persistent id is no storage")
    }
    guard parts.count == 5 || parts[5] == .none else {
      throw StorageError(.unsupportedFeature, "a storage is a part of another, as before PyTorch 0.4")
    }
    let (name, dtype): (String, DType?)
    switch global(parts[1]) {
    case .storage(let typeName, let elements)?: (name, dtype) = (typeName, elements)
    case .untypedStorage?: (name, dtype) = ("UntypedStorage", .u8)
    default: throw StorageError(.malformed, "a storage has no type")
    }
    guard case .integer(let count) = parts[4], count >= 0, count <= Limits.tensorBytes else {
      throw StorageError(.malformed, "a storage has no size")
    }
    let key = ExactString(try string(parts[2], "the key of a storage"))
    try make(.storage(TorchStorage(key: key, typeName: name, dtype: dtype, count: count)))
  }

  // MARK: Parts of values

  private func global(_ value: PickleValue) -> PickleGlobal? {
    guard case .object(let index) = value, case .global(let global) = objects[index] else { return nil }
    return global
  }

  func string(_ value: PickleValue, _ what: String) throws(StorageError) -> String {
    guard case .object(let index) = value, case .string(let text) = objects[index] else {
      throw StorageError(.malformed, "\(what) is no string")
    }
    return text
  }

  func tuple(_ value: PickleValue, _ what: String) throws(StorageError) -> [PickleValue] {
    guard case .object(let index) = value, case .tuple(let parts) = objects[index] else {
      throw StorageError(.malformed, "\(what) are no tuple")
    }
    return parts
  }

  private func sequence(_ value: PickleValue, _ what: String) throws(StorageError) -> [PickleValue] {
    if case .object(let index) = value {
      switch objects[index] {
      case .tuple(let parts): return parts
      case .list(let list): return list.values
      default: break
      }
    }
    throw StorageError(.malformed, "\(what) is no sequence")
  }

  private func integers(_ value: PickleValue, _ what: String) throws(StorageError) -> [Int] {
    let parts = try sequence(value, what)
    try Limits.check(parts.count, atMost: Limits.dimensions, "the number of dimensions")
    return try parts.map { part throws(StorageError) in
      guard case .integer(let number) = part else { throw StorageError(.malformed, "\(what) has what is no number") }
      return number
    }
  }
}
