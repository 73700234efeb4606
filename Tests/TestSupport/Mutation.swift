extension [UInt8] {
  /// A copy with one byte XORed.
  package func flipping(_ mask: UInt8, at offset: Int) -> [UInt8] {
    var copy = self
    copy[offset] ^= mask
    return copy
  }

  /// A copy that something was written over.
  package func replacing(at offset: Int, with bytes: some Collection<UInt8>) -> [UInt8] {
    var copy = self
    copy.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    return copy
  }

  /// A copy with a few random changes: bytes set, runs copied elsewhere, cut or doubled.
  package func mutated(using random: inout SeededGenerator) -> [UInt8] {
    var copy = self
    for _ in 0..<Int.random(in: 1...4, using: &random) where !copy.isEmpty {
      let place = Int.random(in: 0..<copy.count, using: &random)
      let length = Swift.min(Int.random(in: 1...16, using: &random), copy.count - place)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: copy[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: copy[place] = UInt8.random(in: 0...255, using: &random)
      case 2: for index in place..<place + length { copy[index] = [0, 0xFF][Int(place & 1)] }
      case 3: copy.removeSubrange(place..<place + length)
      case 4: copy.insert(contentsOf: Array(copy[place..<place + length]), at: place)
      default:
        let other = Int.random(in: 0...copy.count - length, using: &random)
        let run = Array(copy[place..<place + length])
        copy.replaceSubrange(other..<other + length, with: run)
      }
    }
    return copy
  }
}
