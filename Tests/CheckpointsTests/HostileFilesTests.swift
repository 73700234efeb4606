import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Everything that can be read of a file.
private func readAll(_ path: String) throws -> [TensorInfo: [UInt8]] {
  let source = try Checkpoint.open(path, mode: .read).source
  var all: [TensorInfo: [UInt8]] = [:]
  for info in source.tensors { all[info] = try bytes(of: source, info.name) }
  return all
}

/// A file that is changed in place, without waiting for the disk.
private struct Patient {
  let path: String
  let original: [UInt8]

  init(_ original: [UInt8], in folder: TemporaryFolder) {
    self.original = original
    path = folder("patient")
    write(original)
  }

  func write(_ bytes: [UInt8]) {
    let file = fopen(path, "wb")!
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    fclose(file)
  }

  func set(_ byte: UInt8, at offset: Int) {
    let file = fopen(path, "r+b")!
    fseek(file, offset, SEEK_SET)
    fputc(Int32(byte), file)
    fclose(file)
  }
}

@Suite struct DamagedFilesTests {
  static let files = [
    "state.bin", "state-legacy.bin", "training.ckpt", "arrays.npz", "arrays-deflated.npz", "v2.npy", "big.npy",
    "big.pt",
    "zip64.npz", "zip64-deflated.npz", "arrays.safetensors",
  ]

  @Test(arguments: files) func everyTruncationIsAnError(_ name: String) throws {
    let folder = TemporaryFolder()
    let patient = Patient(try contents(Foreign.path(name)), in: folder)
    for length in (0..<patient.original.count).reversed() {
      #expect(truncate(patient.path, off_t(length)) == 0)
      #expect(throws: StorageError.self, "\(length) bytes") { try readAll(patient.path) }
    }
  }

  /// What is read is right, or it is an error: the checksums see to that, where the format has any.
  @Test(arguments: files) func everyFlippedByteIsAnErrorOrChangesNothing(_ name: String) throws {
    let folder = TemporaryFolder()
    let patient = Patient(try contents(Foreign.path(name)), in: folder)
    let expected = try readAll(patient.path)
    let hasChecksums = !["state-legacy.bin", "v2.npy", "big.npy", "arrays.safetensors"].contains(name)
    for index in patient.original.indices {
      for mask: UInt8 in [1, 0x80] {
        patient.set(patient.original[index] ^ mask, at: index)
        if let read = try? readAll(patient.path), hasChecksums {
          #expect(read == expected, "byte \(index), mask \(mask)")
        }
      }
      patient.set(patient.original[index], at: index)
    }
  }
}

/// A ZIP archive with every field as a test wants it.
struct ZipBuilder {
  struct Entry {
    var name: String
    var data: [UInt8]
    var method: UInt16 = 0
    var flags: UInt16 = 0
    var size: UInt32?
    var checksum: UInt32?
    var localName: String?
    var localSize: UInt32?
    var offset: UInt32?
    var extra: [UInt8] = []
  }
  var entries: [Entry]
  var count: UInt16?
  var disk: UInt16 = 0
  var directoryOffset: UInt32?

  static func crc(_ bytes: [UInt8]) -> UInt32 {
    var word = ~UInt32(0)
    for byte in bytes {
      word ^= UInt32(byte)
      for _ in 0..<8 { word = word & 1 == 1 ? (word >> 1) ^ 0xEDB8_8320 : word >> 1 }
    }
    return ~word
  }

