import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackModels
import TMPackParallel
import TMPackTensorKit

/// One expert, a weighted mix of several, or the shared model: tensors that are rebuilt as they are read.
public struct Mix: TensorSource {
  public let tensors: [TensorInfo]
  public let metadata: [String: String]
  /// What one expert alone was called before it was packed, where that was otherwise than the base.
  package let ownNames: NameRecord?
  public let label: String
  /// The non-tensor files that go with it (TMP-7-11).
  public let files: [MixFile]

  public let reconstructor: Reconstructor
  private let recipes: MixRecipes
  private let dtype: FloatFormat?
  /// The expert whose files go with it; nil for the shared model's.
  private let leading: Int?
  let overflows = OverflowCount()

  /// How one tensor comes about.
  package enum Recipe: Sendable {
    /// The shared tensor, bit for bit.
    case shared(SharedEntry)
    /// One expert's tensor, which `info` describes, as the archive has it by itself.
    case exact(WeightedExpert, ExpertEntry, info: TensorInfo)
    /// The same, of a lossy entry with a correction (TMP-7-14).
    case corrected(SharedEntry, WeightedExpert, ExpertEntry)
    /// The shared tensor and what experts add to it, in declaration order.
    case sum(SharedEntry, [(expert: WeightedExpert, entry: ExpertEntry)])
    /// The rows that the shared tensor has, too, and behind them the further ones of an expert, bit for bit; `info` is of
    /// both (TMP-7-17).
    indirect case extended(Recipe, WeightedExpert, ExpertEntry, info: TensorInfo)

    /// Of the tensor before any conversion.
    var info: TensorInfo {
      switch self {
      case .shared(let base), .sum(let base, _), .corrected(let base, _, _): base.info
      case .exact(_, _, let info), .extended(_, _, _, let info): info
      }
    }
  }

  /// - Parameters:
  ///   - selection: by position, weights not 0.
  ///   - manifests: of the selection.
  ///   - isExact: of one expert of weight 1 with corrections, give its own tensors.
  init(
    of reconstructor: Reconstructor, _ selection: [WeightedExpert], _ manifests: [ExpertManifest], dtype: FloatFormat?,
    isExact: Bool
  ) throws(StorageError) {
    self.reconstructor = reconstructor
    self.dtype = dtype
    let archive = reconstructor.archive
    let shared = reconstructor.shared.manifest
    let heaviest = selection.indices.max { first, second in
      // `max` keeps the last of equals; TMP-7-11 wants the first.
      (selection[first].weight, second) < (selection[second].weight, first)
    }
    var metadata = heaviest.map { manifests[$0].metadata } ?? shared.metadata
    // TMP-6-31
    let record = metadata.removeValue(forKey: NameRecord.key)
    self.metadata = metadata
    ownNames = selection.count == 1 ? record.map { NameRecord($0) } : nil
    leading = heaviest.map { selection[$0].position }
    files = try MixFile.list(of: archive, expert: leading)
    let names = selection.map { archive.experts[$0.position].name }
    label = names.isEmpty ? archive.path : "\(archive.path)#\(names.joined(separator: "+"))"

    recipes = try MixRecipes(MixedManifests(shared, selection, manifests, isExact: isExact))
    tensors = try recipes.infos.map { info throws(StorageError) in
      guard let dtype, info.dtype.floatFormat != nil else { return info }
      return try TensorInfo(name: info.name, dtype: dtype.dtype, shape: info.shape)
    }
    try refuseCodes(selection)
  }

  /// What of it is kept as codes, by its tensors and by its configuration.
  ///
  /// - Throws: what `Quantization` throws.
  package func quantization() throws(StorageError) -> Quantization {
    Quantization(of: self, try reconstructor.facts.configurations(ofExpert: leading, files: files, label: label))
  }

  /// Weights that are kept as codes are given as they were stored, and no other way: no sum of codes means anything.
  private func refuseCodes(_ selection: [WeightedExpert]) throws(StorageError) {
    let isMerged = selection.isEmpty && ![.base, .given].contains(reconstructor.archive.method.name)
    let isAlone = selection.isEmpty || (selection.count == 1 && selection[0].weight == 1)
    guard isMerged || !isAlone || dtype != nil else { return }
    let purpose = isMerged || !isAlone ? "mixed" : "converted"
    try quantization().refuse(
      purpose, advice: "unpack an expert alone and as it was packed")
  }

  func recipe(of info: TensorInfo) -> Recipe? { recipes[info.name] }

  /// - Throws: `unknownName` for a tensor of another mix, or of another size.
  private func checkedRecipe(of info: TensorInfo) throws(StorageError) -> Recipe {
    _ = try place(of: info)
    guard let recipe = recipe(of: info) else { throw unknown(info) }
    return recipe
  }

  /// What is added to the shared tensor of that name; nil for a tensor that comes about otherwise.
  package func addends(of name: String) -> [(expert: WeightedExpert, entry: ExpertEntry)]? {
    switch recipes[name] {
    case .shared: []
    case .sum(_, let addends): addends
    case .exact, .corrected, .extended, nil: nil
    }
  }

  // MARK: Reading

  /// Numbers that became infinite because they were too large for the dtype that was asked for, in all tensors that have been
  /// read so far (TMP-7-13).
  public var overflowCount: Int { overflows.value }

