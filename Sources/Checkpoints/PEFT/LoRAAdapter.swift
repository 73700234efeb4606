import ByteIO
import TensorKit

/// A LoRA adapter as peft saves it: a folder with `adapter_config.json` and `adapter_model.safetensors` or `.bin`.
///
/// It holds what is added to some weights of a base, and some tensors whole. Which base's tensors these are, and whether
/// they fit, `AdapterTargets` tells.
///
/// Source: Hu et al., LoRA, 2021, arXiv 2106.09685; `peft/tuners/lora` and `peft/utils/save_and_load.py`.
public struct LoRAAdapter: Sendable {
  /// What is added to one module's weight: scale · B · A, of `rank`.
  package struct Update: Sendable {
    /// As the adapter names it.
    package let module: String
    /// [rank, inputs…].
    package let a: TensorInfo
    /// [outputs, rank], and ones.
    package let b: TensorInfo
    package let rank: Int
    package let scale: Float
    package let isEmbedding: Bool
    /// Of DoRA: a number for each output.
    package let magnitude: TensorInfo?
    /// What is added to the module's bias, times `scale`: a number for each output.
    package let bias: TensorInfo?

    package var outputs: Int { b.shape.dimensions[0] }
    package var inputs: Int { a.shape.elementCount / rank }
  }

  /// A tensor that stands in for the base's.
  package struct WholeTensor: Sendable {
    /// As the adapter names the base's tensor.
    package let name: String
    package let info: TensorInfo
    /// Whether its module was trained as a copy, so that what was tied to it is so no longer; else the tensor was put
    /// where the base has its own.
    package let isCopy: Bool
  }

  /// Rows that stand in for some of an embedding's.
  package struct Rows: Sendable {
    /// As the adapter names it.
    package let module: String
    /// Which; in order, so that the last of two equal ones holds.
    package let indexes: [Int]
    /// [indexes, width].
    package let info: TensorInfo
  }

  public let path: String
  public let configuration: AdapterConfiguration
  /// The tensors as the file names them.
  package let source: any TensorSource
  /// Sorted by module.
  package let updates: [Update]
  /// Tensors in place of the base's, by the adapter's name for the base's tensor; sorted.
  package let wholeTensors: [WholeTensor]
  /// Sorted by module.
  package let rows: [Rows]
  public let weightFiles: [String]
  public let carriedFiles: [CarriedFile]
  public let skippedFiles: [SkippedFile]

  /// As peft writes it by default.
  package static let weightFileName = "adapter_model.safetensors"
  private static let weightFileNames = [weightFileName, "adapter_model.bin"]

  /// Whether `path` is a folder with an adapter, and no whole checkpoint beside it.
  public static func isAdapter(_ path: String) -> Bool {
    func has(_ name: String) -> Bool { FileTree.kind(of: FileTree.join(path, name)) == .file }
    return FileTree.kind(of: path) == .folder && has(AdapterConfiguration.fileName)
      && weightFileNames.contains(where: has)
  }