  var bytes: [UInt8] {
    var file = ByteWriter()
    var directory = ByteWriter()
    for entry in entries {
      let offset = UInt32(file.bytes.count)
      let size = entry.size ?? UInt32(entry.data.count)
      func common(_ output: inout ByteWriter, _ name: String, _ size: UInt32) {
        for field: UInt16 in [20, entry.flags, entry.method, 0, 0x21] { output.integer(field) }
        output.integer(entry.checksum ?? Self.crc(entry.data))
        output.integer(UInt32(entry.data.count))
        output.integer(size)
        output.integer(UInt16(name.utf8.count))
        output.integer(UInt16(entry.extra.count))
      }
      file.integer(0x0403_4B50 as UInt32)
      common(&file, entry.localName ?? entry.name, entry.localSize ?? size)
      file.append((entry.localName ?? entry.name).utf8)
      file.append(entry.extra)
      file.append(entry.data)
      directory.integer(0x0201_4B50 as UInt32)
      directory.integer(20 as UInt16)
      common(&directory, entry.name, size)
      directory.zeros(10)
      directory.integer(entry.offset ?? offset)
      directory.append(entry.name.utf8)
      directory.append(entry.extra)
    }
    let start = UInt32(file.bytes.count)
    file.append(directory.bytes)
    file.integer(0x0605_4B50 as UInt32)
    let entryCount = count ?? UInt16(entries.count)
    for field: UInt16 in [disk, 0, entryCount, entryCount] { file.integer(field) }
    file.integer(UInt32(directory.bytes.count))
    file.integer(directoryOffset ?? start)
    file.zeros(2)
    return file.bytes
  }
}

@Suite struct HostileArchivesTests {
  typealias Entry = ZipBuilder.Entry

  static let array = try! contents(Foreign.path("v1.npy"))
  static var good: Entry { Entry(name: "a.npy", data: array) }

  private func code(_ builder: ZipBuilder) throws -> StorageError.Code? {
    let folder = TemporaryFolder()
    let patient = Patient(builder.bytes, in: folder)
    var result: StorageError.Code?
    result = TestSupport.code { _ = try readAll(patient.path) }
    return result
  }

  private func code(_ change: (inout Entry) -> Void) throws -> StorageError.Code? {
    var entry = Self.good
    change(&entry)
    return try code(ZipBuilder(entries: [entry]))
  }

  @Test func acceptsWhatIsSound() throws { #expect(try code(ZipBuilder(entries: [Self.good])) == nil) }

  @Test func refusesTricks() throws {
    #expect(try code(ZipBuilder(entries: [Self.good, Self.good])) == .malformed)
    var second = Self.good
    second.name = "b.npy"
    second.localName = "a.npy"
    second.offset = 0
    #expect(try code(ZipBuilder(entries: [Self.good, second])) == .malformed)
    #expect(try code { $0.localName = "b.npy" } == .malformed)
    #expect(try code { $0.localSize = 1 } == .malformed)
    #expect(try code { $0.flags = 1 } == .unsupportedFeature)
    #expect(try code { $0.method = 12 } == .unsupportedFeature)
    #expect(try code { $0.method = 8 } != nil)
    #expect(try code { $0.checksum = 7 } == .digestMismatch)
    #expect(try code { $0.size = 1 << 31 } == .malformed)
    #expect(try code { $0.size = .max } == .malformed)
    #expect(try code { $0.offset = 1 << 31 } == .malformed)
    #expect(try code { $0.offset = 7 } == .malformed)
    #expect(try code(ZipBuilder(entries: [Self.good], count: 2)) == .malformed)
    #expect(try code(ZipBuilder(entries: [Self.good], disk: 1)) == .unsupportedFeature)
    #expect(try code(ZipBuilder(entries: [Self.good], directoryOffset: 1)) == .malformed)
    #expect(try code(ZipBuilder(entries: [Self.good], directoryOffset: .max)) == .malformed)
    // Sizes of 2⁶³ in a zip64 field.
    var field = ByteWriter()
    field.integer(1 as UInt16)
    field.integer(8 as UInt16)
    field.integer(UInt64(1) << 63)
    #expect(
      try code {
        $0.size = .max
        $0.extra = field.bytes
      } == .malformed)
  }

  /// PyTorch can be told to leave all checksums zero. Among others a zero is none of these.
  @Test func readsAnArchiveWithoutChecksums() throws {
    #expect(try code { $0.checksum = 0 } == nil)
    var second = Self.good
    second.name = "b.npy"
    second.checksum = 0
    #expect(try code(ZipBuilder(entries: [Self.good, second])) == .digestMismatch)
  }

