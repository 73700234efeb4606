import ByteIO

/// Some of another source's tensors, as if the rest were not there.
public struct TensorSelection: TensorSource {
  public let tensors: [TensorInfo]
  private let source: any TensorSource

  /// The tensors for which `predicate` holds.
  public init(of source: any TensorSource, where predicate: (TensorInfo) -> Bool) {
    tensors = source.tensors.filter(predicate)
    self.source = source
  }

  /// The tensors whose names match a pattern of `included` (all, when there is none) and none of `excluded`.
  public init(of source: any TensorSource, including included: [Glob] = [], excluding excluded: [Glob] = []) {
    self.init(of: source) { info in
      (included.isEmpty || included.contains { $0.matches(info.name) })
        && !excluded.contains { $0.matches(info.name) }
    }
  }

  public var metadata: [String: String] { source.metadata }
  public var typedMetadata: TypedMetadata { source.typedMetadata }
  public var label: String { source.label }
  public var notes: [String] { source.notes }

  public var ties: [String: String] {
    // The first of them may be left out; then the next one takes its place.
    var firsts: [ExactString: String] = [:]
    var ties: [String: String] = [:]
    let all = source.ties
    for info in tensors {
      let first = all.tie(of: info.name) ?? info.name
      if let kept = firsts[ExactString(first)] {
        ties[info.name] = kept
      } else {
        firsts[ExactString(first)] = info.name
      }
    }
    return ties
  }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try source.read(info, into: destination)
  }

  public func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try source.piece(range, of: info)
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try source.bytes(of: info) }

  public func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? { try source.stored(info) }

  public func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? { try source.spanned(info) }
}
