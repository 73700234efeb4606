import TMPackByteIO
import TMPackTensorKit

// The rules for a header that is to be written; `SafetensorsOutline` has those for one that is read.
extension SafetensorsHeader {
  /// Whether the names can be those of a header.
  static func check(_ tensors: [TensorInfo]) throws(StorageError) {
    try Limits.check(tensors.count, atMost: Limits.tensors, "the number of tensors")
    var names = Set<ExactString>(minimumCapacity: tensors.count)
    for info in tensors {
      guard info.name != SafetensorsKey.metadata else {
        throw StorageError(.malformed, "the name is reserved", tensor: info.name)
      }
      guard names.insert(ExactString(info.name)).inserted else {
        throw StorageError(.malformed, "the name is there twice", tensor: info.name)
      }
    }
  }

  static func checkMetadata(entries: Int, nameBytes: Int, valueBytes: Int) throws(StorageError) {
    try Limits.check(entries, atMost: Limits.safetensorsMetadataEntries, "the number of entries of the metadata")
    try Limits.check(
      nameBytes, atMost: Limits.metadataNameBytes, "the size of the names of the metadata")
    try Limits.check(nameBytes + valueBytes, atMost: Limits.safetensorsMetadataBytes, "the size of the metadata")
  }
}
