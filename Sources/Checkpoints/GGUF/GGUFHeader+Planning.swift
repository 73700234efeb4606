import TMPackByteIO
import TMPackDigests
import TMPackTensorKit

extension GGUFHeader {
  /// The header of a whole checkpoint in any other format.
  ///
  /// - Parameters:
  ///   - metadata: as it is, but for the keys that describe the layout: these are made anew where they are wrong.
  ///   - type: what to quantise the tensors to that it suits; nil to store all as they are.
  ///   - encoding: how a tensor is stored where it comes from: quantised blocks stay as they are, unless `type` is
  ///     another and suits the tensor.
  /// - Throws: what `init(describing:metadata:storing:)` throws.
  init(
    planning tensors: [TensorInfo], metadata: TypedMetadata, quantizing type: GGUFTensorType?,
    encoding: (TensorInfo) throws(StorageError) -> StoredTensor.Encoding? = { _ in nil }
  ) throws(StorageError) {
    var kept: [ExactString: GGUFTensorType] = [:]
    for info in tensors {
      guard case .ggml(let number) = try encoding(info), let own = GGUFTensorType(rawValue: number) else { continue }
      kept[ExactString(info.name)] = own
    }
    func stored(_ info: TensorInfo) -> GGUFTensorType? {
      if let type = type?.fitting(info) { return type }
      return kept[ExactString(info.name)]
    }
    var metadata = SafetensorsFramework.unnamed(in: metadata.withoutLayoutInStrings)
    // Blocks that are kept come from a file of which the number is right: it tells mixtures that no type does.
    if type != nil || (metadata[GGUFKey.fileType] != nil && kept.isEmpty) {
      metadata[GGUFKey.fileType] = Self.fileType(tensors.map { (stored($0) ?? GGUFTensorType($0.dtype), $0) })
    }
    try self.init(describing: tensors, metadata: metadata, storing: stored) { kept[ExactString($0.name)] == $1 }
  }

  /// `general.file_type` (`llama_ftype`): the type that most of the elements have; nil where it has no number.
  private static func fileType(_ tensors: [(type: GGUFTensorType?, info: TensorInfo)]) -> MetadataValue? {
    var elements: [GGUFTensorType: Int] = [:]
    for (type, info) in tensors {
      // More than 64 bits of elements are refused later, by the sizes.
      if let type { elements[type, default: 0] &+= info.shape.elementCount }
    }
    let commonest = elements.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key
    let numbers: [GGUFTensorType: UInt32] = [
      .f32: 0, .f16: 1, .q4_0: 2, .q4_1: 3, .q8_0: 7, .q5_0: 8, .q5_1: 9, .q4_K: 14, .q5_K: 16, .q6_K: 18, .bf16: 32,
      .mxfp4: 38,
    ]
    return commonest.flatMap { numbers[$0] }.map { .uint32($0) }
  }
}

/// A GGUF file, laid out.
struct GGUFPlan: CheckpointFilePlan {
  let header: GGUFHeader
  let quantization: GGUFQuantization?

  var tensors: [TensorInfo] { header.entries.map(\.info) }

  func takes(_ index: Int, as encoding: StoredTensor.Encoding) -> Bool {
    let type = header.entries[index].type
    return encoding == (type.isQuantized ? .ggml(type.rawValue) : .plain)
  }

  func encode(_ index: Int, _ bytes: TensorBytes) throws(StorageError) -> TensorBytes {
    try header.entries[index].encoded(bytes, quantization)
  }

  func begin(writingTo sink: any OverwritableSink) throws(StorageError) -> any CheckpointFileWriter {
    try GGUFWriter(header, to: sink)
  }
}

extension GGUFWriter: CheckpointFileWriter {
  func begin(checksum: CRC32?) {}
  func write(_ part: TensorBytes) throws(StorageError) { try sink.write(part) }
  mutating func end(checksum: CRC32) throws(StorageError) { try end() }
}
