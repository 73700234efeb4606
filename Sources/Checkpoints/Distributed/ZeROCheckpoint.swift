import TMPackByteIO
import TMPackTensorKit

/// A folder that DeepSpeed left of a training with its Zero Redundancy Optimizer: `global_step…`, with
///
/// | files                                              | what                                                           |
/// |----------------------------------------------------|----------------------------------------------------------------|
/// | `mp_rank_00_model_states.pt`                       | stages 1 and 2: the names and shapes, and the weights in training |
/// | `zero_pp_rank_R_mp_rank_00_model_states.pt`        | stage 3: the same for each process, with empty weights         |
/// | `[bf16_]zero_pp_rank_R_mp_rank_00_optim_states.pt` | for each process its part of the weights in float32            |
///
/// 1. The weights are those in float32, as DeepSpeed's own `zero_to_fp32` puts them together.
/// 2. Stages 1 and 2: each group of parameters is one row of elements, in the order of `param_shapes`, and process after
///    process has a part of it (`single_partition_of_fp32_groups`).
/// 3. Stage 3: each parameter is cut into equal parts, the last filled up; the parts of one process follow each other
///    (`fp32_flat_groups`).
/// 4. Frozen parameters are as they were in training (`frozen_param_fragments`, cut likewise in stage 3; in stage 1,
///    where DeepSpeed's script loses them, among the weights in training). So are buffers; these are float32 where they
///    are floats.
struct ZeROCheckpoint {
  let source: any TensorSource
  /// In the folder.
  let files: [String]

  static let shapesKey = "param_shapes"
  private static let optimizerSuffix = "_mp_rank_00_optim_states.pt"
  private static let modelSuffix = "_mp_rank_00_model_states.pt"
  private static let rankPrefix = "zero_pp_rank_"

  /// Whether the names of a folder's files are those of such a checkpoint.
  static func isOne(_ names: [String]) -> Bool {
    names.contains { $0.contains(rankPrefix) && $0.hasSuffix("_optim_states.pt") }
  }

  /// The folder that `latest` names, as DeepSpeed writes it beside the folders of its steps; nil where there is none, or
  /// weights of another kind.
  static func latest(in folder: String, _ names: [String]) throws(StorageError) -> String? {
    let hasWeights = names.contains { WeightFileName.isWeights($0) && !TrainingState.isOne($0) }
    guard names.contains("latest"), !hasWeights else { return nil }
    let file = try ReadableFile(FileTree.join(folder, "latest"), mode: .read)
    guard file.size <= UInt64(Limits.nameBytes) else { return nil }
    var text = String(decoding: try file.bytes(at: 0, count: Int(file.size)), as: UTF8.self)
    while text.last?.isNewline ?? false { text.removeLast() }
    guard let name = try? CarriedFileName(text), name.components.count == 1, names.contains(text),
      FileTree.kind(of: FileTree.join(folder, text), followingLinks: false) == .folder,
      try isOne(FileTree.names(in: FileTree.join(folder, text)))
    else { return nil }
    return text
  }

  /// - Throws: `unsupportedFeature` for a model that is spread in other ways, too; `malformed` when files are missing or
  ///   disagree; what the reader of PyTorch's files throws.
  init(_ folder: String, _ names: [String], _ mode: InputMode) throws(StorageError) {
    try located(file: folder) { () throws(StorageError) in
      guard !names.contains(where: { $0.contains("mp_rank_01_") || $0.hasPrefix("layer_") }) else {
        throw StorageError(
          .unsupportedFeature,
          "is of a DeepSpeed training with tensor or pipeline parallelism; convert it with DeepSpeed's ds_to_universal")
      }
    }
    let optimizerFiles = try Self.files(Self.optimizerSuffix, amongst: names, in: folder)
    let modelFiles = try Self.files(Self.modelSuffix, amongst: names, in: folder)
    let parts = try optimizerFiles.map { name throws(StorageError) in
      try Part(FileTree.join(folder, name), mode, count: optimizerFiles.count)
    }
    guard let stage = parts.first?.stage, parts.allSatisfy({ $0.stage == stage }) else {
      throw StorageError(.malformed, "has files of several stages of ZeRO", file: folder)
    }
    let single = "mp_rank_00_model_states.pt"
    let states: [String]
    if stage == 3 {
      guard modelFiles.count == parts.count else {
        throw StorageError(
          .malformed,
          "has \(counted(parts.count, "file")) of optimizer states, and \(modelFiles.count) of model states",
          file: folder)
      }
      states = modelFiles
    } else {
      states = [single]
      guard names.contains(single) else { throw StorageError(.malformed, "has no \(single)", file: folder) }
    }
    let models = try states.map { name throws(StorageError) in
      try ModelStates(TorchContents.open(FileTree.join(folder, name), mode: mode))
    }
    var builder = Builder(parts: parts, models: models, stage: stage)
    source = try located(file: folder) { () throws(StorageError) in try builder.source(label: folder) }
    files = states + optimizerFiles
  }

