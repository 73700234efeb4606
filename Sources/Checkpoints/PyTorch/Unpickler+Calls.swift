import TMPackByteIO
import TMPackTensorKit

/// What the allowed names stand for: functions that make tensors, and persistent ids, which are storages.
extension Unpickler {
  mutating func call(
    _ function: PickleValue, _ arguments: [PickleValue]
  ) throws(StorageError) -> PickleValue {
    guard let global = self.global(function) else {
      // What an opaque value makes is as opaque as it.
      guard case .object(let index) = function, case .opaque(let maker) = objects[index] else {
        throw StorageError(.malformed, "the pickle calls what is no function")
      }
      return try opaque(maker.name, [function] + arguments)
    }
    switch global {
    case .dictionary(let otherArguments): return try dictionary(arguments.dropFirst(otherArguments))
    case .rebuildTensor(let version): return try tensor(arguments, version)
    case .rebuildParameter, .rebuildFromTensor:
      guard let value = arguments.first, isTensor(value) else {
        throw StorageError(.malformed, "a parameter is made of what is no tensor")
      }
      return value
    case .rebuildFromType: return try tensorOfType(arguments)
    case .rebuildWrapper:
      throw StorageError(.malformed, "a tensor that is made of others has no attributes")
    case .unreadableTensor(let tensor): return try made(.unreadable(tensor))
    case .size:
      guard let first = arguments.first else { throw StorageError(.malformed, "a size has no argument") }
      return try made(.tuple(sequence(first, "a size")))
    case .opaque(let name):
      if name.hasSuffix(".ShardedTensor") { return try made(.unreadable(.sharded)) }
      return try opaque(Self.makersOfAny.contains(name) ? self.name(of: arguments.first) ?? name : name, arguments)
    case .storage, .untypedStorage, .elementType, .tensorType:
      throw StorageError(.malformed, "the pickle calls what files of tensors only mention")
    }
  }

  /// Functions that make an object of the class that is their first argument.
  private static let makersOfAny: Set<String> = [
    "copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__",
  ]

  private func name(of type: PickleValue?) -> String? {
    if let type, case .opaque(let name)? = global(type) { name } else { nil }
  }

  private mutating func made(_ object: PickleObject) throws(StorageError) -> PickleValue {
    try make(object)
    return try pop()
  }

  private mutating func opaque(_ name: String, _ parts: [PickleValue]) throws(StorageError) -> PickleValue {
    try make(.opaque(OpaqueValue(name: name, parts: parts)), holding: parts.count)
    return try pop()
  }

  /// Of pairs, or of another dictionary.
  private mutating func dictionary(_ arguments: ArraySlice<PickleValue>) throws(StorageError) -> PickleValue {
    var parts: [PickleValue] = []
    if case .object(let index)? = arguments.first, case .dictionary(let members) = objects[index] {
      for member in members.values { parts += [member.key, member.value] }
    } else if let value = arguments.first {
      for pair in try sequence(value, "the items") {
        let items = try sequence(pair, "an item")
        guard items.count == 2 else { throw StorageError(.malformed, "an item is no pair") }
        parts += items
      }
    }
    let dictionary = try made(.dictionary(Growing()))
    try insert(parts, into: dictionary)
    return dictionary
  }

  private func isTensor(_ value: PickleValue) -> Bool {
    guard case .object(let index) = value else { return false }
    switch objects[index] {
    case .tensor, .unreadable: return true
    default: return false
    }
  }

  // MARK: Tensors

  /// `(function, type, arguments, state)`: a tensor of some class of Python.
  private mutating func tensorOfType(_ arguments: [PickleValue]) throws(StorageError) -> PickleValue {
    guard arguments.count == 4 else { throw StorageError(.malformed, "a tensor of a type has too few arguments") }
    // Itself with other arguments would be a recursion.
    switch self.global(arguments[0]) {
    case .rebuildTensor(let version):
      // A class of its own adds behaviour, not elements.
      return try tensor(tuple(arguments[2], "the arguments of a tensor"), version)
    case .rebuildWrapper:
      guard case .opaque(let type)? = self.global(arguments[1]) else {
        throw StorageError(.malformed, "a tensor that is made of others has no class")
      }
      return try wrapper(type, tuple(arguments[2], "the arguments of a tensor"), state: arguments[3])
    case .unreadableTensor(let tensor): return try made(.unreadable(tensor))
    case .rebuildFromTensor, .rebuildParameter:
      return try call(arguments[0], tuple(arguments[2], "the arguments of a tensor"))
    default: throw StorageError(.unsupportedFeature, "a tensor is made by other means than from a storage")
    }
  }

