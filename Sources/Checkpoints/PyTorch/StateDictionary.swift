import ByteIO
import TensorKit

/// The tensors of what `torch.save` was given, by name.
///
/// 1. Keys of nested dictionaries, and indexes of lists, are joined by dots.
/// 2. A dictionary without tensors of its own that keeps the model beside the state of its training, under
///    `state_dict`, `model_state_dict`, `model` or `module`, stands for that member alone.
/// 3. Names stay as they are, `module.` of `DataParallel` included.
///
/// All that is left out is said in `notes`.
struct StateDictionary {
  private(set) var tensors: [(name: String, tensor: TorchTensor)] = []
  private(set) var notes: [String] = []

  private let objects: [PickleObject]
  private var steps = 0
  /// Numbers of the objects that are `tensors`.
  private var seen: Set<Int> = []
  private var tieCount = 0
  private var nameBytes = 0
  private var others = Names()
  /// What of a checkpoint beside its model is left out.
  private var leftOut = Names()

  private static let wrappers = ["state_dict", "model_state_dict", "model", "module"]
  /// What a tensor that was saved by itself is called.
  private static let namelessTensor = "tensor"

  /// How many there are, and the first few.
  private struct Names {
    var count = 0
    var first: [String] = []

    mutating func add(_ name: String) {
      count += 1
      if first.count < 4 { first.append(name) }
    }

    var text: String { first.joined(separator: ", ") + (count > first.count ? ", …" : "") }
  }

  /// - Throws: `malformed` for two tensors of one name; `limitExceeded` for containers that are nested too deeply,
  ///   or in themselves; `unknownFormat` for a value that is no tensor.
  init(_ root: PickleValue, _ objects: [PickleObject]) throws(StorageError) {
    self.objects = objects
    var root = root
    var path: [String] = []
    while path.count < Self.wrappers.count, let (wrapper, value) = try wrapped(root) {
      try reportSiblings(of: wrapper, in: root, path)
      path.append(wrapper)
      root = value
    }
    try start(root)
    var names = Set<ExactString>(minimumCapacity: tensors.count)
    for (name, _) in tensors where !names.insert(ExactString(name)).inserted {
      throw StorageError(.malformed, "two tensors have this name", tensor: name)
    }
    if !path.isEmpty { notes.append("its tensors are those of \"\(path.joined(separator: "."))\"") }
    if leftOut.count > 0 { notes.append("\(leftOut.count) members beside them are left out: \(leftOut.text)") }
    if others.count > 0 { notes.append("\(others.count) values that are no tensors are left out: \(others.text)") }
    let prefix = "module."
    if !tensors.isEmpty, tensors.allSatisfy({ $0.name.hasPrefix(prefix) }) {
      notes.append("every name begins with \"\(prefix)\"; --rename '\(prefix)*=*' takes it away")
    }
  }

  private mutating func start(_ root: PickleValue) throws(StorageError) {
    guard case .object(let index) = root else { throw noTensors }
    switch objects[index] {
    case .tensor(let tensor):
      tensors.append((Self.namelessTensor, tensor))
      notes.append("its tensor has no name; it is called \(Self.namelessTensor)")
    case .dictionary, .list, .tuple: try visit(root, prefix: "", depth: 1)
    default: throw noTensors
    }
  }

  private var noTensors: StorageError {
    StorageError(.unknownFormat, "holds a value of Python that is neither a tensor nor a dictionary of tensors")
  }

  // MARK: Rule 2

  private mutating func wrapped(_ value: PickleValue) throws(StorageError) -> (name: String, PickleValue)? {
    guard let members = dictionary(value) else { return nil }
    guard !members.contains(where: { isTensor($0.value) }) else { return nil }
    for wrapper in Self.wrappers {
      for member in members where key(member.key).map({ $0.hasSameBytes(as: wrapper) }) ?? false {
        if dictionary(member.value) != nil, try holdsTensor(member.value, depth: 1) { return (wrapper, member.value) }
      }
    }
    return nil
  }