  /// In the order of their processes, none of which may be missing.
  private static func files(
    _ suffix: String, amongst names: [String], in folder: String
  ) throws(StorageError) -> [String] {
    var found: [(rank: Int, name: String)] = []
    for name in names where name.hasSuffix(suffix) {
      let middle = name.dropLast(suffix.count)
      guard let prefix = [rankPrefix, "bf16_" + rankPrefix].first(where: middle.hasPrefix),
        let rank = Int(middle.dropFirst(prefix.count))
      else { continue }
      found.append((rank, name))
    }
    found.sort { $0.rank < $1.rank }
    for (expected, (rank, name)) in found.enumerated() where rank != expected {
      throw StorageError(
        .malformed, "has \(name), but \(rank < expected ? "another file" : "none") of process \(min(rank, expected))",
        file: folder)
    }
    return found.map(\.name)
  }

  /// In stage 3 the weights of `…_model_states.pt` are empty.
  ///
  /// - Throws: `unsupportedFeature`, where `tensors` has such weights.
  static func refuseParts(_ tensors: [(name: String, tensor: TorchTensor)], of pickle: Pickle) throws(StorageError) {
    let empty = tensors.filter { $0.tensor.shape.elementCount == 0 }
    guard !empty.isEmpty else { return }
    var sizes: [ExactString: [Int]] = [:]
    for group in pickle.elements(pickle.member(shapesKey, of: pickle.root)) ?? [] {
      for (name, shape) in pickle.shapes(group) { sizes[ExactString(name)] = shape }
    }
    for (name, _) in empty {
      guard let shape = sizes[ExactString(name)], !shape.contains(0) else { continue }
      throw StorageError(
        .unsupportedFeature,
        """
        is empty here and \(shape) in the model: the file is of DeepSpeed's ZeRO stage 3, whose weights are in the \
        *_optim_states.pt files beside it; name their folder
        """, tensor: name)
    }
  }
}

extension Pickle {
  /// Names and shapes, in the order of the dictionary.
  fileprivate func shapes(_ value: PickleValue?) -> [(name: String, shape: [Int])] {
    (members(value) ?? []).compactMap { member in
      guard let name = string(member.key), let shape = integers(member.value) else { return nil }
      return (name, shape)
    }
  }
}

