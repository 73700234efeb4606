import Synchronization
import TMPackByteIO
import TMPackTensorKit
import TMPackZstandard

/// A folder that `torch.distributed.checkpoint` (DCP) wrote: `.metadata`, and files of segments, each a piece of a tensor
/// or some value of Python.
///
/// A segment is what `torch.save` makes of the piece, compressed or not. With `SerializationFormat.SAFETENSORS` the pieces
/// of a file are one safetensors image at its end, where the segments of all of them begin, and whose own offsets count
/// (PyTorch 2.15 cannot load these itself). Names are those of the nested state dict, joined by dots, and the model beside the state
/// of its training stands for the whole, as in `StateDictionary`.
struct DistributedCheckpoint {
  static let suffix = ".distcp"

  let source: PiecedSource
  /// In the folder: the metadata first.
  let files: [String]

  /// Arguments and counters that Megatron (`common.pt`) and Lightning (`meta.pt`) keep beside it.
  static let companions: Set<String> = ["common.pt", "meta.pt"]

  /// Whether the names of a folder's files are those of such a checkpoint.
  static func isOne(_ names: [String]) -> Bool {
    names.contains(DistributedMetadata.fileName) && names.contains { $0.hasSuffix(suffix) }
  }

  /// - Throws: `malformed` when metadata and files disagree, `truncated`, `limitExceeded`; `unsupportedFeature` for
  ///   elements that no tensor here has. What is in the segments is looked at when it is read.
  init(_ folder: String, _ mode: InputMode) throws(StorageError) {
    let metadataPath = FileTree.join(folder, DistributedMetadata.fileName)
    let metadata = try located(file: metadataPath) { () throws(StorageError) in
      let file = try ReadableFile(metadataPath, mode: .read)
      try Limits.check(file.size, atMost: Limits.pickleBytes, "the size of the metadata")
      return try file.withBytes(at: 0, count: Int(file.size)) { raw throws(StorageError) in
        var input = ByteReader(raw)
        let pickle = try Unpickler.load(&input)
        guard input.remaining == 0 else {
          throw StorageError(.malformed, "bytes follow the end of the pickle", offset: input.offset)
        }
        return try DistributedMetadata(pickle)
      }
    }
    let model = StateDictionary.Wrapping(
      metadata.tensors.map(\.path), others: metadata.objects.map(\.path))
    var opened: [ExactString: DistributedFile] = [:]
    var names: [String] = []
    func file(_ segment: DistributedMetadata.Segment) throws(StorageError) -> DistributedFile {
      let file: DistributedFile
      if let known = opened[ExactString(segment.file)] {
        file = known
      } else {
        try Limits.check(opened.count + 1, atMost: Limits.shards, "the number of files")
        file = DistributedFile(try ReadableFile(FileTree.join(folder, segment.file), mode: mode))
        opened[ExactString(segment.file)] = file
        names.append(segment.file)
      }
      let whole = file.file
      guard segment.offset <= whole.size, segment.count <= whole.size - segment.offset else {
        throw StorageError(
          .truncated, "the metadata say \(segment.count) bytes here, the file ends at byte \(whole.size)",
          file: whole.path, offset: segment.offset)
      }
      return file
    }

    let pieced = try metadata.tensors.filter { model.keeps($0.path) }.map { tensor throws(StorageError) in
      try located(file: metadataPath, tensor: tensor.name) { () throws(StorageError) in
        guard let dtype = tensor.dtype else {
          throw StorageError(.unsupportedFeature, "has elements of PyTorch's type \(tensor.typeName)")
        }
        guard dtype != .f4 else {
          throw StorageError(.unsupportedFeature, "has F4 elements; save it with torch.save or safetensors")
        }
        let pieces = try tensor.chunks.map { chunk throws(StorageError) in
          let segment = DistributedSegment(try file(chunk.segment), chunk.segment)
          return TensorPiece(offsets: chunk.offsets, shape: chunk.shape) { () throws(StorageError) in
            try segment.elements(of: tensor.name, chunk, dtype)
          }
        }
        return try PiecedTensor(
          TensorInfo(name: model.name(tensor.path), dtype: dtype, shape: tensor.shape), pieces)
      }
    }
    var notes = model.notes
    notes += try Self.notes(on: metadata.objects.filter { model.keeps($0.path) }, model) {
      object throws(StorageError) in
      DistributedSegment(try file(object.segment), object.segment)
    }
    // What is left out is of the checkpoint, too.
    for tensor in metadata.tensors where !model.keeps(tensor.path) {
      for chunk in tensor.chunks { _ = try file(chunk.segment) }
    }
    for object in metadata.objects where !model.keeps(object.path) { _ = try file(object.segment) }
    source = try PiecedSource(pieced, notes: notes, label: folder)
    files = [DistributedMetadata.fileName] + names.sorted { $0.precedesInBytes($1) }
  }

