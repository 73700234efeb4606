import TMPackByteIO
import TMPackTensorKit

/// The models of a pipeline as one source: a tensor is called by its component, a slash, and its name there
/// (`unet/conv_in.weight`). A component is a folder, or a file (`ComponentFile`). That without a name, if there is one, is the model that the others belong to; its
/// tensors are called as there.
struct PipelineSource: TensorSource {
  static let separator = "/"

  let tensors: [TensorInfo]
  let ties: [String: String]
  /// Of all components; where they disagree the first is right.
  let typedMetadata: TypedMetadata
  let notes: [String]
  let label: String
  /// The component without a name.
  let model: (any TensorSource)?
  private let sources: [any TensorSource]
  /// The component of each tensor and what it is called there, in the order of `tensors`.
  private let origins: [(component: Int, info: TensorInfo)]

  init(_ components: [(name: String, source: any TensorSource)], label: String) throws(StorageError) {
    var named: [(info: TensorInfo, component: Int, original: TensorInfo)] = []
    var ties: [String: String] = [:]
    var metadata = TypedMetadata()
    var notes: [String] = []
    for (index, (name, source)) in components.enumerated() {
      let prefix = name.isEmpty ? "" : name + Self.separator
      for info in source.tensors {
        let full = try located(file: source.label) { () throws(StorageError) in
          try TensorInfo(name: prefix + info.name, dtype: info.dtype, shape: info.shape)
        }
        named.append((full, index, info))
      }
      for (tied, first) in source.ties { ties[prefix + tied] = prefix + first }
      for entry in source.typedMetadata.entries where metadata[entry.key] == nil { metadata[entry.key] = entry.value }
      notes += source.notes.map { name.isEmpty ? $0 : "\(name): \($0)" }
    }
    named.sort { $0.info.name.precedesInBytes($1.info.name) }
    for (left, right) in zip(named, named.dropFirst()) where left.info.name.hasSameBytes(as: right.info.name) {
      throw StorageError(.malformed, "is the name of tensors of two components", file: label, tensor: left.info.name)
    }
    tensors = named.map(\.info)
    origins = named.map { ($0.component, $0.original) }
    sources = components.map(\.source)
    model = components.first { $0.name.isEmpty }?.source
    (self.ties, typedMetadata, self.notes, self.label) = (ties, metadata, notes, label)
  }

  var metadata: [String: String] { typedMetadata.strings }

  func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let origin = origins[try place(of: info)]
    try sources[origin.component].read(origin.info, into: destination)
  }

  func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let origin = origins[try place(of: info)]
    return try sources[origin.component].bytes(of: origin.info)
  }

  func piece(_ range: Range<Int>, of info: TensorInfo) throws(StorageError) -> [UInt8]? {
    let origin = origins[try place(of: info)]
    return try sources[origin.component].piece(range, of: origin.info)
  }

  func spanned(_ info: TensorInfo) throws(StorageError) -> SpannedTensor? {
    let origin = origins[try place(of: info)]
    return try sources[origin.component].spanned(origin.info)
  }

  func stored(_ info: TensorInfo) throws(StorageError) -> StoredTensor? {
    let origin = origins[try place(of: info)]
    return try sources[origin.component].stored(origin.info)
  }
}