  /// A deflate stream of zeros that says it is one byte, and one that says it is more than it can be.
  @Test func refusesBombs() throws {
    // Fixed codes: a literal 0, then matches of length 258 at distance 1, without an end.
    let bomb: [UInt8] = [0x63, 0x60] + [UInt8](repeating: 0x18, count: 100_000)
    for size: UInt32 in [1, 64, 1 << 20, 0xFFFF_FFF0] {
      #expect(
        try code {
          $0.method = 8
          $0.data = bomb
          $0.size = size
        } != nil)
    }
  }

  @Test(arguments: [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3), }", "{'descr': '<f4', 'fortran_order': False}",
    "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "{'descr': '<f4'", "", "{",
    "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '|f4', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }",
  ])
  func refusesTheHeader(_ text: String) throws {
    let folder = TemporaryFolder()
    var file = ByteWriter()
    file.append([0x93] + Array("NUMPY".utf8) + [1, 0])
    file.integer(UInt16(text.utf8.count))
    file.append(text.utf8)
    file.zeros(4)
    let patient = Patient(file.bytes, in: folder)
    #expect(throws: StorageError.self) { try readAll(patient.path) }
  }
}

@Suite struct HostilePicklesTests {
  private func failure(_ pickle: [UInt8]) throws -> StorageError? {
    let folder = TemporaryFolder()
    let builder = ZipBuilder(entries: [
      .init(name: "x/data.pkl", data: pickle), .init(name: "x/data/0", data: [1, 2, 3, 4]),
    ])
    let patient = Patient(builder.bytes, in: folder)
    var error: StorageError?
    error = TestSupport.failure { _ = try readAll(patient.path) }
    return error
  }

  private func code(_ operations: [UInt8]) throws -> StorageError.Code? {
    try failure([0x80, 2] + operations + Array(".".utf8))?.code
  }

  private func code(_ text: String) throws -> StorageError.Code? { try code(Array(text.utf8)) }

  /// `{"a": tensor}` with a size, strides, offset and count of elements.
  private func tensor(_ size: [UInt8], _ strides: [UInt8], offset: [UInt8] = [0x4B, 0], count: [UInt8] = [0x4B, 4])
    -> [UInt8]
  {
    var pickle = Array(
      "}U\u{1}actorch._utils\n_rebuild_tensor_v2\n((U\u{7}storagectorch\nByteStorage\nU\u{1}0U\u{3}cpu".utf8)
    pickle += count + Array("tQ".utf8) + offset
    return pickle + Array("(".utf8) + size + Array("t(".utf8) + strides + Array("t".utf8) + [0x89] + Array("}tRs".utf8)
  }

  private static let huge: [UInt8] = [0x8A, 8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]
  private static let minus: [UInt8] = Array("J".utf8) + [0xFF, 0xFF, 0xFF, 0xFF]

  @Test func acceptsWhatIsSound() throws {
    #expect(try code("}") == nil)
    #expect(try code(tensor([0x4B, 4], [0x4B, 1])) == nil)
    #expect(try code(tensor([0x4B, 9], [0x4B, 0])) == nil)
  }

