/// Where a tensor is in its model, going by its name: the layer is the first number in it, the kind the name without numbers.
package struct TensorPlace: Hashable, Sendable {
  package let kind: String
  package let layer: Int?

  package init(kind: String, layer: Int?) { (self.kind, self.layer) = (kind, layer) }

  package init(_ name: String) {
    var (kind, number) = ("", "")
    var layer: Int?
    func end() {
      guard !number.isEmpty else { return }
      if layer == nil { layer = Int(number) }
      kind += "#"
      number = ""
    }
    for character in name {
      if character.isASCII, character.isNumber {
        number.append(character)
      } else {
        end()
        kind.append(character)
      }
    }
    end()
    self.kind = kind
    self.layer = layer
  }
}