  /// Objects are not tensors, but a tuple, say, may hold some.
  private static func notes(
    on objects: [DistributedMetadata.Object], _ model: StateDictionary.Wrapping,
    _ segment: (DistributedMetadata.Object) throws(StorageError) -> DistributedSegment
  ) throws(StorageError) -> [String] {
    guard !objects.isEmpty else { return [] }
    var withTensors: [String] = []
    var others: [String] = []
    for (number, object) in objects.enumerated() {
      let name = model.name(object.path)
      let count = number < Limits.examinedObjects ? try segment(object).tensorCount() : 0
      if count > 0 { withTensors.append("\(name) (\(counted(count, "tensor")))") } else { others.append(name) }
    }
    var notes: [String] = []
    if !withTensors.isEmpty {
      notes.append(
        "tensors inside of \(counted(withTensors.count, "object")) are left out: \(WritableFormat.listed(withTensors))")
    }
    if !others.isEmpty {
      notes.append("\(counted(others.count, "value")) not a tensor left out: \(WritableFormat.listed(others))")
    }
    return notes
  }
}

/// A number of things.
func counted(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }

/// A file of segments.
final class DistributedFile: Sendable {
  let file: ReadableFile
  /// Safetensors images, by where they begin.
  private let images = Mutex<[UInt64: SafetensorsFile]>([:])

  init(_ file: ReadableFile) { self.file = file }

  /// The image that begins at `offset` and ends with the file.
  func image(at offset: UInt64) throws(StorageError) -> SafetensorsFile {
    if let known = images.withLock({ $0[offset] }) { return known }
    let image = try SafetensorsFile(ReadableFile(part: (offset, file.size - offset), of: file))
    images.withLock { $0[offset] = image }
    return image
  }
}

/// One segment of a file.
struct DistributedSegment: Sendable {
  private let owner: DistributedFile
  private let place: DistributedMetadata.Segment
  private var file: ReadableFile { owner.file }

  init(_ owner: DistributedFile, _ place: DistributedMetadata.Segment) { (self.owner, self.place) = (owner, place) }

  /// The elements of a piece of the tensor `name`.
  func elements(of name: String, _ chunk: DistributedMetadata.Chunk, _ dtype: DType) throws(StorageError) -> TensorBytes
  {
    try located { () throws(StorageError) in
      let byteCount = try chunk.shape.byteCount(of: dtype)
      func wrong(_ found: TensorInfo?) -> StorageError {
        let found = found.map { "\($0.dtype.rawValue) \($0.shape)" } ?? "something else"
        return StorageError(
          .malformed, "holds not the piece \(dtype.rawValue) \(chunk.shape) that the metadata say, but \(found)")
      }
      let content = try content(expecting: byteCount)
      guard try content.bytes(at: 0, count: Int(min(content.size, 2))) == Array("PK".utf8) || place.isCompressed else {
        let image = try owner.image(at: place.offset)
        guard let info = image.tensor(named: name), info.shape == chunk.shape, info.dtype == dtype,
          try SafetensorsPieces.offsets(of: image)?[ExactString(name)] == chunk.offsets
        else { throw wrong(image.tensor(named: name)) }
        return try image.bytes(of: info)
      }
      let saved = try torchFile(content)
      guard saved.tensors.count == 1, let info = saved.tensors.first, info.shape == chunk.shape, info.dtype == dtype
      else { throw wrong(saved.tensors.first) }
      return try saved.bytes(of: info)
    }
  }

  /// Tensors inside of a value of Python.
  func tensorCount() throws(StorageError) -> Int {
    try located { () throws(StorageError) in
      let archive = try ZipArchive(content(expecting: Limits.pickleBytes))
      guard let entry = TorchFile.pickle(in: archive) else { return 0 }
      return try archive.bytes(of: entry, atMost: Limits.pickleBytes).withBytes { raw throws(StorageError) in
        var input = ByteReader(raw)
        let pickle = try Unpickler.load(&input)
        guard case .object(let root) = pickle.root else { return 0 }
        var search = HiddenTensors(pickle.objects, except: [])
        return search.count(from: root)
      }
    }
  }

  private func torchFile(_ content: ReadableFile) throws(StorageError) -> TorchFile {
    let archive = try ZipArchive(content)
    guard let pickle = TorchFile.pickle(in: archive) else {
      throw StorageError(.malformed, "holds neither what torch.save makes nor a safetensors image")
    }
    return try TorchFile(archive, pickle: pickle)
  }

  private func content(expecting byteCount: Int) throws(StorageError) -> ReadableFile {
    let part = try ReadableFile(part: (place.offset, place.count), of: file)
    guard place.isCompressed else { return part }
    let limit = try byteCount.adding(Limits.segmentOverhead, "the size of a piece")
    let raw = try part.withBytes(at: 0, count: Int(part.size)) { stored throws(StorageError) in
      try Zstandard.decompress(foreign: stored, atMost: limit)
    }
    let memory = TensorBytes(count: raw.count) { $0.copyBytes(from: raw) }
    return try memory.withBytes { ReadableFile($0, keeping: memory, path: file.path) }
  }

  /// Errors count their bytes from the start of the file.
  private func located<Result>(_ body: () throws(StorageError) -> Result) throws(StorageError) -> Result {
    do { return try body() } catch {
      var error = error.at(file: file.path)
      error.offset = place.offset + (place.isCompressed ? 0 : error.offset ?? 0)
      throw error
    }
  }
}
