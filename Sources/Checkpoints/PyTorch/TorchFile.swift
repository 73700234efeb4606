import Synchronization
import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

/// What `torch.save` wrote: a pickle, and where the storages are that its tensors are views of.
struct TorchContents: Sendable {
  let file: ReadableFile
  let pickle: Pickle
  /// By the keys of the storages.
  let records: [ExactString: TorchRecord]
  /// In the ZIP format.
  let archive: ZipArchive?
  let isBigEndian: Bool
}

extension TorchContents {
  /// - Throws: `unknownFormat` for a file that is none of PyTorch; what the readers of its formats throw.
  static func open(_ path: String, mode: InputMode) throws(StorageError) -> TorchContents {
    let file = try ReadableFile(path, mode: mode)
    let prefix = try file.bytes(at: 0, count: Int(min(UInt64(CheckpointFormat.prefixBytes), file.size)))
    switch CheckpointFormat(sniffing: prefix) {
    case .zip?:
      let archive = try ZipArchive(file)
      if let pickle = TorchFile.pickle(in: archive) { return try TorchContents(archive, pickle: pickle) }
    case .legacyTorch?: return try TorchContents(legacy: file)
    default: break
    }
    throw StorageError(.unknownFormat, "is no file of torch.save", file: path)
  }
}

/// A file that `torch.save` wrote: the tensors of its pickle, read when asked for. No code in it is ever run.
///
/// Tensors may be any views of their storages; they are given row-major. Those that are the same view of the same
/// storage are `ties`.
struct TorchFile: TensorSource {
  let tensors: [TensorInfo]
  let notes: [String]
  let ties: [String: String]
  let stateMetadata: StateMetadata?
  private let file: ReadableFile
  private let isBigEndian: Bool
  /// In the order of `tensors`.
  private let places: [Place]
  private let checked: CheckedRecords

  var label: String { file.path }

  /// A tensor's view of a record.
  private struct Place: Sendable, Hashable {
    let record: Int
    let view: StridedView
    let dtype: DType
  }

  init(_ contents: TorchContents, _ dictionary: StateDictionary) throws(StorageError) {
    let (file, records) = (contents.file, contents.records)
    self.file = file
    isBigEndian = contents.isBigEndian
    notes = dictionary.notes
    stateMetadata = dictionary.metadata
    var recordNumbers: [ExactString: Int] = [:]
    var usedRecords: [TorchRecord] = []
    let named = dictionary.tensors.sorted { $0.name.precedesInBytes($1.name) }
    var infos: [TensorInfo] = []
    var places: [Place] = []
    var first: [Place: String] = [:]
    var ties: [String: String] = [:]
    for (name, tensor) in named {
      let storage = tensor.storage
      try located(file: file.path, tensor: name) { () throws(StorageError) in
        guard let dtype = tensor.dtype, let unit = storage.dtype else {
          throw StorageError(.unsupportedFeature, "has elements of PyTorch's type \(tensor.typeName)")
        }
        guard !tensor.isUnresolved else {
          throw StorageError(
            .unsupportedFeature,
            "is a lazy conjugate or negative of what is stored; save what resolve_conj() and resolve_neg() give")
        }
        infos.append(try TensorInfo(name: name, dtype: dtype, shape: tensor.shape))
        guard let record = records[storage.key] else {
          throw StorageError(.malformed, "its storage \(storage.key.text.debugDescription) is not in the file")
        }
        guard record.byteCount >= UInt64(storage.count * unit.torchWidth) else {
          throw StorageError(
            .truncated,
            "its storage has \(record.byteCount) bytes, \(storage.count) elements of \(storage.typeName) need more",
            offset: record.offset)
        }
        let number = recordNumbers[storage.key] ?? usedRecords.count
        if number == usedRecords.count {
          recordNumbers[storage.key] = number
          usedRecords.append(record)
        }
        let place = Place(record: number, view: tensor.view, dtype: dtype)
        places.append(place)
        if tensor.shape.elementCount > 0 {
          if let other = first[place] { ties[name] = other } else { first[place] = name }
          try Limits.check(ties.count, atMost: Limits.ties, "the number of tied tensors")
        }
      }
    }
    try located(file: file.path) { () throws(StorageError) in try Self.checkSize(of: infos, in: usedRecords) }
    tensors = infos
    self.places = places
    self.ties = ties
    checked = CheckedRecords(usedRecords, archive: contents.archive, file: file)
  }

