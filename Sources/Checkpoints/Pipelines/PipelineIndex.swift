import TMPackByteIO
import TMPackJSON

/// `model_index.json` of a folder of several models, as `diffusers` keeps a pipeline.
///
/// `{"_class_name": …, "unet": ["diffusers", "UNet2DConditionModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
/// "safety_checker": [null, null], …}`: a component is a member whose value is two strings. Its folder has its name.
struct PipelineIndex: Sendable {
  static let fileName = "model_index.json"

  struct Component: Sendable, Hashable {
    /// Of its folder: one part of a safe path.
    let name: String
    /// The Python package that loads it.
    let library: String

    /// How `diffusers` names its weights; other libraries name them as usual.
    var weightStem: String? { library == "diffusers" ? WeightFileName.diffusersStem : nil }
  }

  /// In the order of the file.
  let components: [Component]

  /// - Throws: `malformed`, also for a component whose name is not that of a folder beside the index.
  init(parsing text: UnsafeRawBufferPointer) throws(StorageError) {
    var components: [Component] = []
    for (name, value) in try JSONValue(parsing: text).asObject("the index of the pipeline").members {
      guard case .array(let pair) = value, pair.count == 2, case .string(let library) = pair[0], case .string = pair[1]
      else { continue }
      guard try CarriedFileName(name).components.count == 1 else {
        throw StorageError(.malformed, "the component \(name.debugDescription) is not in the folder of the index")
      }
      components.append(Component(name: name, library: library))
    }
    self.components = components
  }

  init(contentsOf path: String) throws(StorageError) {
    let file = try ReadableFile(path, mode: .read)
    self = try located(file: path) { () throws(StorageError) in
      try Limits.check(file.size, atMost: Limits.carriedFileBytes, "the size of the index")
      return try file.withBytes(at: 0, count: Int(file.size)) { text throws(StorageError) in
        try PipelineIndex(parsing: text)
      }
    }
  }
}