  @Test(arguments: [
    "os system", "posix system", "nt system", "builtins eval", "__builtin__ eval", "builtins exec",
    "builtins __import__",
    "subprocess Popen", "torch load", "torch.hub load", "torch._utils _rebuild_qtensor", "builtins getattr",
    "numpy.core.multiarray _reconstruct", "torch.storage _load_from_bytes", "torch Storage__class__", "a\u{1B}[31m b",
    "collections namedtuple", "operator attrgetter", "copyreg _reconstructor", "webbrowser open",
  ])
  func refusesByName(_ global: String) throws {
    let parts = global.split(separator: " ").map(String.init)
    let error = try failure([0x80, 2] + Array("c\(parts[0])\n\(parts[1])\n(U\u{4}echotR.".utf8))
    #expect(error?.code == .unsupportedFeature)
    if !global.contains("\u{1B}") { #expect(error?.message.contains("\(parts[0]).\(parts[1])") == true) }
    #expect(error?.message.contains("\u{1B}") == false)
    var stacked: [UInt8] = []
    for part in parts { stacked += [0x8C, UInt8(part.utf8.count)] + Array(part.utf8) }
    stacked.append(0x93)
    #expect(try code(stacked) == .unsupportedFeature)
  }

  /// Names of storages in two Unicode spellings are two names.
  @Test func tellsStoragesApartByTheirBytes() throws {
    let keys = ["é", "e\u{301}"]
    var pickle: [UInt8] = [0x80, 2] + Array("}".utf8)
    for (name, key) in zip(["a", "b"], keys) {
      pickle += Array("U\u{1}\(name)ctorch._utils\n_rebuild_tensor_v2\n((U\u{7}storagectorch\nByteStorage\nX".utf8)
      pickle += [UInt8(key.utf8.count), 0, 0, 0] + Array("\(key)U\u{3}cpuK\u{1}tQK\0(K\u{1}t(K\u{1}t".utf8)
      pickle += [0x89] + Array("}tRs".utf8)
    }
    let folder = TemporaryFolder()
    let storages = keys.enumerated().map { ZipBuilder.Entry(name: "x/data/\($1)", data: [UInt8($0)]) }
    let archive = ZipBuilder(entries: [.init(name: "x/data.pkl", data: pickle + Array(".".utf8))] + storages)
    try put(archive.bytes, at: folder("m"))
    let source = try Checkpoint.open(folder("m")).source
    #expect(try bytes(of: source, "a") == [0])
    #expect(try bytes(of: source, "b") == [1])
    #expect(source.ties.isEmpty)
  }

  @Test func refusesViewsOutsideTheirStorage() throws {
    #expect(try code(tensor([0x4B, 5], [0x4B, 1])) == .malformed)
    #expect(try code(tensor([0x4B, 4], [0x4B, 2])) == .malformed)
    #expect(try code(tensor([0x4B, 4], [0x4B, 1], offset: [0x4B, 1])) == .malformed)
    #expect(try code(tensor([0x4B, 4], [0x4B, 1], offset: Self.minus)) == .malformed)
    #expect(try code(tensor(Self.minus, [0x4B, 1])) == .malformed)
    #expect(try code(tensor([0x4B, 4], Self.minus)) == .malformed)
    #expect(try code(tensor(Self.huge, [0x4B, 1])) == .malformed)
    #expect(try code(tensor([0x4B, 4], Self.huge)) == .malformed)
    #expect(try code(tensor(Self.huge, [0x4B, 0])) == .limitExceeded)
    #expect(try code(tensor(Self.huge + Self.huge, [0x4B, 0, 0x4B, 0])) == .malformed)
    #expect(try code(tensor([0x4B, 4], [0x4B, 1], offset: Self.huge)) == .malformed)
    #expect(try code(tensor([0x4B, 4], [0x4B, 1], count: Self.huge)) == .malformed)
    #expect(try code(tensor([0x4B, 4], [0x4B, 1], count: [0x4B, 5])) == .truncated)
    #expect(try code(tensor([0x4B, 4], [])) == .malformed)
  }

  @Test func refusesNonsense() throws {
    for text in [
      "", "0", "t", "(", "}}", "s", "u", "a", "h\u{1}", "R", ")R", "}b", "NNR", "K", "NQ", ")Q", "i", "o", "P1\n", "(",
    ] {
      #expect(try code(text) != nil, "\(text)")
    }
    #expect(try failure([0x80, 9, 0x2E])?.code == .unsupportedVersion)
    #expect(try failure([0x80, 2, 0x7D])?.code == .truncated)
    #expect(try failure(Array("}.}".utf8))?.code == .malformed)
  }

  /// Lengths of 2⁶³, 2³² and 2³¹ for each operation that has a length.
  @Test func refusesHugeLengths() throws {
    for operation: UInt8 in [0x8D, 0x8E, 0x96] {
      #expect(try code([operation] + [UInt8](repeating: 0, count: 7) + [0x80]) == .truncated)
      #expect(try code([operation] + [UInt8](repeating: 0xFF, count: 7) + [0x7F]) == .truncated)
    }
    for operation in Array("XTB".utf8) + [0x8B] {
      #expect(try code([operation, 0xFF, 0xFF, 0xFF, 0xFF]) == .truncated)
      #expect(try code([operation, 0, 0, 0, 0x80]) == .truncated)
    }
  }

  /// A tensor of 16 MiB that is one byte, thirty thousand times.
  @Test func boundsWhatViewsExpandTo() throws {
    func views(_ count: Int) -> [UInt8] {
      var pickle = Array("}(".utf8)
      for number in 0..<count {
        // The dictionary of `tensor`, without its own beginning and its end.
        var one = tensor(Array("J".utf8) + [0, 0, 0, 1], [0x4B, 0])
        one.removeFirst("}U\u{1}a".utf8.count)
        one.removeLast()
        let name = "t\(number)"
        pickle += [UInt8(ascii: "U"), UInt8(name.utf8.count)] + Array(name.utf8) + one
      }
      return pickle + Array("u".utf8)
    }
    #expect(try code(views(1)) == nil)
    #expect(try code(views(1000)) == .limitExceeded)
    #expect(try code(views(30_000)) == .limitExceeded)
  }

  @Test func survivesDepthAndCycles() throws {
    // A million tuples, each in the next.
    #expect(try code([UInt8](repeating: 0x85, count: 1_000_000)) != nil)
    #expect(try code(Array(")".utf8) + [UInt8](repeating: 0x85, count: 1_000_000)) != nil)
    var nested = [UInt8](repeating: UInt8(ascii: "]"), count: 100_000)
    nested += [UInt8](repeating: UInt8(ascii: "a"), count: 99_999)
    #expect(try code(nested) == .limitExceeded)
    // A dictionary in itself, under "a".
    #expect(try code("}q\u{0}U\u{1}ah\u{0}s") == .limitExceeded)
    // A list in itself.
    #expect(try code("]q\u{0}h\u{0}a") == .limitExceeded)
    // Each list holds the one before it twice, sixty times.
    var laughs = Array("]q\u{0}".utf8)
    for level in UInt8(1)..<60 {
      laughs += Array("](h".utf8)
      laughs += [level - 1, UInt8(ascii: "h"), level - 1]
      laughs += Array("eq".utf8) + [level]
    }
    // The last one is what the pickle gives: as many tuples are on the stack below it as it takes to pop them.
    var one = Array("(".utf8) + laughs
    one += Array("1h".utf8) + [59]
    #expect(try code(one) == .limitExceeded)
  }

  /// Objects of unknown classes keep what they are given, however deep, and may hold themselves.
  @Test func looksIntoObjectsWithoutRecursion() throws {
    let deep = Array("}U\u{1}acm\nC\n)".utf8) + [UInt8](repeating: 0x85, count: 100_000) + Array("Rs".utf8)
    #expect(try code(deep) == nil)
    #expect(try code("}U\u{1}acm\nC\n)Rq\u{0}h\u{0}bs") == nil)
    #expect(try code("}U\u{1}acm\nC\n)Rq\u{0}h\u{0}as") == nil)
    // What such an object makes is one, too; what is none of them makes nothing.
    #expect(try code("}U\u{1}acm\nC\n)R)Rs") == nil)
    #expect(try code("}U\u{1}a})Rs") == .malformed)
    #expect(try code("}U\u{1}actorch\nTensor\n)Rs") == .malformed)
    #expect(
      try code("}U\u{1}actorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_wrapper_subclass\ncm\nC\n)}tRs")
        == .malformed)
  }

