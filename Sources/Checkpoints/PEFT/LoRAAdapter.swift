import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// A LoRA adapter as peft saves it: a folder with `adapter_config.json` and `adapter_model.safetensors` or `.bin`.
///
/// It holds what is added to some weights of a base, and some tensors whole. Which base's tensors these are, and whether
/// they fit, `AdapterTargets` tells.
///
/// Source: Hu et al., LoRA, 2021, arXiv 2106.09685; `peft/tuners/lora` and `peft/utils/save_and_load.py`.
package struct LoRAAdapter: Sendable {
  /// What is added to one module's weight, or to another of its parameters: scale · B · A, of `rank`.
  package struct Update: Sendable {
    /// As the adapter names it.
    package let module: String
    /// Wrappers around this one: peft has one inside another for the parameters of a module.
    package let depth: Int
    /// [rank, inputs…]; of a stack [matrices · rank, inputs], one matrix's rows after another's.
    package let a: TensorInfo
    /// [outputs, rank], and ones; of a stack [outputs, rank · matrices], the first component's columns first.
    package let b: TensorInfo
    /// Of what may be a stack, as long as that is not known, the components of all its matrices.
    package private(set) var rank: Int
    /// How many matrices the parameter is a stack of; nil where it is one.
    package private(set) var stackHeight: Int?
    package private(set) var scale: Float
    package let isEmbedding: Bool
    /// Of DoRA: a number for each output.
    package let magnitude: TensorInfo?
    /// What is added to the module's bias, times `scale`: a number for each output.
    package let bias: TensorInfo?

    package var outputs: Int { b.shape.dimensions[0] }
    package var inputs: Int { a.shape.elementCount / a.shape.dimensions[0] }
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

  /// What is added to a tensor as it is, of the same shape.
  package struct Difference: Sendable {
    /// As the adapter names the base's tensor.
    package let name: String
    package let info: TensorInfo
  }

  package let path: String
  let layout: AdapterLayout
  package let configuration: AdapterConfiguration
  /// The tensors as the file names them.
  package let source: any TensorSource
  /// Sorted by module.
  package let updates: [Update]
  /// Tensors in place of the base's, by the adapter's name for the base's tensor; sorted.
  package let wholeTensors: [WholeTensor]
  /// Sorted by module.
  package let rows: [Rows]
  /// Sorted by name.
  package let differences: [Difference]
  package let weightFiles: [String]
  package let carriedFiles: [CarriedFile]
  package let skippedFiles: [SkippedFile]

  /// As peft writes it by default.
  package static let weightFileName = "adapter_model.safetensors"
  static let weightFileNames = [weightFileName, "adapter_model.bin"]
  /// What was trained beside the adapter, whole: LLaVA's training, and those after it, write its projector so.
  private static let otherTrainedName = "non_lora_trainables.bin"

  /// The folder of an adapter whose file of weights `path` is, if it has a configuration; otherwise `path` itself.
  package static func folder(ofWeights path: String) -> String {
    guard weightFileNames.contains(FileTree.lastComponent(path)) else { return path }
    let folder = FileTree.parent(path)
    return FileTree.kind(of: FileTree.join(folder, AdapterConfiguration.fileName)) == .file ? folder : path
  }

  /// Whether `path` is a folder with an adapter and no whole checkpoint beside it, or a file with nothing but updates.
  package static func isAdapter(_ path: String) -> Bool { AdapterLayout(of: path) != nil }

  /// - Throws: `malformed` for a configuration or tensors that do not belong together; `unsupportedFeature`;
  ///   `limitExceeded`; what the readers throw. Each names the file, and the tensor if it is one's.
  package init(_ path: String, mode: InputMode = .automatic) throws(StorageError) {
    switch AdapterLayout(of: path) ?? .peft {
    case .peft: try self.init(peft: path, mode)
    case .mlx: try self.init(mlx: path, mode)
    case .diffusers:
      let names = try FileTree.names(in: path)
      let name = LoRAFile.diffusersNames.first(where: names.contains) ?? LoRAFile.diffusersNames[0]
      try self.init(.diffusers, FileTree.join(path, name), in: path, mode)
    case .file: try self.init(.file, path, in: nil, mode)
    }
  }

  private init(peft path: String, _ mode: InputMode) throws(StorageError) {
    let (configurationPath, text) = try Self.configuration(in: path)
    let object = try located(file: configurationPath) { () throws(StorageError) in
      try text.withBytes { raw throws(StorageError) in
        try JSONValue(parsing: raw).asObject("the adapter's configuration")
      }
    }
    let names = Set(try FileTree.names(in: path))
    try Self.refuseWholeCheckpoint(amongst: names, path)
    guard let weights = Self.weightFileNames.first(where: names.contains) else {
      throw StorageError(.unknownFormat, "holds no \(Self.weightFileNames.joined(separator: " or "))", file: path)
    }
    let weightsPath = FileTree.join(path, weights)
    var source = try CheckpointFormat.open(weightsPath, mode: mode)
    let configuration: AdapterConfiguration
    if LyCORISAdapter.kind(of: object) != nil {
      let (view, plain) = try LyCORISAdapter.view(source, configuration: object, configurationPath: configurationPath)
      (source, configuration) = (view, plain)
    } else {
      configuration = try located(file: configurationPath) { () throws(StorageError) in
        try AdapterConfiguration(object)
      }
    }
    var files = [weightsPath, configurationPath]
    if names.contains(Self.otherTrainedName) {
      files.append(FileTree.join(path, Self.otherTrainedName))
      source = try JoinedSource([source, CheckpointFormat.open(files[2], mode: mode)])
    }
    var used = Self.weightFileNames + [AdapterConfiguration.fileName, Self.otherTrainedName]
    if let companions = try ModelFolder.companions(ofAdapter: source, in: path, used: used, mode) {
      source = try JoinedSource([source, companions.source])
      used += companions.files
      files += companions.files.map { FileTree.join(path, $0) }
    }
    try self.init(
      path, .peft, configuration, source, weightFiles: files, others: ModelFolder.otherFiles(in: path, used: Set(used)))
  }

  private init(mlx path: String, _ mode: InputMode) throws(StorageError) {
    let (configurationPath, text) = try Self.configuration(in: path)
    let weightsPath = FileTree.join(path, MLXAdapter.weightFileName)
    let source = try CheckpointFormat.open(weightsPath, mode: mode)
    let (view, configuration) = try text.withBytes { raw throws(StorageError) in
      try MLXAdapter.view(source, configuration: raw, configurationPath: configurationPath)
    }
    try self.init(
      path, .mlx, configuration, view, weightFiles: [weightsPath, configurationPath],
      others: ModelFolder.otherFiles(in: path, used: [MLXAdapter.weightFileName, AdapterConfiguration.fileName]))
  }

  /// - Parameter folder: which the file is in with others that travel with it; nil for a lone file.
  private init(_ layout: AdapterLayout, _ file: String, in folder: String?, _ mode: InputMode) throws(StorageError) {
    let (view, configuration) = try LoRAFile.view(CheckpointFormat.open(file, mode: mode))
    try self.init(
      folder ?? file, layout, configuration, view, weightFiles: [file],
      others: folder.map { path throws(StorageError) in
        try ModelFolder.otherFiles(in: path, used: Set(LoRAFile.diffusersNames))
      } ?? ([], []))
  }

  private static func configuration(in folder: String) throws(StorageError) -> (path: String, [UInt8]) {
    let path = FileTree.join(folder, AdapterConfiguration.fileName)
    return try located(file: path) { () throws(StorageError) in
      let file = try ReadableFile(path, mode: .read)
      try Limits.check(file.size, atMost: Limits.adapterConfigurationBytes, "the size of the configuration")
      return (path, try file.bytes(at: 0, count: Int(file.size)))
    }
  }

  /// - Parameter source: with peft's names and layout.
  private init(
    _ path: String, _ layout: AdapterLayout, _ configuration: AdapterConfiguration, _ source: any TensorSource,
    weightFiles: [String],
    others: (carried: [CarriedFile], skipped: [SkippedFile])
  ) throws(StorageError) {
    self.path = path
    self.layout = layout
    self.configuration = configuration
    self.source = source
    self.weightFiles = weightFiles
    (carriedFiles, skippedFiles) = others
    let weightsPath = weightFiles[0]
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
    try located(file: weightsPath) { [updates, configuration] () throws(StorageError) in
      try Self.refuseUnselected(updates, configuration)
    }
    differences = try located(file: weightsPath) { () throws(StorageError) in
      try parts.differences.sorted { $0.key.text.precedesInBytes($1.key.text) }
        .map { entry throws(StorageError) in
          guard entry.value.dtype.floatFormat != nil else {
            throw StorageError(
              .unsupportedFeature, "is of dtype \(entry.value.dtype.rawValue)", tensor: entry.value.name)
          }
          return Difference(name: entry.key.text, info: entry.value)
        }
    }
    guard !updates.isEmpty || !wholeTensors.isEmpty || !rows.isEmpty || !differences.isEmpty else {
      throw StorageError(.malformed, "holds no tensor of an adapter", file: weightsPath)
    }
  }

  /// Refuses updates of modules that the configuration leaves out, unless it names none of them all: then names have changed since.
  private static func refuseUnselected(
    _ updates: [Update], _ configuration: AdapterConfiguration
  ) throws(StorageError) {
    let ofModules = updates.filter { configuration.parameters(of: $0.module).isEmpty }
    let left = ofModules.compactMap { update in
      configuration.selection.member(leavingOut: update.module).map { (update, $0) }
    }
    guard let (update, member) = left.first, left.count < ofModules.count else { return }
    throw StorageError(
      .unsupportedFeature,
      "is of a module that \"\(member)\" of \(AdapterConfiguration.fileName) leaves out, so that PEFT passes over it: take it out of the file, or name the module there",
      tensor: update.a.name)
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
    var differences: [ExactString: TensorInfo] = [:]

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
          case .difference(let tensor): try Self.put(info, in: &differences[ExactString(tensor)])
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
    var name = module
    var depth = 0
    while name.hasSuffix(Self.wrapper) {
      name.removeLast(Self.wrapper.count)
      depth += 1
    }
    let mayBeOfParameter = !configuration.parameters(of: name).isEmpty
    guard a.shape.dimensions.count >= 2, a.shape.elementCount > 0 else { throw refusal(a, "is not [rank, inputs]") }
    guard b.shape.dimensions.count >= 2, b.shape.elementCount > 0,
      b.shape.dimensions.dropFirst(2).allSatisfy({ $0 == 1 })
    else { throw refusal(b, "is not [outputs, rank]") }
    guard a.shape.dimensions[0] == b.shape.dimensions[1] else {
      throw refusal(b, "does not fit \(a.name), whose shape is \(a.shape)")
    }
    let rank = mayBeOfParameter ? a.shape.dimensions[0] : configuration.rank(of: name)
    guard a.shape.dimensions[0] == rank else { throw Self.otherRank(a, rank) }
    guard depth == 0 || mayBeOfParameter else {
      throw StorageError(
        .unsupportedFeature, "is of a wrapped module, of which no parameter is adapted", tensor: a.name)
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
    self.module = name
    self.depth = depth
    self.a = a
    self.b = b
    self.rank = rank
    scale = configuration.scale(of: name)
    self.isEmbedding = isEmbedding
    magnitude = sides.magnitude
    bias = sides.bias
    guard scale.isFinite else { throw refusal(a, "has a scaling that is not finite") }
  }
}

extension LoRAAdapter.Update {
  private static let wrapper = ".base_layer"

  private static func otherRank(_ a: TensorInfo, _ rank: Int) -> StorageError {
    StorageError(
      .malformed, "is not of rank \(rank), as \(AdapterConfiguration.fileName) says; its shape is \(a.shape)",
      tensor: a.name)
  }

  /// The update of a module's weight, as it is unless the module has a parameter that is adapted.
  ///
  /// - Throws: `malformed` for another rank than the configuration's.
  package func ofModule(_ configuration: AdapterConfiguration) throws(StorageError) -> Self {
    guard rank == configuration.rank(of: module) else { throw Self.otherRank(a, configuration.rank(of: module)) }
    guard depth == 0 else {
      throw StorageError(.shapeMismatch, "is of a parameter that the base does not have", tensor: a.name)
    }
    return self
  }

  /// The update of one of a module's parameters, whose patterns are matched against its whole name; nil if it does not fit.
  package func ofParameter(
    _ name: String, _ shape: Shape, _ configuration: AdapterConfiguration
  ) -> Self? {
    let parameter = "\(module).\(name)"
    let isStack = shape.dimensions.count == 3
    let (components, overflows) = configuration.rank(of: parameter)
      .multipliedReportingOverflow(by: isStack ? shape.dimensions[0] : 1)
    guard !overflows, components == a.shape.dimensions[0], a.shape.dimensions.count == 2, b.shape.dimensions.count == 2,
      isStack || shape.dimensions.count == 2, magnitude == nil, bias == nil, !isEmbedding
    else { return nil }
    let matrix = shape.dimensions.suffix(2)
    guard matrix == [outputs, inputs] || isStack && matrix == [inputs, outputs] else { return nil }
    var update = self
    update.rank = configuration.rank(of: parameter)
    update.scale = configuration.scale(of: parameter)
    update.stackHeight = isStack ? shape.dimensions[0] : nil
    return update
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