  private mutating func reportSiblings(
    of wrapper: String, in value: PickleValue, _ path: [String]
  ) throws(StorageError) {
    for member in dictionary(value) ?? [] {
      let name = key(member.key) ?? "a key that is no name"
      if !name.hasSameBytes(as: wrapper) { leftOut.add((path + [name]).joined(separator: ".")) }
    }
  }

  private mutating func holdsTensor(_ value: PickleValue, depth: Int) throws(StorageError) -> Bool {
    try step(depth)
    guard case .object(let index) = value else { return false }
    switch objects[index] {
    case .tensor: return true
    case .dictionary(let members):
      for member in members.values where try holdsTensor(member.value, depth: depth + 1) { return true }
    default:
      for part in parts(objects[index]) ?? [] where try holdsTensor(part, depth: depth + 1) { return true }
    }
    return false
  }

  // MARK: Rule 1

  private mutating func visit(_ value: PickleValue, prefix: String, depth: Int) throws(StorageError) {
    try step(depth)
    guard case .object(let index) = value else { return others.add(prefix) }
    switch objects[index] {
    case .tensor(let tensor):
      if !seen.insert(index).inserted { tieCount += 1 }
      try Limits.check(tieCount, atMost: Limits.ties, "the number of tied tensors")
      nameBytes += prefix.utf8.count
      try Limits.check(nameBytes, atMost: Limits.pickleNameBytes, "the size of the tensors' names")
      tensors.append((prefix, tensor))
      try Limits.check(tensors.count, atMost: Limits.tensors, "the number of tensors")
    case .dictionary(let members):
      for member in members.values {
        guard let key = key(member.key) else {
          if try holdsTensor(member.value, depth: depth + 1) {
            throw StorageError(
              .unsupportedFeature, "a tensor of \"\(prefix)\" has a key that is neither text nor a number")
          }
          others.add(prefix)
          continue
        }
        try visit(member.value, prefix: try join(prefix, key, depth), depth: depth + 1)
      }
    case .list, .tuple:
      // A list of numbers is one value; a list with a tensor in it is a dictionary by indexes.
      guard try holdsTensor(value, depth: depth) else { return others.add(prefix) }
      for (index, part) in (parts(objects[index]) ?? []).enumerated() {
        try visit(part, prefix: try join(prefix, String(index), depth), depth: depth + 1)
      }
    case .string, .bytes, .long, .global, .storage, .inert: others.add(prefix)
    }
  }

  private func join(_ prefix: String, _ key: String, _ depth: Int) throws(StorageError) -> String {
    let name = depth == 1 ? key : "\(prefix).\(key)"
    try Limits.check(name.utf8.count, atMost: Limits.nameBytes, "the length of a tensor's name in bytes")
    return name
  }

  private mutating func step(_ depth: Int) throws(StorageError) {
    steps += 1
    try Limits.check(steps, atMost: Limits.pickleValues, "the number of values in the pickle")
    try Limits.check(depth, atMost: Limits.pickleDepth, "the depth of the containers in the pickle")
  }

  // MARK: Values

  private func dictionary(_ value: PickleValue) -> [PickleEntry]? {
    guard case .object(let index) = value, case .dictionary(let members) = objects[index] else { return nil }
    return members.values
  }

  private func parts(_ object: PickleObject) -> [PickleValue]? {
    switch object {
    case .tuple(let parts): parts
    case .list(let list): list.values
    default: nil
    }
  }

  private func isTensor(_ value: PickleValue) -> Bool {
    guard case .object(let index) = value, case .tensor = objects[index] else { return false }
    return true
  }

  private func key(_ value: PickleValue) -> String? {
    switch value {
    case .integer(let number): return String(number)
    case .object(let index):
      if case .string(let text) = objects[index] { return text }
      return nil
    default: return nil
    }
  }
}