  /// Whether `bytes(of:)` gives memory that the reconstructor keeps, too, instead of a copy.
  func sharesMemory(of info: TensorInfo) -> Bool {
    guard reconstructor.memoryLimit > 0, let recipe = recipes[info.name], recipe.info.dtype == info.dtype
    else {
      return false
    }
    switch recipe {
    case .shared, .exact: return true
    case .corrected, .sum, .extended: return false
    }
  }

  /// One tensor: without a copy where it is the shared model's or an expert's own.
  public func bytes(of info: TensorInfo) throws(StorageError) -> TensorBytes {
    let recipe = try checkedRecipe(of: info)
    if recipe.info.dtype == info.dtype {
      switch recipe {
      case .shared(let base): return try reconstructor.sharedBytes(base)
      case .exact(let expert, let entry, _):
        if case .bytes(let bytes) = try reconstructor.part(entry, ofExpert: expert.position) { return bytes }
      case .corrected, .sum, .extended: break
      }
    }
    return try copy(of: info)
  }

  /// Rebuilds one tensor in the caller's memory.
  ///
  /// Frames, parts and panels are worked on by all threads that are free: see `concurrently`.
  /// Memory: its decoded parts, unless they are kept already, and a panel of its elements a thread.
  public func read(_ info: TensorInfo, into destination: UnsafeMutableRawBufferPointer) throws(StorageError) {
    let recipe = try checkedRecipe(of: info)
    guard destination.count == info.byteCount else {
      throw StorageError(
        .invalidArgument, "has \(info.byteCount) bytes, and there is room for \(destination.count)", file: label,
        tensor: info.name)
    }
    try read(recipe, as: info, into: destination)
  }

  /// - Parameter info: what the recipe gives, in the dtype that is asked for.
  private func read(
    _ recipe: Recipe, as info: TensorInfo, into destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    switch recipe {
    case .extended(let common, let expert, let entry, let own):
      let part = try TensorInfo(name: info.name, dtype: info.dtype, shape: common.info.shape)
      try read(common, as: part, into: UnsafeMutableRawBufferPointer(rebasing: destination[..<part.byteCount]))
      let rows = own.shape.dimensions[0] - common.info.shape.dimensions[0]
      let shape = try Shape([rows] + own.shape.dimensions.dropFirst())
      try convert(
        try TensorInfo(name: info.name, dtype: own.dtype, shape: shape),
        try reconstructor.extraRows(entry, ofExpert: expert.position),
        to: try TensorInfo(name: info.name, dtype: info.dtype, shape: shape),
        UnsafeMutableRawBufferPointer(rebasing: destination[part.byteCount...]))
    case .shared(let base):
      try convert(base.info, try reconstructor.sharedBytes(base), to: info, destination)
    case .exact(let expert, let entry, let own):
      guard case .bytes(let bytes) = try reconstructor.part(entry, ofExpert: expert.position) else {
        preconditionFailure("exact entries decode to bytes")
      }
      try convert(own, bytes, to: info, destination)
    case .corrected(let base, let expert, let entry):
      let bytes = try reconstructor.correctedBytes(entry, ofExpert: expert.position, base: base)
      try convert(base.info, bytes, to: info, destination)
    case .sum(let base, let addends):
      let sum = try sum(base, addends, as: info)
      try sum.write(try reconstructor.sharedBytes(base), into: destination)
    }
  }

  /// What the addends add to a tensor.
  ///
  /// - Parameter elements: those that will be asked for; nil for all.
  package func sum(
    _ base: SharedEntry, _ addends: [(expert: WeightedExpert, entry: ExpertEntry)], as info: TensorInfo,
    touching elements: Range<Int>? = nil
  ) throws(StorageError) -> WeightedSum {
    guard let format = base.info.dtype.floatFormat, let output = info.dtype.floatFormat else {
      preconditionFailure("only float tensors are summed")
    }
    let reconstructor = reconstructor
    let parts = try mappedConcurrently(addends.count) { index throws(StorageError) -> WeightedSum.Addend? in
      let (expert, entry) = addends[index]
      return switch try reconstructor.preparedPart(entry, ofExpert: expert.position, touching: elements) {
      case .factor(let factor): .factor(WeightedFactor(factor, weight: expert.weight))
      case .nothing: nil
      case .bytes(let own): .difference(own: own, weight: expert.weight)
      }
    }
    return WeightedSum(parts.compactMap { $0 }, to: format, as: output, overflows: overflows)
  }

  private func convert(
    _ info: TensorInfo, _ bytes: TensorBytes, to output: TensorInfo, _ destination: UnsafeMutableRawBufferPointer
  ) throws(StorageError) {
    let formats = info.dtype == output.dtype ? nil : info.dtype.floatFormat.map { ($0, output.dtype.floatFormat!) }
    let (width, outputWidth) = formats.map { ($0.byteWidth, $1.byteWidth) } ?? (1, 1)
    let count = bytes.count / width
    nonisolated(unsafe) let destination = destination
    try concurrently((count + Self.runLength - 1) / Self.runLength) { index throws(StorageError) in
      let run = index * Self.runLength..<min((index + 1) * Self.runLength, count)
      let target = UnsafeMutableRawBufferPointer(
        rebasing: destination[run.lowerBound * outputWidth..<run.upperBound * outputWidth])
      try bytes.withBytes { raw in
        let own = UnsafeRawBufferPointer(rebasing: raw[run.lowerBound * width..<run.upperBound * width])
        if let (from, to) = formats {
          overflows.add(from.convert(own, to: to, into: target))
        } else {
          target.copyMemory(from: own)
        }
      }
    }
  }

  /// What one thread copies or converts at a time: elements, or bytes.
  private static let runLength = 1 << 20
}
