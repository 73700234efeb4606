import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// A folder of safetensors files with pieces of tensors, as `torch.distributed.checkpoint.HuggingFaceStorageWriter` leaves
/// them with `save_distributed`, until its consolidation.
///
/// The header of each says in its metadata, under `DCP_SHARDING_INFO`, where its pieces begin:
/// `{"NAME": {"saved_offsets": [row, column, …]}, …}`. How large the whole is, and how many files there are, nothing says.
enum SafetensorsPieces {
  static let key = "DCP_SHARDING_INFO"
  static let versionKey = "DCP_VERSION"
  private static let offsetsKey = "saved_offsets"

  /// Whether the files' names are those that the writer gives.
  static func files(amongst names: [String]) -> [String] {
    names.filter { $0.hasPrefix("shard-") && $0.hasSuffix(".safetensors") }
  }

  /// - Throws: `unsupportedFeature` for a file that holds pieces, as its tensors are not what their names say.
  static func refuse(_ file: SafetensorsFile) throws(StorageError) {
    guard file.metadata[key] != nil else { return }
    throw StorageError(
      .unsupportedFeature,
      "holds pieces of tensors, the part of one process (\(key)); name its folder, which has the others",
      file: file.path)
  }

  /// The tensors of the files together; nil where they hold no pieces.
  static func open(_ names: [String], in folder: String, _ mode: InputMode) throws(StorageError) -> PiecedSource? {
    var pieces: [ExactString: [(info: TensorInfo, piece: TensorPiece)]] = [:]
    var order: [String] = []
    var metadata: [String: String] = [:]
    for (number, name) in names.enumerated() {
      let file = try SafetensorsFile(FileTree.join(folder, name), mode: mode)
      guard let offsets = try Self.offsets(of: file) else {
        if number == 0 { return nil }
        throw StorageError(.malformed, "says nothing of pieces, unlike \(names[0])", file: file.path)
      }
      metadata.merge(file.metadata) { first, _ in first }
      for info in file.tensors {
        guard let begin = offsets[ExactString(info.name)] else {
          throw StorageError(.malformed, "\(key) does not say where it begins", file: file.path, tensor: info.name)
        }
        let piece = TensorPiece(offsets: begin, shape: info.shape) { () throws(StorageError) in
          try file.bytes(of: info)
        }
        if pieces[ExactString(info.name)] == nil { order.append(info.name) }
        pieces[ExactString(info.name), default: []].append((info, piece))
      }
    }
    for own in [key, versionKey] { metadata[own] = nil }
    let note = """
      \(names.count) files of pieces are put together; nothing in them says how many there were, so count that none of the \
      last is missing
      """
    return try PiecedSource(
      order.map { name throws(StorageError) in
        try located(file: folder, tensor: name) { () throws(StorageError) in
          try tensor(name, pieces[ExactString(name)]!)
        }
      }, metadata: metadata, notes: [note], label: folder)
  }

  /// Its shape is that of the box around all pieces.
  private static func tensor(
    _ name: String, _ pieces: [(info: TensorInfo, piece: TensorPiece)]
  ) throws(StorageError) -> PiecedTensor {
    let first = pieces[0].info
    var shape = first.shape.dimensions.map { _ in 0 }
    for (info, piece) in pieces {
      guard info.dtype == first.dtype, piece.offsets.count == shape.count, info.shape.dimensions.count == shape.count
      else { throw StorageError(.malformed, "has pieces of different dtypes or dimensions") }
      for (dimension, size) in info.shape.dimensions.enumerated() {
        shape[dimension] = max(shape[dimension], try piece.offsets[dimension].adding(size, "the end of a piece"))
      }
    }
    let whole = try TensorInfo(name: name, dtype: first.dtype, shape: Shape(shape))
    // What is not sharded every process may have written; then each has all of it.
    let copies = pieces.allSatisfy { $0.info.shape == whole.shape }
    return try PiecedTensor(whole, copies ? [pieces[0].piece] : pieces.map(\.piece))
  }

  /// Where the pieces of a file begin; nil where it says nothing of pieces.
  static func offsets(of file: SafetensorsFile) throws(StorageError) -> [ExactString: [Int]]? {
    guard let text = file.metadata[key] else { return nil }
    return try located(file: file.path) { () throws(StorageError) in try offsets(parsing: text) }
  }

  private static func offsets(parsing text: String) throws(StorageError) -> [ExactString: [Int]] {
    var offsets: [ExactString: [Int]] = [:]
    for (name, value) in try JSONValue(parsing: Array(text.utf8)).asObject(key).members {
      let places = try value.asObject(name).required(offsetsKey, of: name).asArray(offsetsKey)
      try Limits.check(places.count, atMost: Limits.dimensions, "the number of dimensions")
      offsets[ExactString(name)] = try places.map { place throws(StorageError) in try place.asCount(offsetsKey) }
    }
    return offsets
  }
}
