import ByteIO
import TensorKit

extension GGUFHeader: CheckpointFilePlan {
  /// The header of a whole checkpoint in any other format.
  ///
  /// - Parameters:
  ///   - metadata: as it is, but for the keys that describe the layout: these are made anew where they are wrong.
  ///   - type: what to quantise the tensors to that it suits; nil to store all as they are.
  /// - Throws: what `init(describing:metadata:storing:)` throws.
  init(
    planning tensors: [TensorInfo], metadata: TypedMetadata, quantizing type: GGUFTensorType?
  ) throws(StorageError) {
    func stored(_ info: TensorInfo) -> GGUFTensorType? { type.flatMap { $0.suits(info) ? $0 : nil } }
    var metadata = metadata.withoutLayoutInStrings
    if type != nil || metadata[GGUFKey.fileType] != nil {
      metadata[GGUFKey.fileType] = Self.fileType(tensors.map { (stored($0) ?? GGUFTensorType($0.dtype), $0) })
    }
    try self.init(describing: tensors, metadata: metadata, storing: stored)
  }

  /// `general.file_type` (`llama_ftype`): the type that most of the elements have; nil where it has no number.
  private static func fileType(_ tensors: [(type: GGUFTensorType?, info: TensorInfo)]) -> MetadataValue? {
    var elements: [GGUFTensorType: Int] = [:]
    for (type, info) in tensors {
      // More than 64 bits of elements are refused later, by the sizes.
      if let type { elements[type, default: 0] &+= info.shape.elementCount }
    }
    let commonest = elements.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key
    let numbers: [GGUFTensorType: UInt32] = [.f32: 0, .f16: 1, .q4_0: 2, .q8_0: 7, .bf16: 32]
    return commonest.flatMap { numbers[$0] }.map { .uint32($0) }
  }

  var tensors: [TensorInfo] { entries.map(\.info) }

  func encode(_ index: Int, _ bytes: TensorBytes) throws(StorageError) -> EncodedTensor {
    EncodedTensor(bytes: try entries[index].encoded(bytes))
  }

  func begin(writingTo sink: any ByteSink) throws(StorageError) -> any CheckpointFileWriter {
    try GGUFWriter(self, to: sink)
  }
}

extension GGUFWriter: CheckpointFileWriter {
  mutating func append(_ tensor: EncodedTensor) throws(StorageError) { try append(tensor.bytes) }
}