  /// Many views of one storage are many tensors when they are written elsewhere.
  private static func checkSize(of tensors: [TensorInfo], in records: [TorchRecord]) throws(StorageError) {
    var stored: UInt64 = 0
    for record in records { stored = try stored.adding(record.byteCount, "the size of the storages") }
    var total: UInt64 = 0
    for info in tensors { total = try total.adding(UInt64(info.byteCount), "the size of the tensors") }
    let (most, overflow) = stored.multipliedReportingOverflow(by: UInt64(Limits.sharedStorageFactor))
    guard !overflow else { return }
    try Limits.check(
      total, atMost: try most.adding(UInt64(Limits.sharedStorageFloor), "the size of the storages"),
      "the size of the tensors in storages of \(stored) bytes")
  }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try bytes(of: info).withBytes { destination.copyMemory(from: $0) }
  }

  func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let place = places[try place(of: info)]
    return try located(file: label, tensor: info.name) { () throws(StorageError) in
      let width = info.dtype.torchWidth
      let extent = place.view.extent
      let swaps = isBigEndian && info.dtype.planeWidth > 1
      let raw = try checked.bytes(
        of: place.record, at: extent.lowerBound * width, count: extent.count * width,
        alignment: info.dtype.planeWidth)
      if place.view.isContiguous, !swaps { return raw }
      return try TensorBytes(count: info.byteCount) { memory throws(StorageError) in
        try raw.withBytes { place.view.gather($0, width: width, into: memory) }
        if swaps { swapBytes(of: memory, width: info.dtype.planeWidth) }
      }
    }
  }

  func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    let place = places[try place(of: info)]
    guard place.view.isContiguous, !(isBigEndian && info.dtype.planeWidth > 1) else { return nil }
    let start = place.view.extent.lowerBound * info.dtype.torchWidth
    return try located(file: label, tensor: info.name) { () throws(StorageError) in
      try checked.piece(of: place.record, start + range.lowerBound..<start + range.upperBound)
    }
  }
}

extension TorchFile {
  func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    let place = places[try place(of: info)]
    guard place.view.isContiguous, place.view.extent.lowerBound == 0, !(isBigEndian && info.dtype.planeWidth > 1)
    else { return nil }
    return checked.stored(place.record, count: info.byteCount)
  }
}

/// Where the bytes of a storage are.
struct TorchRecord: Sendable {
  let offset: UInt64
  /// Decompressed.
  let byteCount: UInt64
  /// In the ZIP format.
  let entry: ZipEntry?
}

/// Records whose checksums are looked at once, when first used.
private final class CheckedRecords: Sendable {
  private let records: [TorchRecord]
  private let archive: ZipArchive?
  private let file: ReadableFile
  private let sound = Mutex<Set<Int>>([])

  init(_ records: [TorchRecord], archive: ZipArchive?, file: ReadableFile) {
    (self.records, self.archive, self.file) = (records, archive, file)
  }

  func bytes(of number: Int, at start: Int, count: Int, alignment: Int) throws(StorageError) -> TensorBytes {
    let record = records[number]
    if let entry = record.entry, let archive {
      if entry.method == ZipFormat.deflated {
        let whole = try TensorBytes(count: Int(entry.size)) { memory throws(StorageError) in
          try archive.read(entry, into: memory)
        }
        return try whole.withBytes { bytes throws(StorageError) in
          TensorBytes(viewing: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]), keeping: whole)
        }
      }
      try check(number)
    }
    return try TensorBytes(of: file, at: record.offset + UInt64(start), count: count, alignment: alignment)
  }

  /// Some bytes of a record, read even where it is mapped; nil for one that is compressed.
  func piece(of number: Int, _ range: Range<Int>) throws(StorageError) -> [UInt8]? {
    let record = records[number]
    if let entry = record.entry, entry.method == ZipFormat.deflated { return nil }
    if !range.isEmpty { try check(number) }
    return try [UInt8](count: range.count) { target throws(StorageError) in
      try FileRange(file, at: record.offset, count: Int(record.byteCount)).copy(from: range.lowerBound, into: target)
    }
  }

  /// Throws unless a record that is not compressed has its checksum.
  private func check(_ number: Int) throws(StorageError) {
    let record = records[number]
    guard let entry = record.entry, let archive, archive.hasChecksums, !sound.withLock({ $0.contains(number) }) else {
      return
    }
    // Two threads may do it twice; that is better than one waiting for the other.
    try archive.check(checksum(of: record), against: entry)
    sound.withLock { _ = $0.insert(number) }
  }

  /// The whole of a record that is not compressed; nil for other records, and unless it has `count` bytes.
  func stored(_ number: Int, count: Int) -> StoredTensor? {
    let record = records[number]
    guard record.byteCount == UInt64(count) else { return nil }
    let range = FileRange(file, at: record.offset, count: count)
    guard let entry = record.entry, let archive else { return StoredTensor(range) }
    guard entry.method == ZipFormat.stored else { return nil }
    guard archive.hasChecksums else { return StoredTensor(range) }
    return StoredTensor(range) { checksum throws(StorageError) in
      try archive.check(CRC32(checksum), against: entry)
    }
  }

  private func checksum(of record: TorchRecord) throws(StorageError) -> CRC32 {
    var checksum = CRC32()
    var done: UInt64 = 0
    while done < record.byteCount {
      let count = Int(min(record.byteCount - done, 1 << 20))
      try file.withBytes(at: record.offset + done, count: count) { checksum.update($0) }
      done += UInt64(count)
    }
    return checksum
  }
}
