import ByteIO
import TensorKit

/// What is merged.
public struct MergeSources: Sendable {
  /// A fine-tuned model under its name.
  public struct Expert: Sendable {
    public let name: String
    public let source: any TensorSource
    /// What was measured of the expert on data, for the methods that ask for it: tensors of the names of its own.
    public let statistics: (any TensorSource)?

    public init(name: String, source: any TensorSource, statistics: (any TensorSource)? = nil) {
      self.name = name
      self.source = source
      self.statistics = statistics
    }
  }

  public let base: any TensorSource
  /// In declaration order.
  public let experts: [Expert]

  public init(base: any TensorSource, experts: [Expert]) {
    self.base = base
    self.experts = experts
  }

  /// The base's tensor with the experts' of the same dtype and shape; nil when it is not of a float dtype, has no
  /// element, or no expert holds it: such a tensor is the base's in every merged model.
  public func group(for info: TensorInfo) throws(StorageError) -> TensorGroup? {
    guard let format = info.dtype.floatFormat, info.shape.elementCount > 0 else { return nil }
    var members: [TensorGroup.Member] = []
    for (index, expert) in experts.enumerated() {
      guard let own = expert.source.tensor(named: info.name), own.matches(info) else { continue }
      members.append(TensorGroup.Member(index: index, expert: expert, elements: StoredElements(own, of: expert.source)))
    }
    guard !members.isEmpty else { return nil }
    return TensorGroup(info: info, format: format, base: StoredElements(info, of: base), members: members)
  }
}

/// The elements of one tensor of a source, read some at a time where the source can, all at once where not.
final class StoredElements {
  let info: TensorInfo
  let source: any TensorSource
  private let format: FloatFormat
  /// All of it, for a source without `piece`.
  private var whole: TensorBytes?

  /// - Precondition: the tensor is of a float dtype.
  init(_ info: TensorInfo, of source: any TensorSource) {
    guard let format = info.dtype.floatFormat else { preconditionFailure("floats only") }
    self.info = info
    self.source = source
    self.format = format
  }

  func read(
    _ range: Range<Int>, into values: UnsafeMutableBufferPointer<Double>
  ) throws(StorageError) {
    let bytes = range.lowerBound * format.byteWidth..<range.upperBound * format.byteWidth
    if whole == nil, let piece = try source.piece(bytes, of: info) {
      return piece.withUnsafeBytes { format.widen($0, into: values) }
    }
    let all: TensorBytes
    if let whole { all = whole } else { all = try source.bytes(of: info) }
    whole = all
    try all.withBytes { format.widen(UnsafeRawBufferPointer(rebasing: $0[bytes]), into: values) }
  }
}
