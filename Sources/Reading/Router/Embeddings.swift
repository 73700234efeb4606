import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackJSON
import TMPackTensorKit

/// What a router looks at: a row of numbers for each input, such as the mean of the shared model's last hidden state.
public struct Embeddings: Sendable {
  /// Row-major, `rows` × `dimension`, all finite.
  public let values: [Float]
  public let rows: Int
  public let dimension: Int
  /// Which class each row belongs to, where that is known.
  public let labels: [Int]?
  /// The names of the classes, where the file says them.
  public let classNames: [String]?

  /// - Throws: `shapeMismatch` unless there is a whole number of rows, at least one; `nonFinite` for a NaN or an infinity.
  public init(_ values: [Float], dimension: Int, labels: [Int]? = nil, classNames: [String]? = nil)
    throws(StorageError)
  {
    guard dimension > 0, values.count.isMultiple(of: dimension), !values.isEmpty else {
      throw StorageError(.shapeMismatch, "\(values.count) numbers are no rows of \(dimension)")
    }
    rows = values.count / dimension
    guard labels.map({ $0.count == values.count / dimension }) ?? true else {
      throw StorageError(.shapeMismatch, "there are \(labels!.count) labels for \(values.count / dimension) rows")
    }
    if let place = values.firstIndex(where: { !$0.isFinite }) {
      throw StorageError(.nonFinite, "row \(place / dimension) of the embeddings has a number that is not finite")
    }
    self.values = values
    self.dimension = dimension
    self.labels = labels
    self.classNames = classNames
  }

  /// Reads a file in any format that holds tensors: the one matrix of floats that is in it, called `embeddings` if there
  /// are several, and, if there are any, the labels: the one vector of integers, or that called `labels`. A vector of
  /// floats alone is one row.
  ///
  /// The metadatum `classes` of the file, a JSON array or names between commas, says what the labels mean.
  /// - Throws: what the file's reader throws; `invalidArgument` where it is not clear which tensors are meant;
  ///   `nonFinite`; `limitExceeded`.
  public init(contentsOf path: String, mode: InputMode = .automatic) throws(StorageError) {
    self = try located(file: path) { () throws(StorageError) in
      try Embeddings(Checkpoint.open(path, mode: mode).source)
    }
  }

  /// See `init(contentsOf:mode:)`.
  public init(_ source: any TensorSource) throws(StorageError) {
    let floats = source.tensors.filter { $0.dtype.floatFormat != nil && [1, 2].contains($0.shape.dimensions.count) }
    let matrices = floats.filter { $0.shape.dimensions.count == 2 }
    guard let info = Self.chosen(matrices.isEmpty ? floats : matrices, named: "embeddings") else {
      throw StorageError(
        .invalidArgument, "holds no tensor \"embeddings\", and not just one matrix of floats", file: source.label)
    }
    let dimension = info.shape.dimensions.last!
    try Limits.check(info.shape.elementCount / max(1, dimension), atMost: Limits.embeddingRows, "the number of rows")
    try Limits.check(dimension, atMost: Limits.routerWidth, "the dimension of the embeddings")
    let vectors = source.tensors.filter { Self.isLabels($0) }
    let labelInfo = floats.isEmpty ? nil : Self.chosen(vectors, named: "labels")
    if labelInfo == nil, vectors.count > 1 {
      throw StorageError(
        .invalidArgument, "holds several vectors of integers, none called \"labels\"", file: source.label)
    }
    let values = try located(file: source.label, tensor: info.name) { () throws(StorageError) in
      try Self.values(of: info, in: source)
    }
    let labels = try labelInfo.map { info throws(StorageError) in
      try located(file: source.label, tensor: info.name) { () throws(StorageError) in
        try Self.labels(of: info, in: source)
      }
    }
    try self.init(
      values, dimension: dimension, labels: labels, classNames: try Self.classNames(source.metadata["classes"]))
  }

  /// SHA-256 of the numbers as little-endian binary32, row by row.
  public var digest: ContentDigest {
    var writer = ByteWriter(capacity: values.count * 4)
    for value in values { writer.integer(value.bitPattern) }
    return ContentDigest(of: writer.bytes)
  }

  /// A row.
  public subscript(row: Int) -> ArraySlice<Float> { values[row * dimension..<(row + 1) * dimension] }

  // MARK: Reading

  private static func chosen(_ infos: [TensorInfo], named name: String) -> TensorInfo? {
    infos.first { $0.name.hasSameBytes(as: name) } ?? (infos.count == 1 ? infos[0] : nil)
  }

  private static let labelDTypes: [DType] = [.i64, .i32, .i16, .i8, .u8, .u16, .u32]

  private static func isLabels(_ info: TensorInfo) -> Bool {
    info.shape.dimensions.count == 1 && labelDTypes.contains(info.dtype)
  }

  private static func values(of info: TensorInfo, in source: any TensorSource) throws(StorageError) -> [Float] {
    guard let format = info.dtype.floatFormat else { preconditionFailure("a tensor of floats") }
    var values = [Float](repeating: 0, count: info.shape.elementCount)
    try source.bytes(of: info).withBytes { raw in
      values.withUnsafeMutableBufferPointer { format.widen(raw, into: $0) }
    }
    return values
  }

  private static func labels(of info: TensorInfo, in source: any TensorSource) throws(StorageError) -> [Int] {
    let width = info.dtype.bitWidth / 8
    let isSigned = [.i64, .i32, .i16, .i8].contains(info.dtype)
    return try source.bytes(of: info).withBytes { raw throws(StorageError) in
      var reader = ByteReader(raw)
      var labels: [Int] = []
      labels.reserveCapacity(info.shape.elementCount)
      for row in 0..<info.shape.elementCount {
        var number: UInt64 = 0
        for byte in 0..<width { number |= UInt64(try reader.integer(UInt8.self)) << (8 * byte) }
        if isSigned, number >> (8 * width - 1) == 1 {
          throw StorageError(.invalidArgument, "the label of row \(row) is negative")
        }
        labels.append(Int(number))
      }
      return labels
    }
  }

  private static func classNames(_ text: String?) throws(StorageError) -> [String]? {
    guard let text else { return nil }
    guard text.utf8.first == UInt8(ascii: "[") else {
      return text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    return try JSONValue(parsing: Array(text.utf8)).asArray("the classes of the metadata").map {
      value throws(StorageError) in try value.asString("a class of the metadata")
    }
  }
}
