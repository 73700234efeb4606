import TMPackByteIO
import TMPackTensorKit

/// The tensors of several files as one source: none is in two of them.
struct JoinedSource: TensorSource {
  let tensors: [TensorInfo]
  private let sources: [any TensorSource]
  private let owners: [ExactString: Int]

  /// - Parameter sources: at least one; the first gives label and metadata.
  /// - Throws: `malformed` for a tensor that is in two.
  init(_ sources: [any TensorSource]) throws(StorageError) {
    var owners: [ExactString: Int] = [:]
    for (number, source) in sources.enumerated() {
      for info in source.tensors {
        if let first = owners.updateValue(number, forKey: ExactString(info.name)) {
          throw StorageError(.malformed, "is in \(sources[first].label) too", file: source.label, tensor: info.name)
        }
      }
    }
    tensors = sources.flatMap(\.tensors).sortedByName()
    self.sources = sources
    self.owners = owners
  }

  var metadata: [String: String] { sources[0].metadata }
  var typedMetadata: TypedMetadata { sources[0].typedMetadata }
  var label: String { sources[0].label }
  var notes: [String] { sources.flatMap(\.notes) }
  var ties: [String: String] {
    sources.reduce(into: [:]) { all, source in all.merge(source.ties) { first, _ in first } }
  }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    try owner(of: info).read(info, into: destination)
  }

  func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes { try owner(of: info).bytes(of: info) }

  func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    try owner(of: info).piece(range, of: info)
  }

  func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? { try owner(of: info).stored(info) }

  func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? { try owner(of: info).spanned(info) }

  private func owner(of info: TensorInfo) throws(StorageError) -> any TensorSource {
    guard let owner = owners[ExactString(info.name)] else { throw unknown(info) }
    return sources[owner]
  }
}
