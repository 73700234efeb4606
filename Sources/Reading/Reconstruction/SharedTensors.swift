import Synchronization
import TMPackArchiveFormat
import TMPackByteIO
import TMPackDigests
import TMPackParallel
import TMPackTensorKit

/// The tensors of an archive's shared model, wherever they are: embedded, or in a checkpoint bound by digest (TMP-6-4).
package struct SharedTensors: Sendable {
  package let section: Section<SharedManifest>
  private let payloads: PayloadReader
  private let detached: (any TensorSource)?
  /// What the embedded tensors were copied from.
  private let original: (any TensorSource)?
  private let archivePath: String

  init(of archive: Archive) throws(StorageError) {
    section = try archive.file.sharedSection()
    payloads = archive.file.payloads
    detached = archive.isDetached ? archive.givenSharedModel : nil
    original = nil
    archivePath = archive.path
  }

  /// - Parameters:
  ///   - detached: the checkpoint that holds the model, for entries without a payload.
  ///   - original: the checkpoint that all payloads were copied from just now: what lies in its files as it is is read there,
  ///     which takes no decompression.
  package init(
    section: Section<SharedManifest>, payloads: PayloadReader, detached: (any TensorSource)?,
    original: (any TensorSource)? = nil, archivePath: String
  ) {
    self.section = section
    self.payloads = payloads
    self.detached = detached
    self.original = original
    self.archivePath = archivePath
  }

  package var manifest: SharedManifest { section.manifest }

  /// A tensor's bytes: a view of a checkpoint that is mapped, else a copy.
  package func bytes(of entry: SharedEntry) throws(StorageError) -> TensorBytes {
    switch entry.content {
    case .embedded:
      if let (original, info) = try original(of: entry) { return try original.bytes(of: info) }
      return try bytes(ofEmbedded: entry)
    case .detached:
      let source = try requiredSource()
      let bytes = try source.bytes(of: try matching(entry, in: source))
      try bind(entry, OpenTensor(bytes))
      return bytes
    }
  }

  /// A tensor for who reads it in parts, each as often as needed. One of a detached checkpoint is checked now, once.
  package func opened(_ entry: SharedEntry) throws(StorageError) -> OpenTensor {
    switch entry.content {
    case .embedded:
      if let (original, info) = try original(of: entry) { return try original.opened(info) }
      guard entry.info.byteCount > OpenTensor.smallBytes else { return OpenTensor(try bytes(ofEmbedded: entry)) }
      let tensor = try open(entry, isReadWhole: false)
      return OpenTensor(count: entry.info.byteCount) { range, target throws(StorageError) in
        try tensor.read(range, into: target)
      }
    case .detached:
      let source = try requiredSource()
      let tensor = try source.opened(try matching(entry, in: source))
      try bind(entry, tensor)
      return tensor
    }
  }

  /// Where an embedded tensor was copied from, if it lies there as it is.
  private func original(of entry: SharedEntry) throws(StorageError) -> (any TensorSource, TensorInfo)? {
    guard let original, let info = original.tensor(named: entry.info.name),
      try original.stored(info)?.encoding == .plain
    else { return nil }
    return (original, info)
  }

  private func bytes(ofEmbedded entry: SharedEntry) throws(StorageError) -> TensorBytes {
    let tensor = try open(entry, isReadWhole: true)
    let count = entry.info.byteCount
    return try TensorBytes(count: count) { buffer throws(StorageError) in try tensor.read(0..<count, into: buffer) }
  }

  /// Checks a tensor of a detached checkpoint (TMP-6-4).
  private func bind(_ entry: SharedEntry, _ tensor: OpenTensor) throws(StorageError) {
    if case .detached(let checksum?) = entry.content {
      try bind(entry, "checksum", expected: checksum, actual: try CRC32.concurrently(of: tensor))
    } else {
      try bind(entry, "digest", expected: entry.digest, actual: try ContentDigest(of: tensor))
    }
  }

  /// A tensor that is read in parts. Who reads the last part of one of a detached checkpoint gets an error unless it is what the archive
  /// is bound to (TMP-6-4).
  ///
  /// - Parameter isReadWhole: all of it, each byte once. Else one of a detached checkpoint is checked now.
  func open(_ entry: SharedEntry, isReadWhole: Bool) throws(StorageError) -> OpenSharedTensor {
    switch entry.content {
    case .embedded(let payload):
      return OpenSharedTensor(name: entry.info.name, place: .frames(payload, section, payloads))
    case .detached(let checksum):
      let source = try requiredSource()
      let info = try matching(entry, in: source)
      if isReadWhole, let checksum, let stored = try source.stored(info), stored.encoding == .plain,
        stored.range.count == info.byteCount
      {
        let tensors = self
        let checksums = PartChecksums(of: info.byteCount) { actual throws(StorageError) in
          try tensors.bind(entry, "checksum", expected: checksum, actual: actual)
        }
        return OpenSharedTensor(name: entry.info.name, place: .file(stored.range, checksums))
      }
      return OpenSharedTensor(name: entry.info.name, place: .memory(try bytes(of: entry)))
    }
  }

  /// Bytes that a tensor's first frame gives of it; nil for one that shares a frame, or is not in any.
  func frameBytes(of entry: SharedEntry) -> Int? {
    guard case .embedded(let payload) = entry.content, payload.skip == 0, payload.count > 0 else { return nil }
    return section.frames[payload.first].rawSize
  }

  /// Checks a tensor by digest (TMP-8-2, TMP-8-3).
  func verify(_ entry: SharedEntry) throws(StorageError) {
    let actual = try bytes(of: entry).withBytes { ContentDigest(of: $0) }
    switch entry.content {
    case .detached: try bind(entry, "digest", expected: entry.digest, actual: actual)
    case .embedded:
      guard actual == entry.digest else {
        throw StorageError(.digestMismatch, "the shared tensor has digest \(actual) instead of \(entry.digest)")
      }
    }
  }

  private func bind<Value: Equatable>(
    _ entry: SharedEntry, _ kind: String, expected: Value, actual: Value
  ) throws(StorageError) {
    guard actual == expected else {
      throw StorageError(
        .baseMismatch,
        "is not the tensor that \(archivePath) is bound to: expected \(kind) \(expected), found \(actual)",
        file: try requiredSource().label, tensor: entry.info.name)
    }
  }

  /// The bytes of a non-tensor file.
  package func bytes(of file: CarriedFileEntry) throws(StorageError) -> [UInt8] {
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
        .invalidArgument, "is detached: its shared model is another checkpoint", file: archivePath
      ).with(.giveShared)
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

extension CRC32 {
  /// Bytes that one thread takes at a time.
  private static let runLength = 4 << 20

  /// By all threads that are free: see `concurrently`.
  fileprivate static func concurrently(of tensor: OpenTensor) throws(StorageError) -> CRC32 {
    let runs = stride(from: 0, to: tensor.count, by: runLength).map { $0..<min($0 + runLength, tensor.count) }
    let checksums = try mappedConcurrently(runs.count) { index throws(StorageError) in
      try tensor.withBytes(runs[index]) { CRC32.of($0) }
    }
    return zip(runs, checksums).reduce(CRC32()) { $0.followed(by: $1.1, count: $1.0.count) }
  }
}

/// The checksum of bytes that come in parts, in any order.
private final class PartChecksums: Sendable {
  private struct State {
    var parts: [Int: (checksum: CRC32, count: Int)] = [:]
    var count = 0
  }
  private let state = Mutex(State())
  private let total: Int
  private let check: @Sendable (CRC32) throws(StorageError) -> Void

  /// - Parameter check: is called with the checksum of all `total` bytes, when they are there.
  init(of total: Int, check: @escaping @Sendable (CRC32) throws(StorageError) -> Void) {
    self.total = total
    self.check = check
  }

  func add(_ part: UnsafeRawBufferPointer, at start: Int) throws(StorageError) {
    let checksum = CRC32.of(part)
    let all = state.withLock { state -> [(checksum: CRC32, count: Int)]? in
      guard state.parts.updateValue((checksum, part.count), forKey: start) == nil else { return nil }
      state.count += part.count
      guard state.count == total else { return nil }
      return state.parts.sorted { $0.key < $1.key }.map(\.value)
    }
    guard let all else { return }
    try check(all.reduce(CRC32()) { $0.followed(by: $1.checksum, count: $1.count) })
  }
}

/// A tensor of the shared model, for who reads it in parts.
struct OpenSharedTensor: Sendable {
  fileprivate enum Place: Sendable {
    case frames(PayloadReference, Section<SharedManifest>, PayloadReader)
    case file(FileRange, PartChecksums)
    case memory(TensorBytes)
  }

  fileprivate let name: String
  fileprivate let place: Place

  fileprivate init(name: String, place: Place) { (self.name, self.place) = (name, place) }

  /// One that is in memory.
  init(name: String, bytes: TensorBytes) { self.init(name: name, place: .memory(bytes)) }

  package func read(_ range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    switch place {
    case .frames(let payload, let section, let payloads):
      try located(tensor: name) { () throws(StorageError) in
        try payloads.read(payload, range, of: section, into: destination)
      }
    case .file(let file, let checksums):
      try file.copy(from: range.lowerBound, into: destination)
      // While it is in the cache still.
      try checksums.add(UnsafeRawBufferPointer(destination), at: range.lowerBound)
    case .memory(let bytes):
      try bytes.withBytes { destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
  }

  /// Lends some bytes: a copy unless they are in memory.
  package func withBytes(
    _ range: Range<Int>, in scratch: PartMemory, _ body: (UnsafeRawBufferPointer) throws(StorageError) -> Void
  ) throws(StorageError) {
    switch place {
    case .frames, .file:
      let bytes = try scratch.bytes(count: range.count) { room throws(StorageError) in try read(range, into: room) }
      try bytes.withBytes { raw throws(StorageError) in try body(raw) }
    case .memory(let bytes):
      try bytes.withBytes { raw throws(StorageError) in try body(UnsafeRawBufferPointer(rebasing: raw[range])) }
    }
  }
}
