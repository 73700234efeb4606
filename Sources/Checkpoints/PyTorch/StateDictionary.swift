import TMPackByteIO

/// The tensors of what `torch.save` was given, by name.
///
/// 1. Keys of nested dictionaries, and indexes of lists, are joined by dots.
/// 2. A dictionary that keeps the model beside the state of its training, under `state_dict`, `model_state_dict`,
///    `model` or `module`, stands for that member alone. One that has tensors of its own, such as a loss, does so if the
///    member's name has `state_dict` in it, or a member beside it is called as an optimizer is.
/// 3. Names stay as they are, `module.` of `DataParallel` included.
/// 4. An object of a class that is not known is left out, and the tensors that are in it alone.
///
/// All that is left out is said in `notes`.
struct StateDictionary {
  private(set) var tensors: [(name: String, tensor: TorchTensor)] = []
  private(set) var notes: [String] = []
  private(set) var metadata: StateMetadata?

  private let objects: [PickleObject]
  /// Values that are left out and may hold tensors, and where they were.
  private var leftBehind: [(path: String, object: Int)] = []
  private var steps = 0
  /// Numbers of the objects that are `tensors`.
  private var seen: Set<Int> = []
  private var tieCount = 0
  private var nameBytes = 0
  private var others = Names()
  /// What of a checkpoint beside its model is left out.
  private var leftOut = Names()

  fileprivate static let wrappers = ["state_dict", "model_state_dict", "model", "module"]
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
  ///   or in themselves; `unknownFormat` for a value that is no tensor; `unsupportedFeature` for a tensor that is more
  ///   than a view of a storage, or a model that is an object.
  init(_ pickle: Pickle) throws(StorageError) {
    objects = pickle.objects
    var root = pickle.root
    var path: [String] = []
    while path.count < Self.wrappers.count, let (wrapper, value) = try wrapped(root) {
      try reportSiblings(of: wrapper, in: root, path)
      path.append(wrapper)
      root = value
    }
    try start(root)
    metadata = StateMetadata(of: root, in: pickle)
    try ZeROCheckpoint.refuseParts(tensors, of: pickle)
    var names = Set<ExactString>(minimumCapacity: tensors.count)
    for (name, _) in tensors where !names.insert(ExactString(name)).inserted {
      throw StorageError(.malformed, "two tensors have this name", tensor: name)
    }
    if !path.isEmpty { notes.append("its tensors are those of \"\(path.joined(separator: "."))\"") }
    if leftOut.count > 0 { notes.append("\(counted(leftOut.count, "member")) beside them left out: \(leftOut.text)") }
    try reportHiddenTensors()
    if others.count > 0 { notes.append("\(counted(others.count, "value")) not a tensor left out: \(others.text)") }
    let prefix = "module."
    if !tensors.isEmpty, tensors.allSatisfy({ $0.name.hasPrefix(prefix) }) {
      notes.append("every name begins with \"\(prefix)\"; --rename '\(prefix)*=*' takes it away")
    }
  }

  /// Tensors of a pickle that were found elsewhere in it.
  init(_ tensors: [(name: String, tensor: TorchTensor)]) {
    objects = []
    self.tensors = tensors
  }

  private mutating func start(_ root: PickleValue) throws(StorageError) {
    guard case .object(let index) = root else { throw noTensors }
    switch objects[index] {
    case .tensor(let tensor):
      tensors.append((Self.namelessTensor, tensor))
      notes.append("its tensor has no name; it is called \(Self.namelessTensor)")
    case .dictionary, .list, .tuple: try visit(root, prefix: "", depth: 1)
    case .unreadable(let tensor): throw tensor.error
    case .opaque(let value): throw isObject(value.name)
    case .global(.opaque(let name)): throw isObject(name)
    case .global(.unreadableTensor(let tensor)): throw tensor.error
    default: throw noTensors
    }
  }

  private var noTensors: StorageError {
    StorageError(.unknownFormat, "holds a value of Python that is neither a tensor nor a dictionary of tensors")
  }

  private func isObject(_ name: String, _ place: String = "") -> StorageError {
    StorageError(
      .unsupportedFeature,
      "\(place)holds an object of the Python class \(name), not a state_dict; save its state_dict()")
  }

  // MARK: Rule 2

  private mutating func wrapped(_ value: PickleValue) throws(StorageError) -> (name: String, PickleValue)? {
    guard let members = dictionary(value) else { return nil }
    let hasTensors = members.contains { isTensor($0.value) }
    let names = members.compactMap { key($0.key) }
    for wrapper in Self.wrappers where !hasTensors || Self.isCheckpoint(wrapper, amongst: names) {
      for member in members where key(member.key).map({ $0.hasSameBytes(as: wrapper) }) ?? false {
        if dictionary(member.value) != nil, try holdsTensor(member.value, depth: 1) { return (wrapper, member.value) }
        // What else has tensors here is not the model.
        if case .object(let index) = member.value, case .opaque(let value) = objects[index] {
          var search = HiddenTensors(objects, except: [])
          if search.count(from: index) > 0 { throw isObject(value.name, "under \"\(wrapper)\" ") }
        }
      }
    }
    return nil
  }

