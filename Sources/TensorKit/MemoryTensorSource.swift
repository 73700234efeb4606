import TMPackByteIO

/// Tensors that are in memory already: for programs that make them, for examples and for tests.
public struct MemoryTensorSource: TensorSource {
  public let tensors: [TensorInfo]
  public let metadata: [String: String]
  public let label: String
  /// In the order of `tensors`.
  private let contents: [TensorBytes]

  /// - Throws: `invalidArgument` when two tensors have the same name, `shapeMismatch` when one has not as many bytes
  ///   as its shape and dtype say.
  public init(
    _ tensors: [(info: TensorInfo, bytes: TensorBytes)], metadata: [String: String] = [:], label: String = "memory"
  ) throws(StorageError) {
    let sorted = tensors.sorted { $0.info.name.precedesInBytes($1.info.name) }
    for (index, tensor) in sorted.enumerated() {
      guard tensor.bytes.count == tensor.info.byteCount else {
        throw StorageError(
          .shapeMismatch, "has \(tensor.bytes.count) bytes, needs \(tensor.info.byteCount)", file: label,
          tensor: tensor.info.name)
      }
      guard index == 0 || !sorted[index - 1].info.name.hasSameBytes(as: tensor.info.name) else {
        throw StorageError(.invalidArgument, "is there twice", file: label, tensor: tensor.info.name)
      }
    }
    self.tensors = sorted.map(\.info)
    contents = sorted.map(\.bytes)
    self.metadata = metadata
    self.label = label
  }

  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try bytes(of: info).withBytes { destination.copyMemory(from: $0) }
  }

  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    contents[try place(of: info)]
  }

  public func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try bytes(of: info).withBytes { [UInt8](UnsafeRawBufferPointer(rebasing: $0[range])) }
  }
}

extension TensorBytes {
  /// A copy of `bytes`.
  public convenience init(_ bytes: [UInt8]) {
    self.init(count: bytes.count) { memory in memory.copyBytes(from: bytes) }
  }
}
