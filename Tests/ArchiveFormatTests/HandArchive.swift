import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackParallel
import TMPackReading
import TMPackZstandard
import TestSupport

/// A frame as its record describes it, truly or not.
struct HandFrame {
  var stored: [UInt8]
  var rawSize: Int
  var codec: UInt8 = 0
  var filter: UInt8 = 0
  var width: UInt8 = 0
  var reserved: [UInt8] = [0, 0, 0, 0, 0]
  /// Of the bytes as they are, unless a test lies.
  var digest: [UInt8]?
  /// Where the record says that the frame is; else where it is put.
  var offset: UInt64?
  var storedSize: Int?
  var alignment = 64

  static func raw(_ bytes: [UInt8]) -> HandFrame { HandFrame(stored: bytes, rawSize: bytes.count) }

  static func zstd(_ bytes: [UInt8], width: UInt8 = 0) -> HandFrame {
    var planes = bytes
    if width > 0 {
      bytes.withUnsafeBytes { raw in
        planes.withUnsafeMutableBytes { BytePlanes.split(raw, width: Int(width), into: $0) }
      }
    }
    return HandFrame(
      stored: compressed(planes), rawSize: bytes.count, codec: 1, filter: width > 0 ? 1 : 0, width: width, alignment: 1)
  }
}

func compressed(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes { Zstandard.compress($0, .level(3)) } }

/// A section, and what may be wrong with it.
struct HandSection {
  var manifest: JSONValue
  var frames: [HandFrame]
  /// Changes the canonical text of the manifest.
  var editText: ([UInt8]) -> [UInt8] = { $0 }
  /// Changes the raw bytes of the section.
  var editRaw: ([UInt8]) -> [UInt8] = { $0 }
  /// Changes what is stored of it.
  var editStored: ([UInt8]) -> [UInt8] = { $0 }
}

/// An archive put together by hand, so that anything can be wrong with it while every digest is right.
///
/// The shared model has `m`, F32 [3, 5], and `n`, I32 [2]; the one expert, `a`, a lossy factor for `m` and a difference
/// for `n`.
struct HandArchive {
  var shared: HandSection
  var expert: HandSection
  /// None unless a test has one.
  var router: HandSection?
  var editSummary: (inout JSONValue) -> Void = { _ in }
  var editIndex: (inout JSONValue) -> Void = { _ in }
  var editIndexText: ([UInt8]) -> [UInt8] = { $0 }
  var editStoredIndex: ([UInt8]) -> [UInt8] = { $0 }
  /// Changes bytes 0 to 95 of the slot; its digest is made after that.
  var editSlot: (inout [UInt8]) -> Void = { _ in }
  /// Changes the file at the end.
  var editFile: (inout [UInt8]) -> Void = { _ in }
  var slot = 0

  static let matrix = lanes((0..<15).map { Float($0).bitPattern })
  static let integers = lanes([5, -6] as [Int32])

  /// - Parameters:
  ///   - factor: the members of the lossy entry, but its payloads.
  ///   - payloads: of that entry, in canonical order.
  init(_ factor: JSONObject = Self.lowRank, _ payloads: [(String, [UInt8])] = Self.lowRankPayloads) {
    let sharedBytes = Self.matrix + Self.integers
    let places = Self.payloads([60, 8])
    shared = HandSection(
      manifest: Self.manifest(
        "shared",
        [
          Self.sharedEntry("m", "F32", [3, 5], Self.matrix, places[0]),
          Self.sharedEntry("n", "I32", [2], Self.integers, places[1]),
        ]), frames: [.raw(sharedBytes)])
    var entry = factor
    entry["name"] = "m"
    entry["source"] = .string(ContentDigest(of: [1]).hexadecimal)
    entry["norm"] = "2.5"
    entry["error"] = "0.125"
    // The difference of equal integers is zero.
    let contents = payloads.map(\.1) + [[UInt8](repeating: 0, count: 8)]
    let expertPlaces = Self.payloads(contents.map(\.count))
    for (payload, place) in zip(payloads, expertPlaces) { entry[payload.0] = place }
    let exact: JSONValue = [
      "factor": "difference", "name": "n", "payload": expertPlaces.last!,
      "source": .string(ContentDigest(of: Self.integers).hexadecimal),
    ]
    var manifest = Self.manifest("expert", [.object(entry), exact])
    manifest["absent"] = []
    expert = HandSection(manifest: manifest, frames: [.raw(contents.flatMap(\.self))])
  }