  /// Whether a dictionary with members of those names is surely a checkpoint with the model in one of them, and not a model.
  fileprivate static func isCheckpoint(_ wrapper: String, amongst names: some Sequence<String>) -> Bool {
    wrapper.hasSuffix("state_dict") || names.contains { $0.hasPrefix("optim") }
  }

  private mutating func reportSiblings(
    of wrapper: String, in value: PickleValue, _ path: [String]
  ) throws(StorageError) {
    var siblings: [(name: String, tensors: Int)] = []
    var search = HiddenTensors(objects, except: [])
    for member in dictionary(value) ?? [] {
      let name = key(member.key) ?? "a key that is no name"
      guard !name.hasSameBytes(as: wrapper) else { continue }
      var count = 0
      if case .object(let index) = member.value { count = search.count(from: index) }
      siblings.append(((path + [name]).joined(separator: "."), count))
    }
    // Those with tensors are missed most.
    for (name, count) in siblings where count > 0 { leftOut.add("\(name) (\(counted(count, "tensor")))") }
    for (name, count) in siblings where count == 0 { leftOut.add(name) }
  }

  private mutating func holdsTensor(_ value: PickleValue, depth: Int) throws(StorageError) -> Bool {
    try step(depth)
    guard case .object(let index) = value else { return false }
    switch objects[index] {
    case .tensor, .unreadable: return true
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
      guard try holdsTensor(value, depth: depth) else {
        others.add(prefix)
        return leftBehind.append((prefix, index))
      }
      for (index, part) in (parts(objects[index]) ?? []).enumerated() {
        try visit(part, prefix: try join(prefix, String(index), depth), depth: depth + 1)
      }
    case .unreadable(let tensor): throw tensor.error.at(tensor: prefix)
    case .opaque(let value):
      others.add("\(prefix) (\(value.name))")
      leftBehind.append((prefix, index))
    case .string, .bytes, .long, .global, .storage: others.add(prefix)
    }
  }

  // MARK: Rule 4

  /// - Throws: `unsupportedFeature` where all tensors are in objects.
  private mutating func reportHiddenTensors() throws(StorageError) {
    var search = HiddenTensors(objects, except: seen)
    var names = Names()
    for (path, object) in leftBehind { search.visit(object, path) { names.add($0) } }
    guard names.count > 0 else { return }
    guard !tensors.isEmpty else {
      throw StorageError(
        .unsupportedFeature, "its tensors are inside of objects (\(others.text)); save a state_dict of them")
    }
    notes.append("\(counted(names.count, "tensor")) inside of objects, which are not made, left out: \(names.text)")
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

extension StateDictionary {
  /// Rule 2 for tensors of which only the paths are known.
  struct Wrapping {
    let notes: [String]
    private let path: [String]

    /// - Parameters:
    ///   - tensors: their paths.
    ///   - others: those of values that are no tensors.
    init(_ tensors: [[String]], others: [[String]]) {
      var path: [String] = []
      while path.count < StateDictionary.wrappers.count {
        let inside = tensors.filter { $0.starts(with: path) }
        let hasTensors = inside.contains { $0.count == path.count + 1 }
        let names = Set(
          (inside + others.filter { $0.starts(with: path) && $0.count > path.count }).map { $0[path.count] })
        guard
          let wrapper = StateDictionary.wrappers.first(where: { name in
            inside.contains { $0.count > path.count + 1 && $0[path.count] == name }
              && (!hasTensors || StateDictionary.isCheckpoint(name, amongst: names))
          })
        else { break }
        path.append(wrapper)
      }
      self.path = path
      guard !path.isEmpty else {
        notes = []
        return
      }
      var counts: [String: Int] = [:]
      var siblings: [String] = []
      for (paths, isTensor) in [(tensors, true), (others, false)] {
        for other in paths where !other.starts(with: path) {
          let common = zip(other, path).prefix { $0 == $1 }.count
          let name = other.prefix(common + 1).joined(separator: ".")
          if counts[name] == nil { siblings.append(name) }
          counts[name, default: 0] += isTensor ? 1 : 0
        }
      }
      var notes = ["its tensors are those of \"\(path.joined(separator: "."))\""]
      if !siblings.isEmpty {
        let named = siblings.map { counts[$0]! > 0 ? "\($0) (\(counted(counts[$0]!, "tensor")))" : $0 }
        notes.append("\(counted(siblings.count, "member")) beside them left out: \(WritableFormat.listed(named))")
      }
      self.notes = notes
    }

    func keeps(_ other: [String]) -> Bool { other.starts(with: path) }

    func name(_ other: [String]) -> String { other.dropFirst(path.count).joined(separator: ".") }
  }
}
