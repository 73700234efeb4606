import TMPackByteIO

/// Values of a pickle as what they are expected to be; nil where they are not.
extension Pickle {
  func object(_ value: PickleValue?) -> PickleObject? {
    if case .object(let index)? = value { objects[index] } else { nil }
  }

  func string(_ value: PickleValue?) -> String? {
    if case .string(let text)? = object(value) { text } else { nil }
  }

  func integer(_ value: PickleValue?) -> Int? {
    if case .integer(let number)? = value { number } else { nil }
  }

  /// Of a list or a tuple.
  func elements(_ value: PickleValue?) -> [PickleValue]? {
    switch object(value) {
    case .tuple(let parts)?: parts
    case .list(let list)?: list.values
    default: nil
    }
  }

  func integers(_ value: PickleValue?) -> [Int]? {
    guard let elements = elements(value), elements.count <= Limits.dimensions else { return nil }
    let numbers = elements.compactMap { integer($0) }
    return numbers.count == elements.count ? numbers : nil
  }

  func members(_ value: PickleValue?) -> [PickleEntry]? {
    if case .dictionary(let members)? = object(value) { members.values } else { nil }
  }

  func tensor(_ value: PickleValue?) -> TorchTensor? {
    if case .tensor(let tensor)? = object(value) { tensor } else { nil }
  }

  /// The last member of that name, as in Python.
  func member(_ name: String, of value: PickleValue?) -> PickleValue? {
    members(value)?.last { string($0.key).map { $0.hasSameBytes(as: name) } ?? false }?.value
  }

  /// An object whose class has that last name.
  func opaque(_ value: PickleValue?, named name: String) -> OpaqueValue? {
    guard case .opaque(let object)? = object(value), object.name.split(separator: ".").last.map(String.init) == name
    else { return nil }
    return object
  }

  /// What an object was given for a field: of its attributes.
  func attribute(_ name: String, of object: OpaqueValue?) -> PickleValue? {
    for part in (object?.parts.values ?? []).reversed() {
      if let value = member(name, of: part) { return value }
    }
    return nil
  }
}