  /// As Python 2 wrote numbers and strings.
  @Test func readsTextOperations() throws {
    #expect(try code("}U\u{1}aI5\nsU\u{1}bL123456789012345678901L\nsU\u{1}cF1.5\nsS'd'\nI01\nsV\u{e9}\nI00\ns") == nil)
    #expect(try code("}p0\n0g0\n") == nil)
    for text in ["}U\u{1}aIx\ns", "}U\u{1}aL-\ns", "}U\u{1}aFx\ns", "}px\n", "g7\n", "}p-1\n"] {
      #expect(try code(text) == .malformed, "\(text)")
    }
  }

  @Test func boundsTheStackTheMemoAndTheObjects() throws {
    let limit = 4_000_000
    #expect(try code([UInt8](repeating: UInt8(ascii: "N"), count: limit)) == .limitExceeded)
    #expect(try code([UInt8](repeating: UInt8(ascii: "("), count: limit)) == .limitExceeded)
    #expect(try code([UInt8](repeating: UInt8(ascii: "]"), count: limit)) == .limitExceeded)
    var memo = Array("N".utf8)
    for place in 0..<UInt32(2_200_000) {
      memo.append(UInt8(ascii: "r"))
      withUnsafeBytes(of: place.littleEndian) { memo.append(contentsOf: $0) }
    }
    #expect(try code(memo) == .limitExceeded)
    var list = Array("]".utf8)
    for _ in 0..<1_500_000 { list += Array("NaNa".utf8) }
    #expect(try code(list) == .limitExceeded)
    #expect(try failure([UInt8](repeating: UInt8(ascii: "N"), count: Limits.pickleBytes + 1))?.code == .limitExceeded)
  }

