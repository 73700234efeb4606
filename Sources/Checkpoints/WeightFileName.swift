/// Which names people give to files of weights, so that none travels by mistake among a checkpoint's other files.
enum WeightFileName {
  /// An index of shards is named after the file that it stands for.
  static let index = ".index.json"
  /// How `diffusers` calls the weights of its models, in any format.
  static let diffusersStem = "diffusion_pytorch_model"

  private static let suffixes: Set<String> = [
    "safetensors", "tmpack",
    "bin", "pt", "pth", "ckpt", "pkl", "pickle", "joblib", "distcp",  // PyTorch and other pickles
    "h5", "hdf5", "keras", "pb", "tflite", "msgpack", "npz", "npy",  // TensorFlow, JAX, NumPy
    "onnx", "onnx_data", "gguf", "ggml", "ot", "mlmodel",
  ]

  /// The file that an index of shards stands for: `model.safetensors.index.json` for `model.safetensors`, and that of a
  /// variant, `model.safetensors.index.fp16.json`, for `model.fp16.safetensors`; nil for a name that is none of these.
  static func whole(ofIndex name: String) -> String? {
    if name.hasSuffix(index) { return String(name.dropLast(index.count)) }
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count > 4, parts.popLast() == "json", let variant = parts.popLast(), parts.popLast() == "index" else {
      return nil
    }
    parts.insert(variant, at: parts.count - 1)
    return parts.joined(separator: ".")
  }

  static func isWeights(_ name: String) -> Bool {
    if let whole = whole(ofIndex: name) { return isWeights(whole) }
    guard let suffix = suffix(name) else { return false }
    return suffixes.contains(suffix)
  }

  /// What follows the last dot, in lower case.
  static func suffix(_ name: String) -> String? {
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
    return name[name.index(after: dot)...].lowercased()
  }
}