  /// Takes the shared model out.
  mutating func detach() {
    editIndex = { $0["shared", "storage"] = "detached" }
    shared.frames = []
    for tensor in 0..<2 { shared.manifest["tensors", .at(tensor), "payload"] = nil }
  }

  /// Elements of an array in an array's place in `extensions`, so that the index has as many values as TMP-9-19 allows.
  ///
  /// The others: the index itself; `experts` with its name; `extensions`, `x` and their names; `features` with two lists,
  /// and the names of the three; `shared` with 4 members, of which the section has 4 itself, and the names of all nine.
  static let mostExtensionValues = 1 << 20 - (1 + 2 + 4 + 6 + 18)

  static let lowRank: JSONObject = ["factor": "low-rank", "dtype": "I4", "rank": 1]
  /// Components of 3 and 5 elements: an unused half byte each.
  static let lowRankPayloads: [(String, [UInt8])] = [
    ("left", [0x21, 0x07]), ("right", [0x91, 0x32, 0x01]), ("scales", lanes([Float(0.5).bitPattern])),
  ]
  static let sparse: JSONObject = ["factor": "sparse", "dtype": "I8", "count": 2]
  static let sparsePayloads: [(String, [UInt8])] = [
    ("positions", [3, 10]), ("scales", lanes([Float(0.5).bitPattern])), ("values", [127, 0x81]),
  ]
  static let dense: JSONObject = ["factor": "dense", "dtype": "BF16"]
  static let densePayloads: [(String, [UInt8])] = [
    ("scales", lanes([Float(1).bitPattern])), ("values", lanes((0..<15).map { _ in 0x3F80 as UInt16 })),
  ]

  static func manifest(_ kind: JSONValue, _ tensors: [JSONValue]) -> JSONValue {
    [
      "files": [], "kind": kind, "metadata": [:], "tensors": .array(tensors),
      "provenance": ["tool": "by hand", "options": [:], "sources": []],
    ]
  }

  static func sharedEntry(
    _ name: String, _ dtype: JSONValue, _ shape: [Int], _ bytes: [UInt8], _ payload: JSONValue
  ) -> JSONValue {
    [
      "digest": .string(ContentDigest(of: bytes).hexadecimal), "dtype": dtype, "name": .string(name),
      "payload": payload,
      "shape": .array(shape.map { JSONValue($0) }),
    ]
  }

  /// Payloads of the given sizes, one after the other in frame 0.
  static func payloads(_ sizes: [Int]) -> [JSONValue] {
    var skip = 0
    return sizes.map { size in
      defer { skip += size }
      var payload: JSONValue = ["count": 1, "first": 0, "size": JSONValue(size)]
      if skip > 0 { payload["skip"] = JSONValue(skip) }
      return payload
    }
  }

  // MARK: Bytes

