import TMPackTensorKit

/// Whose layout the tensors have: `"format": "pt"` in the metadata. `transformers` loads no safetensors file without it.
/// PyTorch's is what is meant where nothing is said, so that no other format need keep it.
enum SafetensorsFramework {
  private static let key = "format"
  private static let pyTorch = "pt"

  static func named(in metadata: [String: String]) -> [String: String] {
    metadata.merging([key: pyTorch]) { own, _ in own }
  }

  static func unnamed(in metadata: TypedMetadata) -> TypedMetadata {
    guard metadata[key] == .string(pyTorch) else { return metadata }
    var metadata = metadata
    metadata[key] = nil
    return metadata
  }
}
