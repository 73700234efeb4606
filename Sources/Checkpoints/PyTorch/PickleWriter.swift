import TMPackByteIO

/// Writes pickles of protocol 2, which `torch.save` uses and every version of PyTorch reads.
struct PickleWriter {
  private var output = ByteWriter()
  /// Places in the memo of what occurs again and again.
  private var places: [String: UInt8] = [:]

  init() {
    output.append([0x80, 2])
  }

  /// The pickle, ended.
  consuming func finish() -> [UInt8] {
    output.append([UInt8(ascii: ".")])
    return output.bytes
  }

  mutating func mark() { output.append([UInt8(ascii: "(")]) }
  /// A tuple of what follows the mark.
  mutating func tuple() { output.append([UInt8(ascii: "t")]) }
  mutating func emptyTuple() { output.append([UInt8(ascii: ")")]) }
  /// Puts the keys and values that follow the mark into the dictionary before it.
  mutating func setItems() { output.append([UInt8(ascii: "u")]) }
  mutating func call() { output.append([UInt8(ascii: "R")]) }
  mutating func persistentID() { output.append([UInt8(ascii: "Q")]) }
  mutating func no() { bool(false) }
  mutating func bool(_ value: Bool) { output.append([value ? 0x88 : 0x89]) }
  mutating func none() { output.append([UInt8(ascii: "N")]) }
  mutating func emptyDictionary() { output.append([UInt8(ascii: "}")]) }
  /// Sets attributes, which are a dictionary, on the object before them.
  mutating func build() { output.append([UInt8(ascii: "b")]) }

  mutating func string(_ text: String) {
    output.append([UInt8(ascii: "X")])
    output.integer(UInt32(text.utf8.count))
    output.append(text.utf8)
  }

  /// - Precondition: not negative.
  mutating func integer(_ value: Int) {
    precondition(value >= 0)
    switch value {
    case 0...0xFF: output.append([UInt8(ascii: "K"), UInt8(value)])
    case 0...0xFFFF:
      output.append([UInt8(ascii: "M")])
      output.integer(UInt16(value))
    case 0...Int(Int32.max):
      output.append([UInt8(ascii: "J")])
      output.integer(Int32(value))
    default:
      output.append([0x8A, 8])
      output.integer(Int64(value))
    }
  }

  mutating func integers(_ values: [Int]) {
    if values.isEmpty { return emptyTuple() }
    mark()
    values.forEach { integer($0) }
    tuple()
  }

  /// A name of Python, as `"module name"`.
  mutating func global(_ name: String) {
    again(name) { output in
      let parts = name.split(separator: " ")
      output.append([UInt8(ascii: "c")])
      output.append("\(parts[0])\n\(parts[1])\n".utf8)
    }
  }

  /// A string that occurs often, as long as there are few of them.
  mutating func constant(_ text: String) {
    guard places[text] != nil || places.count <= UInt8.max else { return string(text) }
    again(text) { output in
      output.append([UInt8(ascii: "X")])
      output.integer(UInt32(text.utf8.count))
      output.append(text.utf8)
    }
  }

  private mutating func again(_ key: String, _ write: (inout ByteWriter) -> Void) {
    if let place = places[key] {
      output.append([UInt8(ascii: "h"), place])
    } else {
      write(&output)
      let place = UInt8(places.count)
      places[key] = place
      output.append([UInt8(ascii: "q"), place])
    }
  }
}
