/// Looks for tensors in values that are left out. Objects may be nested to any depth, and in themselves: each is looked
/// at once.
struct HiddenTensors {
  private let objects: [PickleObject]
  private var seen: Set<Int>

  /// - Parameter known: numbers of objects that are not of interest.
  init(_ objects: [PickleObject], except known: Set<Int>) {
    self.objects = objects
    seen = known
  }

  mutating func count(from root: Int) -> Int {
    var count = 0
    visit(root, "") { _ in count += 1 }
    return count
  }

  /// Calls `found` with the path of every tensor that `root` leads to and that was not found before.
  ///
  /// - Parameter path: of `root`. Paths are for people, and only as long as these can read.
  mutating func visit(_ root: Int, _ path: String, _ found: (String) -> Void) {
    var pending = [(root, path)]
    while let (index, path) = pending.popLast() {
      guard seen.insert(index).inserted else { continue }
      func add(_ value: PickleValue, _ name: String?) {
        guard case .object(let part) = value, !seen.contains(part) else { return }
        pending.append((part, name.map { path.utf8.count < 200 ? "\(path).\($0)" : path } ?? path))
      }
      switch objects[index] {
      case .tensor, .unreadable: found(path)
      // The first shall come first.
      case .dictionary(let members):
        for member in members.values.reversed() { add(member.value, key(member.key)) }
      case .list(let list): for (number, part) in list.values.enumerated().reversed() { add(part, String(number)) }
      case .tuple(let parts): for (number, part) in parts.enumerated().reversed() { add(part, String(number)) }
      case .opaque(let value): for part in value.parts.values.reversed() { add(part, nil) }
      case .string, .bytes, .global, .long, .storage: break
      }
    }
  }

  private func key(_ value: PickleValue) -> String? {
    switch value {
    case .integer(let number): return String(number)
    case .object(let index):
      if case .string(let text) = objects[index] { return String(text.prefix(100)) }
      return nil
    default: return nil
    }
  }
}
