/// Which names people give to files of weights, so that none travels by mistake among a checkpoint's other files.
enum WeightFileName {
  /// An index of shards is named after the file that it stands for.
  static let index = ".index.json"
  /// How `diffusers` calls the weights of its models, in any format.
  static let diffusersStem = "diffusion_pytorch_model"

  private static let suffixes: Set<String> = [
    "safetensors", "tmpack",
    "bin", "pt", "pth", "ckpt", "pkl", "pickle", "joblib",  // PyTorch and other pickles
    "h5", "hdf5", "keras", "pb", "tflite", "msgpack", "npz", "npy",  // TensorFlow, JAX, NumPy
    "onnx", "onnx_data", "gguf", "ggml", "ot", "mlmodel",
  ]

  static func isWeights(_ name: String) -> Bool {
    if name.hasSuffix(index) { return isWeights(String(name.dropLast(index.count))) }
    guard let suffix = suffix(name) else { return false }
    return suffixes.contains(suffix)
  }

  /// What follows the last dot, in lower case.
  static func suffix(_ name: String) -> String? {
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
    return name[name.index(after: dot)...].lowercased()
  }
}
