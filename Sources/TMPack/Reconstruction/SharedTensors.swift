import ArchiveFormat
import ByteIO
import Digests
import TensorKit

/// The tensors of an archive's shared model, wherever they are: embedded, or in a checkpoint bound by digest (TMP-6-4).
struct SharedTensors: Sendable {
  let section: Section<SharedManifest>
  private let payloads: PayloadReader
  private let detached: (any TensorSource)?
  private let archivePath: String

  init(of archive: Archive) throws(StorageError) {
    section = try archive.file.sharedSection()
    payloads = archive.file.payloads
    detached = archive.isDetached ? archive.givenSharedModel : nil
    archivePath = archive.path
  }

  /// - Parameter detached: the checkpoint that holds the model, for entries without a payload.
  init(section: Section<SharedManifest>, payloads: PayloadReader, detached: (any TensorSource)?, archivePath: String) {
    self.section = section
    self.payloads = payloads
    self.detached = detached
    self.archivePath = archivePath
  }

  var manifest: SharedManifest { section.manifest }

  /// A tensor's bytes: a view of a detached checkpoint that is mapped, else a copy.
  func bytes(of entry: SharedEntry) throws(StorageError) -> TensorBytes {
    let tensor = try open(entry)
    try check(of: entry)?()
    if case .memory(let bytes) = tensor.place { return bytes }
    let count = entry.info.byteCount
    return try TensorBytes(count: count) { buffer throws(StorageError) in try tensor.read(0..<count, into: buffer) }
  }

  /// A tensor that is read in parts. Who relies on them has `check(of:)` done, too.
  func open(_ entry: SharedEntry) throws(StorageError) -> OpenSharedTensor {
    guard let payload = entry.payload else {
      let bytes = try detachedBytes(of: entry)
      if !isMapped(entry) { try check(bytes, entry) }
      return OpenSharedTensor(name: entry.info.name, place: .memory(bytes))
    }
    return OpenSharedTensor(name: entry.info.name, place: .frames(payload, section, payloads))
  }

  /// What checks that a tensor of a detached checkpoint is the one that the archive is bound to (TMP-6-4). nil for an
  /// embedded one, whose frames have checksums, and for one that is not mapped: opening it has checked it, since it
  /// would have to be read once more.
  func check(of entry: SharedEntry) -> SpannedTensor.Check? {
    guard isMapped(entry) else { return nil }
    return { () throws(StorageError) in try check(try detachedBytes(of: entry), entry) }
  }

  private func check(_ bytes: TensorBytes, _ entry: SharedEntry) throws(StorageError) {
    let actual = try bytes.withBytes { Digest(of: $0) }
    guard actual == entry.digest else {
      throw StorageError(
        .baseMismatch,
        "is not the tensor that \(archivePath) is bound to: expected digest \(entry.digest), found \(actual)",
        file: try requiredSource().label, tensor: entry.info.name)
    }
  }

  /// Whether it lies in a detached checkpoint's file that is mapped.
  private func isMapped(_ entry: SharedEntry) -> Bool {
    guard entry.payload == nil, let source = detached, let info = source.tensor(named: entry.info.name),
      let stored = try? source.stored(info)
    else { return false }
    return stored.encoding == .plain && stored.range.file.isMapped
  }

  /// Not checked.
  private func detachedBytes(of entry: SharedEntry) throws(StorageError) -> TensorBytes {
    let source = try requiredSource()
    return try source.bytes(of: try matching(entry, in: source))
  }

  /// The bytes of a non-tensor file.
  func bytes(of file: CarriedFileEntry) throws(StorageError) -> [UInt8] {
    try payloads.bytes(of: file.payload, in: section)
  }

  /// Throws `baseMismatch` for the first tensor that a detached model lacks or has of another dtype or shape.
  func checkInfos() throws(StorageError) {
    let source = try requiredSource()
    for entry in manifest.tensors { _ = try matching(entry, in: source) }
  }

  private func requiredSource() throws(StorageError) -> any TensorSource {
    guard let detached else {
      throw StorageError(
        .invalidArgument, "is detached: its shared model is another checkpoint, which --shared-from names",
        file: archivePath)
    }
    return detached
  }

  private func matching(_ entry: SharedEntry, in source: any TensorSource) throws(StorageError) -> TensorInfo {
    guard let info = source.tensor(named: entry.info.name) else {
      throw StorageError(
        .baseMismatch, "lacks a tensor of the shared model that \(archivePath) is bound to", file: source.label,
        tensor: entry.info.name)
    }
    guard info.matches(entry.info) else {
      throw StorageError(
        .baseMismatch,
        "is \(info.dtype.rawValue) \(info.shape); \(archivePath) is bound to one of \(entry.info.dtype.rawValue) \(entry.info.shape)",
        file: source.label, tensor: entry.info.name)
    }
    return info
  }
}

/// A tensor of the shared model, for who reads it in parts.
struct OpenSharedTensor: Sendable {
  fileprivate enum Place: Sendable {
    case frames(PayloadReference, Section<SharedManifest>, PayloadReader)
    case memory(TensorBytes)
  }

  fileprivate let name: String
  fileprivate let place: Place

  func read(_ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    switch place {
    case .frames(let payload, let section, let payloads):
      try located(tensor: name) { () throws(StorageError) in
        try payloads.read(payload, range, of: section, into: destination)
      }
    case .memory(let bytes):
      try bytes.withBytes { destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
  }

  /// Lends some bytes: a copy only where they are stored in frames.
  func withBytes(
    _ range: Range<Int>, in scratch: PartMemory, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    switch place {
    case .frames:
      let bytes = try scratch.bytes(count: range.count) { room throws(StorageError) in try read(range, into: room) }
      try bytes.withBytes { raw throws(StorageError) in try body(raw) }
    case .memory(let bytes):
      try bytes.withBytes { raw throws(StorageError) in try body(UnsafeRawBufferPointer(rebasing: raw[range])) }
    }
  }
}