  func bytes() -> [UInt8] {
    var file = [UInt8](repeating: 0, count: 8192)
    var known: [[UInt8]: Int] = [:]
    func put(_ bytes: [UInt8], alignment: Int = 1) -> Int {
      if let offset = known[bytes], offset % alignment == 0 { return offset }
      file += [UInt8](repeating: 0, count: (alignment - file.count % alignment) % alignment)
      known[bytes] = file.count
      file += bytes
      return file.count - bytes.count
    }
    /// The section's reference, and the stored bytes of its frames and itself.
    func put(_ section: HandSection) -> (JSONValue, Int) {
      let text = section.editText(section.manifest.canonicalText)
      var raw = ByteWriter()
      raw.integer(UInt32(text.count))
      raw.integer(UInt32(section.frames.count))
      raw.append(text)
      raw.zeros((8 - text.count % 8) % 8)
      var size = 0
      for frame in section.frames {
        let place = frame.stored.isEmpty ? 8192 : put(frame.stored, alignment: frame.alignment)
        size += frame.stored.count
        raw.integer(frame.offset ?? UInt64(place))
        raw.integer(UInt32(truncatingIfNeeded: frame.storedSize ?? frame.stored.count))
        raw.integer(UInt32(truncatingIfNeeded: frame.rawSize))
        raw.append([frame.codec, frame.filter, frame.width] + frame.reserved)
        raw.append(frame.digest ?? ContentDigest(of: frame.stored).bytes)
      }
      let bytes = section.editRaw(raw.bytes)
      let stored = section.editStored(compressed(bytes))
      let reference: JSONValue = [
        "digest": .string(ContentDigest(of: stored).hexadecimal), "offset": JSONValue(put(stored)),
        "raw": JSONValue(bytes.count), "stored": JSONValue(stored.count),
      ]
      return (reference, size + stored.count)
    }
    let (sharedReference, _) = put(shared)
    let (expertReference, size) = put(expert)
    let kinds = (0..<2).compactMap { expert.manifest["tensors", .at($0), "factor"] }.compactMap { kind -> String? in
      if case .string(let name) = kind { name } else { nil }
    }
    var summary: JSONValue = [
      "bytes": JSONValue(size), "factors": .object(JSONObject(kinds.map { ($0, 1) })), "parameters": 17, "tensors": 2,
      "error": "0.125", "worst_error": "0.125", "worst_tensor": "m",
    ]
    editSummary(&summary)
    var index: JSONValue = [
      "experts": [["name": "a", "section": expertReference, "summary": summary]],
      "features": ["optional": [], "required": []],
      "shared": ["method": "given", "parameters": [:], "section": sharedReference, "storage": "embedded"],
    ]
    if let router {
      index["features", "optional"] = ["router"]
      index["extensions"] = ["router": ["section": put(router).0]]
    }
    editIndex(&index)
    let text = editIndexText(index.canonicalText)
    let stored = editStoredIndex(compressed(text))
    let offset = put(stored)
    var header = ByteWriter()
    header.append([0x89, 0x54, 0x4D, 0x50, 0x0D, 0x0A, 0x1A, 0x0A])
    for version: UInt16 in [1, 0] { header.integer(version) }
    header.zeros(4)
    for number in [1, file.count, offset, stored.count, text.count, 0] { header.integer(UInt64(number)) }
    header.append(ContentDigest(of: stored).bytes)
    var head = header.bytes
    editSlot(&head)
    file.replaceSubrange(slot * 4096..<slot * 4096 + 128, with: head + ContentDigest(of: head).bytes)
    editFile(&file)
    return file
  }
}

/// A step on the way to a value in a JSON text.
enum JSONStep: ExpressibleByStringLiteral {
  case member(String)
  case at(Int)

  init(stringLiteral value: String) { self = .member(value) }
}

extension JSONValue {
  /// The value at a path; setting nil removes a member.
  subscript(_ path: JSONStep...) -> JSONValue? {
    get { self[path[...]] }
    set { self[path[...]] = newValue }
  }

  private subscript(_ path: ArraySlice<JSONStep>) -> JSONValue? {
    get {
      switch (path.first, self) {
      case (nil, _): self
      case (.member(let name), .object(let object)): object[name]?[path.dropFirst()]
      case (.at(let index), .array(let array)): index < array.count ? array[index][path.dropFirst()] : nil
      default: nil
      }
    }
    set {
      switch (path.first, self) {
      case (nil, _): self = newValue!
      case (.member(let name), .object(var object)):
        if path.count == 1 {
          object[name] = newValue
        } else {
          object[name]![path.dropFirst()] = newValue
        }
        self = .object(object)
      case (.at(let index), .array(var array)):
        if index == array.count { array.append(.null) }
        array[index][path.dropFirst()] = newValue
        self = .array(array)
      default: preconditionFailure("no such path")
      }
    }
  }
}

/// Everything that reading the file from end to end finds: what opening throws, or else the faults of deep verification.
func faults(in file: [UInt8], _ level: Verification.Level = .deep) -> [StorageError] {
  let folder = TemporaryFolder()
  putQuickly(file, at: folder("a.tmpack"))
  return faults(at: folder("a.tmpack"), level)
}

func faults(at path: String, _ level: Verification.Level = .deep) -> [StorageError] {
  do throws(StorageError) {
    let verification = Verification(try Archive(path, mode: .read), pipeline: OrderedPipeline(threads: 1))
    return try verification.run(level).faults
  } catch { return [error] }
}
