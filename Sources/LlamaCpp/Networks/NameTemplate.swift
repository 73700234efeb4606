import TMPackByteIO

/// A tensor's name in which `N` stands for the number of a layer, and `E` for that of an expert:
/// `layers.N.mlp.experts.E.up_proj.weight`.
struct NameTemplate: Sendable, Hashable {
  struct Numbers: Hashable {
    var layer: Int?
    var expert: Int?
  }

  let text: String
  private let components: [String]

  init(_ text: String) {
    self.text = text
    components = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
  }

  var hasLayer: Bool { components.contains("N") }

  /// The numbers in a name; nil where the name is another's. A last component `*` stands for any others.
  func numbers(in name: String) -> Numbers? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    let isOpen = components.last == "*"
    let fixed = isOpen ? components.dropLast() : components[...]
    guard isOpen ? parts.count > fixed.count : parts.count == fixed.count else { return nil }
    var numbers = Numbers()
    for (component, part) in zip(fixed, parts) {
      switch component {
      case "N":
        guard let number = Self.number(part) else { return nil }
        numbers.layer = number
      case "E":
        guard let number = Self.number(part) else { return nil }
        numbers.expert = number
      default: guard part.utf8.elementsEqual(component.utf8) else { return nil }
      }
    }
    return numbers
  }

  /// The name of a layer's tensor.
  func name(layer: Int?) -> String {
    components.map { $0 == "N" ? "\(layer ?? 0)" : $0 }.joined(separator: ".")
  }

  /// As it is written in names: without a sign, and without zeros in front.
  private static func number(_ part: Substring) -> Int? {
    guard part.utf8.count < 7, part.utf8.allSatisfy({ 48...57 ~= $0 }), part == "0" || !part.hasPrefix("0") else {
      return nil
    }
    return Int(part)
  }
}