extension ZeROCheckpoint {
  /// The optimizer's file of one process.
  fileprivate struct Part {
    let contents: TorchContents
    let stage: Int
    /// For each group the flat tensors that follow each other; in stage 3 all are one group.
    let groups: [[TorchTensor]]

    init(_ path: String, _ mode: InputMode, count: Int) throws(StorageError) {
      contents = try TorchContents.open(path, mode: mode)
      let pickle = contents.pickle
      let state = pickle.member("optimizer_state_dict", of: pickle.root)
      guard let stage = Self.stage(pickle.member("zero_stage", of: state), pickle) else {
        throw StorageError(.malformed, "does not say which stage of ZeRO it is of", file: path)
      }
      self.stage = stage
      let counts = pickle.member("partition_count", of: state)
      let partitions = pickle.elements(counts) ?? [counts ?? .none]
      for value in partitions where pickle.integer(value).map({ $0 != count }) ?? false {
        throw StorageError(
          .malformed, "is of \(pickle.integer(value)!) processes; the folder has files of \(count)", file: path)
      }
      let key = stage == 3 ? "fp32_flat_groups" : "single_partition_of_fp32_groups"
      guard let values = pickle.elements(pickle.member(key, of: state)) else {
        throw StorageError(.malformed, "has no \(key)", file: path)
      }
      let flats = values.compactMap { pickle.tensor($0) }
      guard flats.count == values.count,
        flats.allSatisfy({ $0.shape.dimensions.count == 1 && $0.view.isContiguous && $0.dtype == .f32 })
      else { throw StorageError(.malformed, "\(key) are no rows of float32 elements", file: path) }
      groups = stage == 3 ? [flats] : flats.map { [$0] }
    }

    /// A number, or an enumeration's value of it.
    private static func stage(_ value: PickleValue?, _ pickle: Pickle) -> Int? {
      if let number = pickle.integer(value) { return number }
      guard let stage = pickle.opaque(value, named: "ZeroStageEnum") else { return nil }
      return stage.parts.values.compactMap { pickle.integer($0) }.first
    }
  }

  /// A file of model states.
  fileprivate struct ModelStates {
    let contents: TorchContents
    let groups: [[(name: String, shape: [Int])]]
    let frozen: [(name: String, shape: [Int])]
    let buffers: Set<ExactString>
    let sharedNames: [(name: String, first: String)]

    init(_ contents: TorchContents) throws(StorageError) {
      self.contents = contents
      let pickle = contents.pickle
      guard let groups = pickle.elements(pickle.member(shapesKey, of: pickle.root)) else {
        throw StorageError(.malformed, "has no \(shapesKey)", file: contents.file.path)
      }
      self.groups = groups.map { pickle.shapes($0) }
      frozen = pickle.shapes(pickle.member("frozen_param_shapes", of: pickle.root))
      let names = pickle.elements(pickle.member("buffer_names", of: pickle.root)) ?? []
      buffers = Set(names.compactMap { pickle.string($0) }.map { ExactString($0) })
      let shared = pickle.member("shared_params", of: pickle.root)
      let pairs =
        pickle.members(shared)?.map { [$0.key, $0.value] }
        ?? pickle.elements(shared)?.compactMap { pickle.elements($0) }
      sharedNames = (pairs ?? []).compactMap { pair in
        guard pair.count == 2, let name = pickle.string(pair[0]), let first = pickle.string(pair[1]) else { return nil }
        return (name, first)
      }
    }

    func tensor(_ name: String, in key: String) -> TorchTensor? {
      contents.pickle.tensor(contents.pickle.member(name, of: contents.pickle.member(key, of: contents.pickle.root)))
    }
  }

  /// Where a run of a tensor's elements lies.
  fileprivate struct Run {
    /// Of `Builder.contents`.
    let file: Int
    let tensor: TorchTensor
    /// Elements of the tensor.
    let range: Range<Int>
  }

