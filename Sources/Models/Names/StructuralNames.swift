import TMPackByteIO
import TMPackTensorKit

/// Which tensors of two models are the same, by how their names end and by their shapes, where no table says so.
///
/// Names that differ in numbers only are one kind. A kind of the one model is a kind of the other where both have the same numbers, tensors of
/// the same shapes, and names that end alike: in the module's own name at least. It must be the longest such ending of either, and the only
/// one; kinds of which that is not so keep their names.
struct StructuralNames {
  /// The target's names, by the source's.
  private(set) var names: [ExactString: String] = [:]

  private struct Kind {
    /// Components of the name, `#` for numbers.
    let components: [String]
    /// By the numbers, as text.
    var shapes: [String: (name: String, shape: Shape)] = [:]
  }

  /// More are no model's.
  private static let mostKinds = 4096
  /// The module's name, and the parameter's.
  private static let fewestComponents = 2

  /// nil where there is nothing that pairs.
  ///
  /// - Parameters:
  ///   - source: names and tensors, without those that both models have.
  init?(_ source: [(name: String, info: TensorInfo)], _ target: [(name: String, info: TensorInfo)]) {
    let (own, others) = (Self.kinds(source), Self.kinds(target))
    guard own.count <= Self.mostKinds, others.count <= Self.mostKinds else { return nil }
    var endings: [(own: Int, other: Int, length: Int)] = []
    for (index, kind) in own.enumerated() {
      for (place, other) in others.enumerated() {
        let length = Self.commonEnding(kind.components, other.components)
        guard length >= Self.fewestComponents, Self.areAlike(kind, other) else { continue }
        endings.append((index, place, length))
      }
    }
    func longest(_ of: KeyPath<(own: Int, other: Int, length: Int), Int>) -> [Int: Int] {
      endings.reduce(into: [:]) { $0[$1[keyPath: of]] = max($0[$1[keyPath: of]] ?? 0, $1.length) }
    }
    let (ofOwn, ofOthers) = (longest(\.own), longest(\.other))
    let best = endings.filter { ofOwn[$0.own] == $0.length && ofOthers[$0.other] == $0.length }
    for pair in best
    where best.count(where: { $0.own == pair.own }) == 1 && best.count(where: { $0.other == pair.other }) == 1 {
      for (numbers, tensor) in own[pair.own].shapes {
        names[ExactString(tensor.name)] = others[pair.other].shapes[numbers]!.name
      }
    }
    if names.isEmpty { return nil }
  }

  private static func kinds(_ tensors: [(name: String, info: TensorInfo)]) -> [Kind] {
    var kinds: [ExactString: Kind] = [:]
    for (name, info) in tensors {
      var numbers: [Substring] = []
      let components = name.split(separator: ".", omittingEmptySubsequences: false).map { component in
        guard !component.isEmpty, component.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
          return String(component)
        }
        numbers.append(component)
        return "#"
      }
      let key = ExactString(components.joined(separator: "."))
      kinds[key, default: Kind(components: components)].shapes[numbers.joined(separator: ".")] = (name, info.shape)
    }
    return kinds.sorted { $0.key.text.precedesInBytes($1.key.text) }.map(\.value)
  }

  private static func commonEnding(_ first: [String], _ second: [String]) -> Int {
    zip(first.reversed(), second.reversed()).prefix { $0.hasSameBytes(as: $1) }.count
  }

  private static func areAlike(_ first: Kind, _ second: Kind) -> Bool {
    first.shapes.count == second.shapes.count
      && first.shapes.allSatisfy { second.shapes[$0.key]?.shape == $0.value.shape }
  }
}