  /// - Throws: `malformed` for a configuration or tensors that do not belong together; `unsupportedFeature`;
  ///   `limitExceeded`; what the readers throw. Each names the file, and the tensor if it is one's.
  public init(_ path: String, mode: InputMode = .automatic) throws(StorageError) {
    self.path = path
    let configurationPath = FileTree.join(path, AdapterConfiguration.fileName)
    configuration = try located(file: configurationPath) { () throws(StorageError) in
      let file = try ReadableFile(configurationPath, mode: .read)
      try Limits.check(file.size, atMost: Limits.adapterConfigurationBytes, "the size of the configuration")
      return try file.bytes(at: 0, count: Int(file.size)).withBytes { raw throws(StorageError) in
        try AdapterConfiguration(parsing: raw)
      }
    }
    let names = Set(try FileTree.names(in: path))
    try Self.refuseWholeCheckpoint(amongst: names, path)
    guard let weights = Self.weightFileNames.first(where: names.contains) else {
      throw StorageError(.unknownFormat, "holds no \(Self.weightFileNames.joined(separator: " or "))", file: path)
    }
    let weightsPath = FileTree.join(path, weights)
    weightFiles = [weightsPath, configurationPath]
    source = try CheckpointFormat.open(weightsPath, mode: mode)
    (carriedFiles, skippedFiles) = try ModelFolder.otherFiles(
      in: path, used: Set(Self.weightFileNames + [AdapterConfiguration.fileName]))
    let parts = try Parts(source)
    wholeTensors = parts.whole.sorted { $0.key.text.precedesInBytes($1.key.text) }
      .map { [configuration] entry in
        let name = entry.key.text
        let module = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
        return WholeTensor(
          name: name, info: entry.value, isCopy: parts.wrapped.contains(entry.key) || configuration.isSaved(module))
      }
    rows = try located(file: weightsPath) { [configuration] () throws(StorageError) in
      try parts.rows.sorted { $0.key.text.precedesInBytes($1.key.text) }
        .map { entry throws(StorageError) in try Rows(module: entry.key.text, entry.value, configuration) }
    }
    updates = try located(file: weightsPath) { [configuration] () throws(StorageError) in
      try parts.updates.sorted { $0.key.text.precedesInBytes($1.key.text) }
        .map { entry throws(StorageError) in try Update(module: entry.key.text, entry.value, configuration) }
    }
    guard !updates.isEmpty || !wholeTensors.isEmpty || !rows.isEmpty else {
      throw StorageError(.malformed, "holds no tensor of an adapter", file: weightsPath)
    }
  }

  private static func refuseWholeCheckpoint(amongst names: Set<String>, _ path: String) throws(StorageError) {
    let whole = [
      "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
    ]
    guard let name = whole.first(where: names.contains) else { return }
    throw StorageError(
      .invalidArgument, "holds both an adapter and a whole checkpoint; name \(name) or move the adapter", file: path)
  }

  /// The file's tensors, sorted out by their names.
  fileprivate struct Parts {
    struct Sides {
      var tensors: [AdapterTensorName.Side: TensorInfo] = [:]
      var magnitude: TensorInfo?
      var bias: TensorInfo?
    }
    var updates: [ExactString: Sides] = [:]
    var whole: [ExactString: TensorInfo] = [:]
    /// Those of `whole` whose names have `modules_to_save`.
    var wrapped: Set<ExactString> = []
    var rows: [ExactString: TensorInfo] = [:]

    init(_ source: any TensorSource) throws(StorageError) {
      var wrapped: [ExactString: TensorInfo] = [:]
      for info in source.tensors {
        try located(file: source.label, tensor: info.name) { () throws(StorageError) in
          switch try AdapterTensorName(info.name) {
          case .side(let module, let side):
            try Self.put(info, in: &updates[ExactString(module), default: Sides()].tensors[side])
          case .magnitude(let module):
            try Self.put(info, in: &updates[ExactString(module), default: Sides()].magnitude)
          case .whole(let tensor, isWrapped: false): try Self.put(info, in: &whole[ExactString(tensor)])
          case .whole(let tensor, isWrapped: true): try Self.put(info, in: &wrapped[ExactString(tensor)])
          case .bias(let module): try Self.put(info, in: &updates[ExactString(module), default: Sides()].bias)
          case .rows(let module): try Self.put(info, in: &rows[ExactString(module)])
          case .original, .trainingState: break
          }
        }
      }
      // peft, too, takes the one without the wrapper's name where there are both.
      whole.merge(wrapped) { plain, _ in plain }
      self.wrapped = Set(wrapped.keys)
    }

    private static func put(_ info: TensorInfo, in place: inout TensorInfo?) throws(StorageError) {
      if let other = place {
        throw StorageError(.malformed, "means the same as \(other.name); a file may hold one adapter only")
      }
      place = info
    }
  }
}