  /// A tensor that is made of the tensors in its attributes.
  ///
  /// - Parameter arguments: `(class, dtype, size, strides, …)`.
  private mutating func wrapper(
    _ type: String, _ arguments: [PickleValue], state: PickleValue
  ) throws(StorageError) -> PickleValue {
    guard arguments.count >= 3, let attributes = attributes(state) else {
      throw StorageError(.malformed, "a tensor that is made of others has no attributes")
    }
    let whole = try Shape(integers(arguments[2], "the size of a tensor"))
    func attribute(_ name: String) -> PickleValue? {
      attributes.last { (try? string($0.key, "")).map { $0.hasSameBytes(as: name) } ?? false }?.value
    }
    func plain(_ value: PickleValue?) -> TorchTensor? {
      guard case .object(let index)? = value, case .tensor(let tensor) = objects[index] else { return nil }
      return tensor
    }
    if type.hasPrefix("torch.distributed."), type.hasSuffix(".DTensor"), let local = plain(attribute("_local_tensor")) {
      guard arePlacesOnly(attribute("_spec")) else { return try made(.unreadable(.partialSums)) }
      guard local.shape == whole else {
        return try made(.unreadable(.piece("\(local.shape)", of: "\(whole)")))
      }
      return attribute("_local_tensor")!
    }
    // One that only holds another, of the same elements, is that one.
    if attributes.count == 1, let inner = plain(attributes[0].value), inner.shape == whole,
      case .elementType(_, let dtype)? = global(arguments[1]), dtype == inner.dtype
    {
      return attributes[0].value
    }
    return try made(.unreadable(UnreadableTensor(ofType: type)))
  }

  /// A dictionary, or a pair of two, as Python pickles what has slots.
  private func attributes(_ state: PickleValue) -> [PickleEntry]? {
    guard case .object(let index) = state else { return nil }
    switch objects[index] {
    case .dictionary(let members): return members.values
    case .tuple(let pair) where pair.count == 2:
      return pair.reduce(into: []) { all, part in
        if case .object(let index) = part, case .dictionary(let members) = objects[index] { all += members.values }
      }
    default: return nil
    }
  }

  /// Whether the placements of a DTensor say nothing but where its parts are.
  private func arePlacesOnly(_ spec: PickleValue?) -> Bool {
    guard case .object(let index)? = spec, case .opaque(let value) = objects[index] else { return false }
    for case .object(let part) in value.parts.values {
      guard case .dictionary(let members) = objects[part] else { continue }
      for member in members.values where (try? string(member.key, "")) == "placements" {
        guard let placements = try? sequence(member.value, "") else { return false }
        return placements.allSatisfy { placement in
          guard case .object(let index) = placement, case .opaque(let value) = objects[index] else { return false }
          return ["Shard", "_StridedShard", "Replicate"].contains { value.name.hasSuffix(".\($0)") }
        }
      }
    }
    return false
  }

  /// `(storage, offset, size, strides, requires_grad, backward_hooks[, dtype][, metadata])`
  private mutating func tensor(_ arguments: [PickleValue], _ version: Int) throws(StorageError) -> PickleValue {
    guard arguments.count >= (version == 3 ? 7 : 4) else {
      throw StorageError(.malformed, "a tensor has too few arguments")
    }
    guard case .object(let index) = arguments[0], case .storage(let storage) = objects[index] else {
      throw StorageError(.malformed, "a tensor is made of what is no storage")
    }
    let torchShape = try Shape(integers(arguments[2], "the size of a tensor"))
    let strides = try integers(arguments[3], "the strides of a tensor")
    guard case .integer(let offset) = arguments[1] else {
      throw StorageError(.malformed, "the offset of a tensor is no number")
    }
    var dtype = storage.dtype
    var typeName = storage.typeName
    if version == 3 {
      switch global(arguments[6]) {
      case .elementType(let name, let given)?: (typeName, dtype) = (name, given)
      case .opaque(let name)?: (typeName, dtype) = (name, nil)
      default: throw StorageError(.malformed, "a tensor has no dtype")
      }
    }
    // What cannot be read is refused by name later; where its elements are does not matter then.
    var capacity = Int.max - Limits.expandedElements
    if let dtype, let unit = storage.dtype { capacity = storage.count * unit.torchWidth / dtype.torchWidth }
    let view = try StridedView(offset: offset, shape: torchShape, strides: strides, capacity: capacity)
    let shape = try dtype == .f4 ? torchShape.unpackedInPairs() : torchShape
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

  /// `("storage", type, key, location, count)`, in the old format with a sixth: a part of another storage. There,
  /// `("module", class, file, source)` is the class of a network.
  mutating func pushPersistent(_ value: PickleValue) throws(StorageError) {
    let parts = try tuple(value, "a persistent id")
    if parts.count >= 2, try string(parts[0], "the kind of a persistent id") == "module" { return try push(parts[1]) }
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
    case .opaque(let typeName)? where typeName.hasPrefix("torch."): (name, dtype) = (typeName, nil)
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

extension DType {
  /// Bytes of an element as PyTorch counts them: two floats of four bits are one there.
  var torchWidth: Int { max(1, bitWidth / 8) }
}

extension Shape {
  /// The shape of the single numbers where PyTorch has pairs, along the last dimension.
  ///
  /// - Throws: `unsupportedFeature` for a scalar.
  func unpackedInPairs() throws(StorageError) -> Shape {
    guard let last = dimensions.last else {
      throw StorageError(.unsupportedFeature, "is a single pair of floats of four bits")
    }
    return try Shape(dimensions.dropLast() + [last.multiplied(by: 2, "the last dimension")])
  }

  /// The reverse; nil where the last dimension is odd, or missing.
  var packedInPairs: Shape? {
    guard let last = dimensions.last, last.isMultiple(of: 2) else { return nil }
    return try? Shape(dimensions.dropLast() + [last / 2])
  }
}