  /// Collects for each tensor the runs that it consists of.
  fileprivate struct Builder {
    let parts: [Part]
    let models: [ModelStates]
    let stage: Int
    private var tensors: [(name: String, shape: [Int], runs: [Run])] = []
    private var notes: [String] = []

    init(parts: [Part], models: [ModelStates], stage: Int) {
      (self.parts, self.models, self.stage) = (parts, models, stage)
    }

    mutating func source(label: String) throws(StorageError) -> any TensorSource {
      if stage == 3 { try addCutParameters() } else { try addGroups() }
      try addFrozen()
      try addBuffers()
      return try finish(label)
    }

    /// As many as a tensor may have, so that sums of a few do not overflow.
    private static func elementCount(_ shape: [Int], _ name: String) throws(StorageError) -> Int {
      try located(tensor: name) { () throws(StorageError) in
        let count = try Shape(shape).elementCount
        try Limits.check(count, atMost: Limits.tensorBytes, "the number of elements")
        return count
      }
    }

    /// Rule 2.
    private mutating func addGroups() throws(StorageError) {
      let groups = models[0].groups
      guard parts.allSatisfy({ $0.groups.count == groups.count }) else {
        throw StorageError(
          .malformed, "\(shapesKey) has \(groups.count) groups, the optimizer's files have other numbers")
      }
      for (number, group) in groups.enumerated() {
        var position = 0
        for (name, shape) in group {
          let count = try Self.elementCount(shape, name)
          let next = try position.adding(count, "the elements of a group")
          var runs: [Run] = []
          var begin = 0
          for (rank, part) in parts.enumerated() {
            let flat = part.groups[number][0]
            let end = try begin.adding(flat.shape.elementCount, "the elements of a group")
            let range = max(begin, position)..<max(max(begin, position), min(end, next))
            if !range.isEmpty {
              runs.append(Run(file: rank, tensor: flat, range: range.lowerBound - begin..<range.upperBound - begin))
            }
            begin = end
          }
          tensors.append((name, shape, runs))
          position = next
        }
        let all = parts.reduce(0) { $0 + $1.groups[number][0].shape.elementCount }
        // What fills up the last part is less than this.
        guard all >= position, all - position < 2 * parts.count else {
          throw StorageError(
            .malformed, "group \(number) has \(position) elements, the optimizer's files have \(all) of it")
        }
      }
    }

    /// Rule 3.
    private mutating func addCutParameters() throws(StorageError) {
      var position = 0
      for (name, shape) in models[0].groups.joined() {
        let count = try Self.elementCount(shape, name)
        let share = (count + parts.count - 1) / parts.count
        let next = try position.adding(share, "the elements of a part")
        var runs: [Run] = []
        for (rank, part) in parts.enumerated() {
          // The last processes may have nothing but filling.
          let own = max(0, min(share, count - rank * share))
          var begin = 0
          for flat in part.groups[0] {
            let end = begin + flat.shape.elementCount
            let range = max(begin, position)..<max(max(begin, position), min(end, position + own))
            if !range.isEmpty {
              runs.append(Run(file: rank, tensor: flat, range: range.lowerBound - begin..<range.upperBound - begin))
            }
            begin = end
          }
        }
        tensors.append((name, shape, runs))
        position = next
      }
      for part in parts {
        let all = part.groups[0].reduce(0) { $0 + $1.shape.elementCount }
        guard all >= position, all - position < 2 * parts.count else {
          throw StorageError(
            .malformed, "has \(all) elements; the parts of all parameters are \(position)",
            file: part.contents.file.path)
        }
      }
    }

    /// Rule 4.
    private mutating func addFrozen() throws(StorageError) {
      let key = "frozen_param_fragments"
      for (name, shape) in models[0].frozen {
        let count = try Self.elementCount(shape, name)
        let share = stage == 3 ? (count + parts.count - 1) / parts.count : count
        var runs: [Run] = []
        for (number, model) in models.enumerated() {
          guard let tensor = model.tensor(name, in: key) else {
            throw StorageError(.malformed, "is not in \(key)", file: model.contents.file.path, tensor: name)
          }
          let own = max(0, min(share, count - number * share))
          guard tensor.shape.elementCount >= own else {
            throw StorageError(
              .malformed, "has too few elements in \(key)", file: model.contents.file.path, tensor: name)
          }
          if own > 0 { runs.append(Run(file: parts.count + number, tensor: tensor, range: 0..<own)) }
        }
        tensors.append((name, shape, runs))
      }
      let known = Set(tensors.map { ExactString($0.name) })
      let model = models[0]
      let shared = Set(model.sharedNames.map { ExactString($0.name) })
      var inTraining: [String] = []
      for member in model.contents.pickle.members(
        model.contents.pickle.member("module", of: model.contents.pickle.root)) ?? []
      {
        guard let name = model.contents.pickle.string(member.key),
          let tensor = model.contents.pickle.tensor(member.value),
          !known.contains(ExactString(name)), !shared.contains(ExactString(name)),
          !model.buffers.contains(ExactString(name)),
          tensor.shape.elementCount > 0
        else { continue }
        tensors.append(
          (
            name, tensor.shape.dimensions,
            [Run(file: parts.count, tensor: tensor, range: 0..<tensor.shape.elementCount)]
          ))
        inTraining.append(name)
      }
      if !inTraining.isEmpty {
        notes.append(
          "\(counted(inTraining.count, "tensor")) not trained, and taken as the model has them: \(WritableFormat.listed(inTraining))"
        )
      }
    }

    private mutating func addBuffers() throws(StorageError) {
      let model = models[0]
      for name in model.buffers.map(\.text) {
        guard let tensor = model.tensor(name, in: "module") else { continue }
        tensors.append(
          (
            name, tensor.shape.dimensions,
            [Run(file: parts.count, tensor: tensor, range: 0..<tensor.shape.elementCount)]
          ))
      }
    }

    /// Every run becomes a tensor of its file, and these the pieces of the whole.
    private func finish(_ label: String) throws(StorageError) -> any TensorSource {
      let contents = parts.map(\.contents) + models.map(\.contents)
      var runs = contents.map { _ in [(name: String, tensor: TorchTensor)]() }
      /// Of each tensor's runs: the file, and the number of the run there.
      var places: [[(file: Int, name: String)]] = []
      for tensor in tensors {
        places.append(
          try tensor.runs.map { run throws(StorageError) in
            let name = String(runs[run.file].count)
            let view = run.tensor.view
            let isWhole = run.range == 0..<run.tensor.shape.elementCount
            guard isWhole || (view.isContiguous && run.tensor.dtype != .f4) else {
              throw StorageError(.unsupportedFeature, "is cut, and no row of elements", tensor: tensor.name)
            }
            let shape = isWhole ? run.tensor.shape : try Shape([run.range.count])
            let part = TorchTensor(
              storage: run.tensor.storage, dtype: run.tensor.dtype, typeName: run.tensor.typeName, shape: shape,
              view: isWhole
                ? view
                : try StridedView(
                  offset: view.offset + run.range.lowerBound, shape: shape, strides: [1],
                  capacity: view.offset + run.tensor.shape.elementCount))
            runs[run.file].append((name, part))
            return (run.file, name)
          })
      }
      let files = try zip(contents, runs).map { pair throws(StorageError) in
        try TorchFile(pair.0, StateDictionary(pair.1))
      }
      let pieced = try zip(tensors, places).map { pair throws(StorageError) in
        let (tensor, places) = pair
        return try located(tensor: tensor.name) { () throws(StorageError) in
          var pieces: [TensorPiece] = []
          var dtype: DType?
          var position = 0
          for place in places {
            let file = files[place.file]
            let info = file.tensor(named: place.name)!
            guard dtype == nil || dtype == info.dtype else {
              throw StorageError(.malformed, "has parts of several dtypes")
            }
            dtype = info.dtype
            pieces.append(
              TensorPiece(offsets: [position], shape: try Shape([info.shape.elementCount])) { () throws(StorageError) in
                try file.bytes(of: info)
              })
            position += info.shape.elementCount
          }
          let whole = try TensorInfo(name: tensor.name, dtype: dtype ?? .f32, shape: Shape(tensor.shape))
          return try PiecedTensor(whole, as: Shape([whole.shape.elementCount]), pieces)
        }
      }
      return try tied(pieced, label)
    }

    /// With the tensors that share another's elements, and buffers in float32.
    private func tied(_ pieced: [PiecedTensor], _ label: String) throws(StorageError) -> any TensorSource {
      var all = pieced
      var ties: [String: String] = [:]
      for (name, first) in models[0].sharedNames {
        guard let tensor = pieced.first(where: { $0.info.name.hasSameBytes(as: first) }),
          !pieced.contains(where: { $0.info.name.hasSameBytes(as: name) })
        else { continue }
        all.append(
          try PiecedTensor(
            TensorInfo(name: name, dtype: tensor.info.dtype, shape: tensor.info.shape), as: tensor.shape, tensor.pieces)
        )
        // A tie leads to the first of its names.
        if first.precedesInBytes(name) { ties[name] = first } else { ties[first] = name }
      }
      let source = try PiecedSource(all, ties: ties, notes: notes, label: label)
      let buffers = models[0].buffers
      return try ConvertedSource(source, to: .f32, overflow: .error) { buffers.contains(ExactString($0.name)) }
    }
  }
}
