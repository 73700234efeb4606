import TMPackByteIO

/// Named tensors that can be read one at a time: a checkpoint in any format, an archive's selection, or memory.
///
/// It is where formats and the archive meet: readers provide one, writers and the packer take one.
public protocol TensorSource: Sendable {
  /// The tensors, sorted by the UTF-8 bytes of their names, which are unique.
  var tensors: [TensorInfo] { get }

  /// Free-form strings of the checkpoint (safetensors' `__metadata__`).
  var metadata: [String: String] { get }

  /// The metadata with its types, for the formats that have any (GGUF): by default `metadata`. A source that has types
  /// gives them here, and as text in `metadata`; a source around another gives that one's.
  var typedMetadata: TypedMetadata { get }

  /// What to call the source in messages: usually its path.
  var label: String { get }

  /// Tensors that the checkpoint keeps as one (tied weights): the name of each but the first, with that of the first.
  /// Their bytes are the same.
  var ties: [String: String] { get }

  /// What a person should know of how the checkpoint was read: what was left out of it, or named anew.
  var notes: [String] { get }

  /// Fills `destination` (exactly `info.byteCount` bytes) with the tensor's elements: little-endian, row-major.
  ///
  /// Safe to call from several threads at once.
  /// - Parameters:
  ///   - info: one of `tensors`.
  ///   - destination: exactly as many bytes as the tensor has.
  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError)

  /// The tensor in memory: by default a copy; a source that is mapped or in memory already gives a view.
  ///
  /// Safe to call from several threads at once.
  /// - Parameter info: one of `tensors`.
  func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes

  /// Some of the tensor's bytes; nil where that is not much cheaper than reading all of it.
  ///
  /// Safe to call from several threads at once.
  /// - Parameters:
  ///   - range: within `info.byteCount`.
  ///   - info: one of `tensors`.
  func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]?

  /// Where the tensor's bytes lie in a file, as they are or quantised; nil where they are not in one piece, compressed,
  /// of the other byte order, or changed on the way. A source around another gives that one's, or nil.
  ///
  /// - Parameter info: one of `tensors`.
  func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor?

  /// How to make the tensor in parts; nil where it is made, or lies, as a whole. A source around another gives that one's, or nil.
  ///
  /// - Parameter info: one of `tensors`.
  func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor?
}

extension TensorSource {
  public var metadata: [String: String] { [:] }
  public var typedMetadata: TypedMetadata { TypedMetadata(metadata) }
  public var ties: [String: String] { [:] }
  public var notes: [String] { [] }

  /// Where the tensor's bytes lie in a file as they are, and nothing has to be checked before they are used, read there: even where it
  /// is mapped, so that a tensor that is read in pieces does not come to lie in memory page by page.
  public func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    guard let stored = try stored(info), stored.isPlain(info) else { return nil }
    return try [UInt8](count: range.count) { target throws(StorageError) in
      try stored.range.copy(from: range.lowerBound, into: target)
    }
  }

  public func stored(_: TensorInfo) throws(StorageError) -> StoredTensor? { nil }

  public func spanned(_: TensorInfo) throws(StorageError) -> SpannedTensor? { nil }

  /// Bytes of all tensors.
  package var byteCount: UInt64 { tensors.reduce(0) { $0 + UInt64($1.byteCount) } }

  /// Where a tensor stands in `tensors`. O(log n).
  ///
  /// - Throws: `unknownName` for what is none of them, or of another size.
  package func place(of info: TensorInfo) throws(StorageError) -> Int {
    guard let place = tensors.index(ofTensor: info.name), tensors[place].byteCount == info.byteCount else {
      throw unknown(info)
    }
    return place
  }

  /// The error of a source that is asked for a tensor of another.
  package func unknown(_ info: TensorInfo) -> StorageError {
    StorageError(
      .unknownName, "is no tensor of this source, with \(info.byteCount) bytes; ask for one of its `tensors`",
      file: label, tensor: info.name)
  }

  /// The tensor of that name. O(log n).
  public func tensor(named name: String) -> TensorInfo? {
    tensors.index(ofTensor: name).map { tensors[$0] }
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try copy(of: info) }

  /// The tensor in memory of its own, as `read` gives it: the default of `bytes(of:)`, for a source that has views of some.
  package func copy(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    try located(file: label, tensor: info.name) { () throws(StorageError) in
      try TensorBytes(count: info.byteCount) { buffer throws(StorageError) in try read(info, into: buffer) }
    }
  }
}

extension [String: String] {
  /// What a tensor is tied to. The subscript would also find the tie of a name in another Unicode spelling, which is
  /// another tensor's.
  package func tie(of name: String) -> String? {
    guard let index = index(forKey: name), self[index].key.hasSameBytes(as: name) else { return nil }
    return self[index].value
  }
}

extension Array {
  /// The first index whose element satisfies `predicate`, in an array where those that do all come last. O(log n).
  ///
  /// Inlined, and in the array's own memory, so that no element is copied to be looked at.
  @inlinable
  package func partitioningIndex(where predicate: (Element) -> Bool) -> Int {
    withUnsafeBufferPointer { elements in
      var low = 0
      var high = elements.count
      while low < high {
        let middle = low + (high - low) / 2
        if predicate(elements[middle]) { high = middle } else { low = middle + 1 }
      }
      return low
    }
  }
}

extension Array {
  /// Where the element of that name is, in an array that is sorted by the bytes of the names. O(log n).
  ///
  /// - Parameter element: where one is: named by way of a pointer it is not copied for its name.
  @inlinable
  package func index(ofName wanted: String, _ name: (_ element: UnsafePointer<Element>) -> String) -> Int? {
    withUnsafeBufferPointer { elements in
      guard let start = elements.baseAddress else { return nil }
      var low = 0
      var high = elements.count
      while low < high {
        let middle = low + (high - low) / 2
        if name(start + middle).precedesInBytes(wanted) { low = middle + 1 } else { high = middle }
      }
      return low < elements.count && name(start + low).hasSameBytes(as: wanted) ? low : nil
    }
  }
}

extension Array where Element == TensorInfo {
  /// Where the tensor of that name is, in the order that `TensorSource.tensors` promises. O(log n).
  package func index(ofTensor name: String) -> Int? {
    index(ofName: name) { $0.pointee.name }
  }

  /// In the order that `TensorSource.tensors` promises.
  package func sortedByName() -> [TensorInfo] {
    sorted { $0.name.precedesInBytes($1.name) }
  }
}
