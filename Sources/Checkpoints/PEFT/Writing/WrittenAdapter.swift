import TMPackByteIO
import TMPackJSON
import TMPackParallel
import TMPackTensorKit

/// An adapter as a library's layout has it: its tensors, made as they are read, and its configuration.
///
/// Memory while reading one tensor: it, and what it is made of.
package struct WrittenAdapter: TensorSource {
  package let dialect: AdapterDialect
  package private(set) var tensors: [TensorInfo] = []
  package private(set) var metadata: [String: String] = [:]
  /// `adapter_config.json`; nil where the layout has none.
  package private(set) var configuration: JSONValue?
  package private(set) var notes: [String] = []
  private let source: any TensorSource
  private var parts: [ExactString: AdapterPart] = [:]

  package var label: String { source.label }

  /// - Parameter component: what of a pipeline the model is, for layouts that say so, where the updates do not.
  /// - Throws: `unsupportedFeature` for an update that the layout has no place for; `invalidArgument` where a component is missing.
  package init(_ content: AdapterContent, for dialect: AdapterDialect, component: String? = nil) throws(StorageError) {
    self.dialect = dialect
    source = content.source
    try located(file: content.source.label) { () throws(StorageError) in
      guard let first = content.updates.first else {
        throw StorageError(.invalidArgument, "has no update to be written")
      }
      let isDecomposed = first.magnitude != nil
      if let other = content.updates.first(where: { ($0.magnitude != nil) != isDecomposed }) {
        throw StorageError(.unsupportedFeature, "is of DoRA, and other updates are not", tensor: other.a.name)
      }
      switch dialect {
      case .peft: try addPEFT(content)
      case .mlx: try addMLX(content)
      case .kohya: try addKohya(content, component)
      case .diffusers: try addDiffusers(content, component)
      }
    }
    tensors = tensors.sortedByName()
  }

  // MARK: Reading

  package func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    switch parts[ExactString(info.name)] {
    case .same(let own): try source.bytes(of: own).withBytes { destination.copyMemory(from: $0) }
    case .number(let value): destination.storeBytes(of: value.bitPattern.littleEndian, as: UInt32.self)
    case .sides(let sides):
      destination.initializeMemory(as: UInt8.self, repeating: 0)
      let share = destination.count / sides.count
      for (number, side) in sides.enumerated() {
        try side?.place(
          source, as: info.dtype,
          into: UnsafeMutableRawBufferPointer(rebasing: destination[number * share..<(number + 1) * share]))
      }
    case nil: throw unknown(info)
    }
  }

  private mutating func add(_ name: String, _ dtype: DType, _ shape: [Int], _ part: AdapterPart) throws(StorageError) {
    guard parts.updateValue(part, forKey: ExactString(name)) == nil else {
      throw StorageError(.unsupportedFeature, "would be the name of two tensors", tensor: name)
    }
    tensors.append(try TensorInfo(name: name, dtype: dtype, shape: Shape(shape)))
  }

  private mutating func add(_ name: String, _ info: TensorInfo, _ shape: [Int]? = nil) throws(StorageError) {
    try add(name, info.dtype, shape ?? info.shape.dimensions, .same(info))
  }

  private mutating func add(_ name: String, _ side: AdapterPart.Side) throws(StorageError) {
    try add(name, side.dtype, side.shape, .sides([side]))
  }

  // MARK: Writing

  /// Writes it, up to the point where it would appear. An older adapter is replaced if nothing is beside it.
  ///
  /// - Throws: `invalidArgument` for a folder's name where the layout is a file, or the other way.
  package func stage(
    _ path: String, replacing: Bool = false, threads: Int = availableCores(),
    progress: (_ bytesWritten: UInt64, _ total: UInt64) -> Void = { _, _ in }
  ) throws(StorageError) -> any StagedOutput {
    guard let weights = dialect.weightFileName else {
      let destination = try CheckpointDestination(path, format: .safetensors, replacing: replacing)
      guard destination.layout == .file else {
        throw StorageError(.invalidArgument, "is to be one file; name it with .safetensors at its end", file: path)
      }
      return try destination.stage(self, threads: threads, progress: progress).output
    }
    guard WritableFormat(suffixOf: path) == nil else {
      throw StorageError(.invalidArgument, "is to be a folder; name it without a suffix", file: path)
    }
    let folder = try AtomicFolder(path, replacing: replacing ? { dialect.fileNames.contains($0) } : nil)
    if let configuration {
      let file = try folder.makeFile(CarriedFileName(AdapterConfiguration.fileName))
      try file.write(Array((configuration.prettyText + "\n").utf8))
      try file.commit()
    }
    try CheckpointDestination(FileTree.join(folder.staging, weights))
      .write(self, threads: threads, progress: progress)
    return folder
  }

  // MARK: peft

  private mutating func addPEFT(_ content: AdapterContent) throws(StorageError) {
    let updates = try ofOneModel(content)
    let settings = PEFTSettings(updates.map { ($0.path, $0.rank, $0.scale * Double($0.rank)) })
    let common = settings.areAmbiguous ? Common(updates) : nil
    for update in updates {
      let module = "base_model.model.\(update.path)"
      let names = update.isEmbedding ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A.weight", "lora_B.weight")
      if let common, !update.isConvolution {
        try add("\(module).\(names.0)", common.side(update, isA: true, isTransposed: false))
        try add("\(module).\(names.1)", common.side(update, isA: false, isTransposed: false))
      } else if common != nil {
        throw StorageError(
          .unsupportedFeature, "is of a convolution, whose rank no pattern of peft could tell from another's",
          tensor: update.a.name)
      } else {
        try add("\(module).\(names.0)", update.a)
        try add("\(module).\(names.1)", update.b)
      }
      if let magnitude = update.magnitude {
        let ones = [Int](repeating: 1, count: update.a.shape.dimensions.count - 2)
        let shape = ones.isEmpty ? [update.outputs] : [1, update.outputs] + ones
        try add("\(module).lora_magnitude_vector", magnitude, shape)
      }
    }
    if let common { notes += common.notes(updates) }
    if updates.contains(where: { MLXAdapter.stack(ofExpert: $0.path) != nil }) {
      notes.append("experts are modules of their own, as vLLM and transformers 4 have them, but not transformers 5")
    }
    var object = settings.members(uniform: common.map { ($0.rank, $0.scale * Double($0.rank)) })
    object["base_model_name_or_path"] = content.baseModelName.map { .string($0) } ?? .null
    object["fan_in_fan_out"] = .bool(content.isTransposed)
    object["target_modules"] = .array(updates.map { .string($0.path) })
    if common == nil { settings.addPatterns(to: &object) }
    if updates[0].magnitude != nil { object["use_dora"] = true }
    configuration = .object(object)
  }

  // MARK: mlx-lm

  private mutating func addMLX(_ content: AdapterContent) throws(StorageError) {
    let updates = try ofOneModel(content)
    // It makes its layers with one rank and one scale, and loads nothing of another shape.
    let common = Common(updates)
    var keys: Set<String> = []
    var stacks: [String: [Int: AdapterContent.Update]] = [:]
    for update in updates {
      guard !update.isConvolution else {
        throw StorageError(
          .unsupportedFeature, "is of a convolution, which mlx-lm does not adapt", tensor: update.a.name)
      }
      guard update.magnitude == nil || !update.isEmbedding else {
        throw StorageError(
          .unsupportedFeature, "is of DoRA on an embedding, which mlx-lm scales by rows", tensor: update.a.name)
      }
      if let (stack, number) = MLXAdapter.stack(ofExpert: update.path) {
        guard update.magnitude == nil else {
          throw StorageError(
            .unsupportedFeature, "is of DoRA on an expert, which mlx-lm does not have", tensor: update.a.name)
        }
        try Limits.check(number, atMost: Limits.adapterExperts - 1, "the number of an expert")
        stacks[stack, default: [:]][number] = update
        keys.insert(stack)
        continue
      }
      try add("\(update.path).lora_a", common.side(update, isA: true, isTransposed: true))
      try add("\(update.path).lora_b", common.side(update, isA: false, isTransposed: true))
      if let magnitude = update.magnitude { try add("\(update.path).m", magnitude, [update.outputs]) }
      keys.insert(update.path)
    }
    for (stack, experts) in stacks {
      let count = max(content.expertCount ?? 0, experts.keys.max()! + 1)
      for isA in [true, false] {
        let sides = (0..<count).map { experts[$0].map { common.side($0, isA: isA, isTransposed: false) } }
        let all = sides.compactMap { $0 }
        if let other = all.first(where: { $0.shape != all[0].shape }) {
          throw StorageError(.malformed, "is of another shape than that of another expert", tensor: other.info.name)
        }
        let dtypes = Set(all.map(\.dtype))
        try add(
          "\(stack).lora_\(isA ? "a" : "b")", dtypes.count == 1 ? dtypes.first! : .f32, [count] + all[0].shape,
          .sides(sides))
      }
    }
    notes += common.notes(updates)
    configuration = [
      "fine_tune_type": updates[0].magnitude == nil ? "lora" : "dora", "num_layers": -1,
      "lora_parameters": [
        // Whole names, so that no layer gets an update that has none.
        "keys": .array(keys.sorted { $0.precedesInBytes($1) }.map { .string($0) }), "rank": JSONValue(common.rank),
        "scale": .number(common.scale), "dropout": .number(0),
      ],
    ]
  }

  // MARK: kohya and diffusers

  private mutating func addKohya(_ content: AdapterContent, _ component: String?) throws(StorageError) {
    let components = Set(content.updates.compactMap(\.component))
    for update in content.updates {
      let module: String
      if update.component == nil, KohyaName.isUsed(by: update.module) {
        module = update.module
      } else {
        let own = try Self.component(of: update, component)
        guard
          let prefix = KohyaName.prefix(ofComponent: own, isOneOfSeveral: components.contains("text_encoder_2"))
        else {
          throw StorageError(
            .unsupportedFeature, "is of \(own), which kohya's names do not have", tensor: update.a.name)
        }
        module = prefix + KohyaName.word(for: update.path)
      }
      try refuseEmbedding(update)
      try add("\(module).lora_down.weight", update.a)
      try add("\(module).lora_up.weight", update.b)
      try add("\(module).alpha", .f32, [], .number(Float(update.scale * Double(update.rank))))
      if let magnitude = update.magnitude {
        let ones = [Int](repeating: 1, count: update.a.shape.dimensions.count - 1)
        try add("\(module).dora_scale", magnitude, [update.outputs] + ones)
      }
    }
    noteAlphas(content.updates)
  }

  private mutating func noteAlphas(_ updates: [AdapterContent.Update]) {
    guard Set(updates.map { $0.scale * Double($0.rank) }).count > 1 else { return }
    notes.append("α differs between modules, which diffusers 0.42 mistakes for each other's in a file of kohya's")
  }

  private mutating func addDiffusers(_ content: AdapterContent, _ component: String?) throws(StorageError) {
    var components: [String: [AdapterContent.Update]] = [:]
    for update in content.updates {
      try refuseEmbedding(update)
      try refuseWord(update)
      let own = try Self.component(of: update, component)
      components[own, default: []].append(update)
      let module = "\(own).\(update.path)"
      try add("\(module).lora_A.weight", update.a)
      try add("\(module).lora_B.weight", update.b)
      if let magnitude = update.magnitude { try add("\(module).lora_magnitude_vector", magnitude, [update.outputs]) }
    }
    var members: [(String, JSONValue)] = []
    for (own, updates) in components.sorted(by: { $0.key.precedesInBytes($1.key) }) {
      let settings = PEFTSettings(updates.map { ($0.path, $0.rank, $0.scale * Double($0.rank)) })
      guard !settings.areAmbiguous else {
        throw StorageError(.unsupportedFeature, "has modules whose ranks no pattern of peft could tell apart")
      }
      var object = settings.members()
      settings.addPatterns(to: &object)
      object["target_modules"] = .array(updates.map { .string($0.path) })
      if updates[0].magnitude != nil { object["use_dora"] = true }
      members += object.members.map { ("\(own).\($0.name)", $0.value) }
    }
    metadata["lora_adapter_metadata"] = JSONValue.object(JSONObject(members)).compactText
  }

  private static func component(of update: AdapterContent.Update, _ component: String?) throws(StorageError) -> String {
    guard let own = update.component ?? component else {
      throw StorageError(
        .invalidArgument, "is of \(update.module), and what of a pipeline that is has to be said: --component unet",
        tensor: update.a.name)
    }
    return own
  }

  private func refuseEmbedding(_ update: AdapterContent.Update) throws(StorageError) {
    guard !update.isEmbedding else {
      throw StorageError(
        .unsupportedFeature, "is of an embedding, for which \(dialect.rawValue)'s layout has no place",
        tensor: update.a.name)
    }
  }

  private func refuseWord(_ update: AdapterContent.Update) throws(StorageError) {
    guard KohyaName.isUsed(by: update.module) else { return }
    throw StorageError(
      .invalidArgument, "is a name in which underscores stand for dots: --base MODEL tells which module is meant",
      tensor: update.module)
  }

  /// The updates, if they are not of several models.
  private func ofOneModel(_ content: AdapterContent) throws(StorageError) -> [AdapterContent.Update] {
    for update in content.updates { try refuseWord(update) }
    let components = Set(content.updates.map { $0.component ?? "" }).sorted { $0.precedesInBytes($1) }
    guard components.count == 1 else {
      throw StorageError(
        .unsupportedFeature,
        "adapts \(components.joined(separator: ", ")), and an adapter of \(dialect.rawValue) is of one model: --tensors '\(components.last!)/*' takes one"
      )
    }
    return content.updates
  }
}

