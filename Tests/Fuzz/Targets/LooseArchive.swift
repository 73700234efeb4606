import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackZstandard

/// What is in an archive, without the sizes, places and digests that hold it together: those are made anew, so that a change of a manifest
/// or of a frame is not found by them already.
///
/// The index, the shared section, one for each expert, and the router's, with a mark between. A section is its manifest and its frames, with
/// another mark between. A frame is a byte for its coding, and its bytes before that.
struct LooseArchive {
  static let frameMark = "\n----\n"

  private struct Frame {
    let stored: [UInt8]
    let rawSize: Int
    let codec: UInt8
    let filter: UInt8
    let width: UInt8

    init(_ piece: [UInt8]) {
      let kind = piece.first ?? 0
      var raw = Array(piece.dropFirst())
      rawSize = raw.count
      let width = [0, 2, 4, 8][Int(kind >> 1 & 3)]
      guard kind & 1 == 1, width == 0 || raw.count.isMultiple(of: width) else {
        (stored, codec, filter, self.width) = (raw, 0, 0, 0)
        return
      }
      filter = width == 0 ? 0 : 1 + kind >> 3 % 3
      if filter == 1 {
        let whole = raw
        whole.withUnsafeBytes { whole in raw.withUnsafeMutableBytes { BytePlanes.split(whole, width: width, into: $0) }
        }
      }
      stored = raw.withUnsafeBytes { Zstandard.compress($0, .level(1)) }
      codec = 1
      self.width = UInt8(width)
    }
  }

  static func bytes(_ loose: [UInt8]) -> [UInt8] {
    let parts = loose.pieces(between: FuzzTarget.separator)
    var file = [UInt8](repeating: 0, count: 8192)
    func put(_ bytes: [UInt8], alignment: Int) -> Int {
      file += [UInt8](repeating: 0, count: (alignment - file.count % alignment) % alignment)
      file += bytes
      return file.count - bytes.count
    }
    func compressed(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { Zstandard.compress($0, .level(1)) } }
    func section(_ part: [UInt8]) -> JSONValue {
      let pieces = part.pieces(between: frameMark)
      var raw = ByteWriter()
      raw.integer(UInt32(pieces[0].count))
      raw.integer(UInt32(pieces.count - 1))
      raw.append(pieces[0])
      raw.zeros((8 - pieces[0].count % 8) % 8)
      for piece in pieces.dropFirst() {
        let frame = Frame(piece)
        let place = frame.stored.isEmpty ? 8192 : put(frame.stored, alignment: frame.codec == 0 ? 64 : 1)
        raw.integer(UInt64(place))
        raw.integer(UInt32(frame.stored.count))
        raw.integer(UInt32(frame.rawSize))
        raw.append([frame.codec, frame.filter, frame.width, 0, 0, 0, 0, 0])
        raw.append(ContentDigest(of: frame.stored).bytes)
      }
      let stored = compressed(raw.bytes)
      return [
        "digest": .string(ContentDigest(of: stored).hexadecimal), "offset": JSONValue(put(stored, alignment: 1)),
        "raw": JSONValue(raw.bytes.count), "stored": JSONValue(stored.count),
      ]
    }
    var references = parts.dropFirst().map(section)[...]
    var text = parts[0]
    if case .object(var index)? = try? JSONValue(parsing: text), !JSONValue.object(index).holdsFraction {
      if case .object(var shared)? = index["shared"] {
        shared["section"] = references.popFirst() ?? .null
        index["shared"] = .object(shared)
      }
      if case .array(let experts)? = index["experts"] {
        index["experts"] = .array(
          experts.map { expert in
            guard case .object(var expert) = expert else { return expert }
            expert["section"] = references.popFirst() ?? .null
            return .object(expert)
          })
      }
      if let reference = references.popFirst() { index["extensions"] = ["router": ["section": reference]] }
      text = JSONValue.object(index).canonicalText
    }
    let index = compressed(text)
    let offset = put(index, alignment: 1)
    var header = ByteWriter()
    header.append([0x89, 0x54, 0x4D, 0x50, 0x0D, 0x0A, 0x1A, 0x0A])
    for version: UInt16 in [1, 0] { header.integer(version) }
    header.zeros(4)
    for number in [1, file.count, offset, index.count, text.count, 0] { header.integer(UInt64(number)) }
    header.append(ContentDigest(of: index).bytes)
    file.replaceSubrange(0..<128, with: header.bytes + ContentDigest(of: header.bytes).bytes)
    return file
  }
}

extension JSONValue {
  /// Whether there is a number that canonical texts cannot have.
  fileprivate var holdsFraction: Bool {
    switch self {
    case .number: true
    case .integer(let integer): integer.magnitude >= 1 << 53
    case .array(let array): array.contains { $0.holdsFraction }
    case .object(let object): object.members.contains { $0.value.holdsFraction }
    case .null, .bool, .string: false
    }
  }
}
