import TMPackByteIO

/// Formats of other libraries that are refused by name, with the way out.
enum OtherFormats {
  /// By what follows the last dot of a file that is of no known format.
  private static let files: [String: String] = [
    "onnx": "an ONNX model; its weights are in the model that it was exported from",
    "onnx_data": "the weights of an ONNX model; they are in the model that it was exported from",
    "msgpack": "what Flax saves; load it with flax.serialization and save its arrays with safetensors.flax.save_file",
    "pb": "a graph of TensorFlow; load it and save its variables with safetensors.tensorflow.save_file",
    "tflite": "a model for TensorFlow Lite; its weights are in the model that it was made from",
    "index":
      "an index of TensorFlow's; load the checkpoint and save its variables with safetensors.tensorflow.save_file",
    "ot": "what rust-bert saves for tch; take the model's safetensors or PyTorch file",
    "mlmodel": "a model for Core ML; its weights are in the model that it was converted from",
  ]

  private static let keras =
    "load it with Keras and save its arrays: safetensors.numpy.save_file({v.path: v.numpy() for v in model.weights}, …)"

  /// What a file of no known format is by its name; nil where that tells nothing.
  static func refusal(ofFile path: String) -> StorageError? {
    WeightFileName.suffix(FileTree.lastComponent(path)).flatMap { files[$0] }.map {
      StorageError(.unsupportedFeature, "is named as \($0)", file: path)
    }
  }

  static func hdf5(_ path: String) -> StorageError {
    StorageError(.unsupportedFeature, "is an HDF5 file, as Keras saves weights; \(keras)", file: path)
  }

  /// What a ZIP archive is by its entries.
  static func refusal(of archive: ZipArchive) -> StorageError? {
    guard archive.entries.contains(where: { $0.name.hasSuffix(".weights.h5") }) else { return nil }
    return StorageError(.unsupportedFeature, "is a Keras model; \(keras)", file: archive.file.path)
  }

  /// Why a folder without weights has none.
  static func reason(ofFolder path: String, _ names: [String]) -> StorageError {
    func error(_ code: StorageError.Code, _ message: String) -> StorageError { StorageError(code, message, file: path) }
    if names.isEmpty { return error(.unknownFormat, "is an empty folder") }
    if names.contains("_CHECKPOINT_METADATA") || names.contains("manifest.ocdbt") || names.contains("_METADATA") {
      return error(
        .unsupportedFeature,
        "is a checkpoint of Orbax; restore it with orbax.checkpoint and save its arrays with safetensors.flax.save_file"
      )
    }
    if names.contains("saved_model.pb") {
      return error(
        .unsupportedFeature,
        "is a SavedModel of TensorFlow; load it and save its variables with safetensors.tensorflow.save_file")
    }
    if names.contains("snapshots"), names.contains("blobs") {
      return error(
        .unknownFormat, "holds no weights; it is a model in the hub's cache: name one of the folders in its snapshots")
    }
    let folders = names.filter { name in
      guard !name.hasPrefix("."), FileTree.kind(of: FileTree.join(path, name)) == .folder else { return false }
      return (try? FileTree.names(in: FileTree.join(path, name)))?.contains(where: WeightFileName.isWeights) ?? false
    }
    guard !folders.isEmpty else { return error(.unknownFormat, "holds no weights") }
    // A trainer's are numbered.
    let sorted = folders.sorted { $0.count == $1.count ? $0.precedesInBytes($1) : $0.count < $1.count }
    return error(
      .invalidArgument,
      "holds no weights itself, but \(folders.count == 1 ? "a folder" : "folders") that may: name one of them, such as \(FileTree.join(path, sorted.last!)) (\(WritableFormat.listed(sorted)))"
    )
  }
}