/// One rank and one scale for all updates of an adapter, for layouts that know no more.
private struct Common {
  let rank: Int
  /// That of all updates, or 1 where they differ and are multiplied into B.
  let scale: Double
  private let isFolded: Bool

  init(_ updates: [AdapterContent.Update]) {
    rank = updates.map(\.rank).max() ?? 1
    isFolded = Set(updates.map(\.scale)).count > 1
    scale = isFolded ? 1 : updates.first?.scale ?? 1
  }

  func side(_ update: AdapterContent.Update, isA: Bool, isTransposed: Bool) -> AdapterPart.Side {
    AdapterPart.Side(
      info: isA ? update.a : update.b, isA: isA, rank: rank, factor: isFolded && !isA ? Float(update.scale) : 1,
      isTransposed: isTransposed)
  }

  func notes(_ updates: [AdapterContent.Update]) -> [String] {
    var notes: [String] = []
    let narrow = updates.count { $0.rank < rank }
    if narrow > 0 { notes.append("\(narrow) of \(updates.count) updates are filled up with zeros to rank \(rank)") }
    if isFolded { notes.append("scales differ, and are multiplied into B, in 32 bits") }
    return notes
  }
}

extension AdapterContent.Update {
  fileprivate var isConvolution: Bool { a.shape.dimensions.count > 2 }
}
