/// The names of an object's members, to find one that is there twice: compared by their decoded bytes, none copied.
///
/// Memory: 16 bytes a name, and 8 to 16 for looking it up.
package struct JSONNames {
  private struct Place {
    let start: UInt32
    let count: UInt32
    let hash: UInt32
    let hasEscapes: Bool
  }

  private let text: UnsafeRawBufferPointer
  private var places: [Place] = []
  /// Numbers of places by their hashes, with open addressing; a power of two of them, at most half taken.
  private var slots = [UInt32](repeating: empty, count: 64)
  private static let empty = UInt32.max

  /// - Parameter text: of the reader that gives the names, below 4 GiB.
  package init(in text: UnsafeRawBufferPointer) {
    precondition(text.count < UInt32.max)
    self.text = text
  }

  package var count: Int { places.count }

  /// The names in the order in which they came.
  package subscript(number: Int) -> JSONString {
    let place = places[number]
    let start = Int(place.start)
    return JSONString(
      body: UnsafeRawBufferPointer(rebasing: text[start..<start + Int(place.count)]), hasEscapes: place.hasEscapes,
      start: start)
  }

  /// Adds a name; false when it is there.
  package mutating func insert(_ name: JSONString) -> Bool { number(of: name).isNew }

  /// The number of a name, which is added when it is not there.
  package mutating func number(of name: JSONString) -> (number: Int, isNew: Bool) {
    if places.count >= slots.count / 2 { grow() }
    var hasher = Hasher()
    name.hash(into: &hasher)
    let hash = UInt32(truncatingIfNeeded: hasher.finalize())
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] != Self.empty {
      let number = Int(slots[slot])
      if places[number].hash == hash, self[number].matches(name) { return (number, false) }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = UInt32(places.count)
    places.append(
      Place(start: UInt32(name.start), count: UInt32(name.body.count), hash: hash, hasEscapes: name.hasEscapes))
    return (places.count - 1, true)
  }

  private mutating func grow() {
    slots = [UInt32](repeating: Self.empty, count: slots.count * 2)
    for (number, place) in places.enumerated() {
      var slot = Int(place.hash) & (slots.count - 1)
      while slots[slot] != Self.empty { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = UInt32(number)
    }
  }
}