  private static func number(_ value: Int) -> [UInt8] {
    Array("J".utf8) + withUnsafeBytes(of: Int32(value).littleEndian) { Array($0) }
  }

  /// A dictionary by numbers, whose values are `value`; before it, `function` is at 0 in the memo, its arguments at 1
  /// and the tensor that they make at 2.
  private func many(_ count: Int, _ value: String, wrappedIn names: [String] = []) -> [UInt8] {
    var pickle = Array(
      "ctorch._utils\n_rebuild_tensor_v2\nq\0((U\u{7}storagectorch\nByteStorage\nU\u{1}0U\u{3}cpu".utf8)
    pickle +=
      [0x4B, 4] + Array("tQ".utf8) + [0x4B, 0, 0x4B, 4, 0x85, 0x4B, 1, 0x85, 0x89] + Array("}tq\u{1}Rq\u{2}0}".utf8)
    for name in names { pickle += [UInt8(ascii: "U"), UInt8(name.utf8.count)] + Array(name.utf8) + Array("}".utf8) }
    pickle += Array("(".utf8)
    for index in 0..<count { pickle += Self.number(index) + Array(value.utf8) }
    return pickle + Array("u".utf8) + names.flatMap { _ in Array("s".utf8) }
  }

  private func expectLimit(_ what: String, _ operations: [UInt8]) throws {
    let error = try failure([0x80, 2] + operations + Array(".".utf8))
    #expect(error?.code == .limitExceeded)
    #expect(error?.message.contains(what) == true, "\(String(describing: error))")
  }

  @Test func boundsTensorsTiesAndNames() throws {
    let tie = "h\u{2}"
    let tensor = "h\0h\u{1}R"
    #expect(try code(many(Limits.ties + 1, tie)) == nil)
    try expectLimit("the number of tied tensors", many(Limits.ties + 2, tie))
    // Tensors of their own that are the same view.
    #expect(try code(many(Limits.ties + 1, tensor)) == nil)
    try expectLimit("the number of tied tensors", many(Limits.ties + 2, tensor))
    try expectLimit("the number of tensors in the pickle", many(Limits.pickleTensors, tensor))
    let folders = [String](repeating: String(repeating: "d", count: 250), count: 4)
    #expect(try code(many(1000, tie, wrappedIn: folders)) == nil)
    try expectLimit("the size of the tensors' names", many(Limits.ties + 1, tie, wrappedIn: folders + ["e"]))
  }

  @Test func boundsTheNamesOfPython() throws {
    let one = Array("ctorch\nSize\n0".utf8)
    func pickle(_ count: Int) -> [UInt8] { (0..<count).flatMap { _ in one } + Array("}".utf8) }
    #expect(try code(pickle(Limits.pickleGlobals)) == nil)
    try expectLimit("the number of names of Python", pickle(Limits.pickleGlobals + 1))
  }

  @Test func theMemoCountsFromZero() throws {
    func place(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
    let last = UInt32(Limits.pickleObjects - 1)
    #expect(try code(Array("}r".utf8) + place(last) + Array("0j".utf8) + place(last)) == nil)
    try expectLimit("the number of values in the memo", Array("}r".utf8) + place(last + 1))
    try expectLimit("the number of values in the memo", Array("}r".utf8) + place(.max))
    #expect(try code(Array("}r".utf8) + place(7) + Array("j".utf8) + place(6)) == .malformed)
    #expect(try code(Array("}j".utf8) + place(.max)) == .malformed)
    // MEMOIZE takes the next place.
    #expect(try code(Array("}".utf8) + [0x94] + Array("0h\0".utf8)) == nil)
  }
}