extension LoRAAdapter.Update {
  fileprivate init(
    module: String, _ sides: LoRAAdapter.Parts.Sides, _ configuration: AdapterConfiguration
  ) throws(StorageError) {
    let isEmbedding = sides.tensors[.embeddingA] != nil || sides.tensors[.embeddingB] != nil
    let linear = [sides.tensors[.a], sides.tensors[.b]]
    let both = isEmbedding ? [sides.tensors[.embeddingA], sides.tensors[.embeddingB]] : linear
    guard let a = both[0], let b = both[1] else {
      let present = both.compactMap { $0 }.first ?? sides.magnitude
      throw StorageError(.malformed, "has no counterpart: B or A of its module is missing", tensor: present?.name)
    }
    if isEmbedding, let other = linear.compactMap({ $0 }).first {
      throw StorageError(.malformed, "is of a module that has an embedding's update too", tensor: other.name)
    }
    func refusal(_ info: TensorInfo, _ why: String) -> StorageError {
      StorageError(.malformed, "\(why); its shape is \(info.shape)", tensor: info.name)
    }
    let rank = configuration.rank(of: module)
    guard a.shape.dimensions.count >= 2, a.shape.elementCount > 0 else { throw refusal(a, "is not [rank, inputs]") }
    guard b.shape.dimensions.count >= 2, b.shape.elementCount > 0,
      b.shape.dimensions.dropFirst(2).allSatisfy({ $0 == 1 })
    else { throw refusal(b, "is not [outputs, rank]") }
    guard a.shape.dimensions[0] == b.shape.dimensions[1] else {
      throw refusal(b, "does not fit \(a.name), whose shape is \(a.shape)")
    }
    guard a.shape.dimensions[0] == rank else {
      throw refusal(a, "is not of rank \(rank), as \(AdapterConfiguration.fileName) says")
    }
    for info in [a, b, sides.magnitude, sides.bias].compactMap({ $0 }) where info.dtype.floatFormat == nil {
      throw StorageError(.unsupportedFeature, "is of dtype \(info.dtype.rawValue)", tensor: info.name)
    }
    guard configuration.isDecomposed == (sides.magnitude != nil) else {
      throw StorageError(
        .malformed,
        sides.magnitude == nil ? "has no magnitude, though DoRA is used" : "belongs to DoRA, which is not used",
        tensor: (sides.magnitude ?? a).name)
    }
    if let magnitude = sides.magnitude {
      guard magnitude.shape.elementCount == b.shape.dimensions[0] else {
        throw refusal(magnitude, "is not one number for each of \(b.shape.dimensions[0]) outputs")
      }
    }
    guard configuration.hasBiases == (sides.bias != nil) else {
      throw StorageError(
        .malformed,
        sides.bias == nil ? "has no bias, though \"lora_bias\" is set" : "is a bias, and \"lora_bias\" is not set",
        tensor: (sides.bias ?? b).name)
    }
    if let bias = sides.bias, bias.shape.dimensions != [b.shape.dimensions[0]] {
      throw refusal(bias, "is not one number for each of \(b.shape.dimensions[0]) outputs")
    }
    self.module = module
    self.a = a
    self.b = b
    self.rank = rank
    scale = configuration.scale(of: module)
    self.isEmbedding = isEmbedding
    magnitude = sides.magnitude
    bias = sides.bias
    guard scale.isFinite else { throw refusal(a, "has a scaling that is not finite") }
  }
}

extension LoRAAdapter.Rows {
  fileprivate init(
    module: String, _ info: TensorInfo, _ configuration: AdapterConfiguration
  ) throws(StorageError) {
    guard let indexes = configuration.trainedRows(of: module) else {
      throw StorageError(
        .malformed, "replaces rows, and \"trainable_token_indices\" does not say which", tensor: info.name)
    }
    guard info.dtype.floatFormat != nil else {
      throw StorageError(.unsupportedFeature, "is of dtype \(info.dtype.rawValue)", tensor: info.name)
    }
    guard info.shape.dimensions.count == 2, info.shape.dimensions[0] == indexes.count, info.shape.elementCount > 0
    else {
      throw StorageError(
        .malformed, "is not one row for each of \(indexes.count) tokens; its shape is \(info.shape)", tensor: info.name)
    }
    self.module = module
    self.indexes = indexes
    self.info = info
  }
}
