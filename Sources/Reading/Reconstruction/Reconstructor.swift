import Synchronization
import TMPackArchiveFormat
import TMPackByteIO
import TMPackFactors
import TMPackModels
import TMPackTensorKit

/// Rebuilds experts and mixes of them from an archive (TMP-7).
///
/// What has been decoded is kept, so that mixing again with other weights reads nothing twice: the shared model and the
/// factors of the experts used, those that were used last if not all fit. Safe to use from several threads.
///
/// Source: Lu et al., Twin-Merging, NeurIPS 2024, arXiv 2406.15479: θ = θ_shared + Σ wₜ · decode(factorₜ).
public final class Reconstructor: Sendable {
  public let archive: Archive
  package let shared: SharedTensors
  /// Bytes of decoded parts that are kept at most.
  public let memoryLimit: Int
  /// For what spans need of the shared model and of experts.
  package let scratch = PartMemory(partBytes: spanBytes)
  /// What mixes need to know of the models again and again.
  let facts = MixingFacts()
  private let decoded: Mutex<RecentlyUsed<PartName, Kept>>

  /// About the bytes of the shared model that a span needs (see `Mix.spanned`).
  static let spanBytes = 2 << 20
  /// Half of a core's second-level cache.
  static let cachedBytes = 512 << 10

  /// What the cache is keyed by.
  private enum PartName: Hashable {
    case shared(tensor: ExactString)
    case expert(Int, tensor: ExactString)
    /// A lossy entry, for mixes.
    case prepared(Int, tensor: ExactString)
  }

  private enum Kept: Sendable {
    case part(DecodedPart)
    case prepared(PreparedPart)

    var byteCount: Int {
      switch self {
      case .part(let part): part.byteCount
      case .prepared(let part): part.byteCount
      }
    }
  }

  /// - Parameters:
  ///   - archive: whose experts it rebuilds.
  ///   - memoryLimit: bytes of decoded parts that are kept at most; 0 for one pass over a large archive in memory bounded by
  ///     a few tensors.
  /// - Throws: `invalidArgument` for a negative limit; what reading the shared model's manifest throws.
  public init(_ archive: Archive, memoryLimit: Int = .max) throws(StorageError) {
    guard memoryLimit >= 0 else { throw StorageError(.invalidArgument, "a limit of \(memoryLimit) bytes is negative") }
    self.archive = archive
    self.memoryLimit = memoryLimit
    decoded = Mutex(RecentlyUsed(limit: memoryLimit))
    shared = try SharedTensors(of: archive)
  }

  /// The model for some router weights, whose tensors are rebuilt when they are read.
  ///
  /// Reads the manifests of the experts of a weight other than 0, and nothing else yet.
  /// - Parameters:
  ///   - weights: of the experts; 1 for one of them is that expert.
  ///   - dtype: for tensors of float dtypes; nil leaves each its own.
  /// - Throws: `unknownName` for an expert that the archive does not have.
  public func mix(_ weights: RouterWeights, dtype: FloatFormat? = nil) throws(StorageError) -> Mix {
    try mix(weights, dtype: dtype, isExact: false)
  }

  /// An expert to the bit: as `mix` gives it alone, and corrected where it is stored with loss (TMP-7-14).
  ///
  /// - Throws: `unknownName`; `invalidArgument` for an expert that is stored with loss and without corrections.
  public func exact(_ name: String) throws(StorageError) -> Mix {
    guard try archive.manifest(ofExpert: name).isExact else {
      throw StorageError(
        .invalidArgument, "is stored with loss and without corrections", file: archive.path, expert: name
      ).with(.storeCorrections)
    }
    return try mix(.expert(name), dtype: nil, isExact: true)
  }

  /// As `mix`, of experts that the archive keeps in codes, in other float dtypes, in floats of 8 bits or with fewer rows: made numbers of the shared model's dtypes
  /// first; and of models of which some have an output layer of their own, where it is the embedding in others. nil where there are none,
  /// and for one expert as it is.
  ///
  /// - Throws: what `mix` and `DecodedMix` throw.
  package func decodedMix(_ weights: RouterWeights, dtype: FloatFormat? = nil) throws(StorageError) -> DecodedMix? {
    let entries = weights.entries.filter { $0.weight != 0 }
    guard dtype != nil || entries.count > 1 || entries.contains(where: { $0.weight != 1 }) else { return nil }
    let selection = try selection(weights)
    let isMixed = selection.count > 1 || selection.contains { $0.weight != 1 }
    let models = [nil] + selection.map(\.position)
    let untied = try isMixed ? facts.untied(models, of: self) : nil
    var isNeeded = untied != nil
    for model in models where !isNeeded {
      isNeeded = try facts.mustBeDecoded(model, isMixed: isMixed, of: self)
    }
    guard isNeeded else { return nil }
    let experts = try selection.map { expert throws(StorageError) in
      (expert.weight, try model(ofExpert: expert.position))
    }
    return try DecodedMix(try mix(.shared), experts, untied: untied, dtype: dtype)
  }

  /// A model of the archive alone, as it is; nil for the shared one.
  func model(ofExpert position: Int?) throws(StorageError) -> Mix {
    try mix(position.map { .expert(archive.experts[$0].name) } ?? .shared)
  }

  private func mix(_ weights: RouterWeights, dtype: FloatFormat?, isExact: Bool) throws(StorageError) -> Mix {
    let selection = try selection(weights)
    let manifests = try selection.map { expert throws(StorageError) in
      try archive.file.expertSection(expert.position).manifest
    }
    return try Mix(of: self, selection, manifests, dtype: dtype, isExact: isExact)
  }

  /// In declaration order, without those of weight 0.
  private func selection(_ weights: RouterWeights) throws(StorageError) -> [WeightedExpert] {
    var selection: [WeightedExpert] = []
    for (name, weight) in weights.entries {
      let position = try archive.file.expertIndex(named: name)
      if weight != 0 { selection.append(WeightedExpert(position: position, weight: weight)) }  // TMP-7-1
    }
    selection.sort { $0.position < $1.position }
    return selection
  }

  /// The bytes of a shared tensor.
  package func sharedBytes(_ entry: SharedEntry) throws(StorageError) -> TensorBytes {
    let kept = try keeping(.shared(tensor: ExactString(entry.info.name))) { () throws(StorageError) in
      .part(.bytes(try shared.bytes(of: entry)))
    }
    guard case .part(.bytes(let bytes)) = kept else { preconditionFailure("shared tensors are bytes") }
    return bytes
  }

  /// A shared tensor for who reads it in parts, each as often as needed.
  package func openedShared(_ entry: SharedEntry) throws(StorageError) -> OpenTensor {
    memoryLimit == 0 ? try shared.opened(entry) : OpenTensor(try sharedBytes(entry))
  }

  /// A shared tensor that is read in parts; see `SharedTensors.open`.
  func openShared(_ entry: SharedEntry, isReadWhole: Bool) throws(StorageError) -> OpenSharedTensor {
    memoryLimit == 0
      ? try shared.open(entry, isReadWhole: isReadWhole)
      : OpenSharedTensor(name: entry.info.name, bytes: try sharedBytes(entry))
  }

  /// What an expert stores for a tensor, decoded.
  ///
  /// - Parameter elements: of a stack of matrices, decode those alone that have any of them, where nothing is kept; nil for all.
  package func part(
    _ entry: ExpertEntry, ofExpert position: Int, touching elements: Range<Int>? = nil
  ) throws(StorageError) -> DecodedPart {
    let kept = try keeping(.expert(position, tensor: ExactString(entry.name))) { () throws(StorageError) in
      .part(try decode(entry, ofExpert: position, touching: elements))
    }
    guard case .part(let part) = kept else { preconditionFailure("kept under a name of parts") }
    return part
  }

  /// The same for a sum, which needs of a factor no more than that.
  func preparedPart(
    _ entry: ExpertEntry, ofExpert position: Int, touching elements: Range<Int>? = nil
  ) throws(StorageError) -> PreparedPart {
    guard entry.factor.isLossy else { return PreparedPart(try part(entry, ofExpert: position, touching: elements)) }
    let kept = try keeping(.prepared(position, tensor: ExactString(entry.name))) { () throws(StorageError) in
      .prepared(
        PreparedPart(try decode(entry, ofExpert: position, touching: elements)))
    }
    guard case .prepared(let part) = kept else { preconditionFailure("kept under a name of prepared parts") }
    return part
  }

  private func decode(
    _ entry: ExpertEntry, ofExpert position: Int, touching elements: Range<Int>?
  ) throws(StorageError) -> DecodedPart {
    let section = try archive.file.expertSection(position)
    let expert = archive.experts[position].name
    return try located(file: archive.path, expert: expert, tensor: entry.name) { () throws(StorageError) in
      let base = shared.manifest.entry(named: entry.name)
      return try DecodedPart(
        entry, info: base?.info, touching: memoryLimit > 0 ? nil : elements,
        payloads: { payload, range throws(StorageError) in
          let range = range ?? 0..<payload.size
          return try [UInt8](count: range.count) { target throws(StorageError) in
            try archive.file.payloads.read(payload, range, of: section, into: target)
          }
        },
        shared: { () throws(StorageError) in try sharedBytes(base!) })
    }
  }

  /// The own tensor of an expert whose entry is lossy and has a correction (TMP-7-14).
  func correctedBytes(_ entry: ExpertEntry, ofExpert position: Int, base: SharedEntry) throws(StorageError)
    -> TensorBytes
  {
    guard let correction = entry.correction else { preconditionFailure("a lossy entry with a correction") }
    let factor: Factor?
    switch try part(entry, ofExpert: position) {
    case .factor(let stored): factor = stored
    case .nothing: factor = nil
    case .bytes: preconditionFailure("lossy entries decode to factors")
    }
    let section = try archive.file.expertSection(position)
    let expert = archive.experts[position].name
    let payload = try located(file: archive.path, expert: expert, tensor: entry.name) { () throws(StorageError) in
      try archive.file.payloads.bytes(of: correction, in: section)
    }
    return try ExactUpgrade(base.info).tensor(shared: try sharedBytes(base), factor, correction: payload)
  }

  /// What the approximation of a tensor that only the expert has gives before it is rounded (TMP-7-19).
  package func ownFactor(_ entry: ExpertEntry, ofExpert position: Int) throws(StorageError) -> Factor? {
    guard case .quantizedOwn(_, let shape, let payload) = entry.factor else { return nil }
    let section = try archive.file.expertSection(position)
    return try located(file: archive.path, expert: archive.experts[position].name, tensor: entry.name) {
      () throws(StorageError) in
      try DecodedPart.quantized(try archive.file.payloads.bytes(of: payload, in: section), shape: shape)
    }
  }

  /// The own tensor of an expert, bit for bit; nil where it is stored with loss and without a correction. Decodes the entry in any case.
  func ownBytes(_ entry: ExpertEntry, ofExpert position: Int) throws(StorageError) -> TensorBytes? {
    let base = shared.manifest.entry(named: entry.name)
    let common: TensorBytes
    if entry.correction != nil, let base {
      common = try correctedBytes(entry, ofExpert: position, base: base)
    } else if entry.factor.kind == .common, let base {
      common = try sharedBytes(base)
    } else {
      guard case .bytes(let bytes) = try part(entry, ofExpert: position), !entry.factor.isLossy else { return nil }
      common = bytes
    }
    guard entry.extra != nil else { return common }
    let extra = try extraRows(entry, ofExpert: position)
    return try TensorBytes(count: common.count + extra.count) { target throws(StorageError) in
      try common.withBytes { target.copyMemory(from: $0) }
      try extra.withBytes { UnsafeMutableRawBufferPointer(rebasing: target[common.count...]).copyMemory(from: $0) }
    }
  }

  /// The rows of an expert's tensor beyond those of the shared one (TMP-6-25).
  func extraRows(_ entry: ExpertEntry, ofExpert position: Int) throws(StorageError) -> TensorBytes {
    guard let extra = entry.extra else { preconditionFailure("an entry with further rows") }
    let section = try archive.file.expertSection(position)
    let expert = archive.experts[position].name
    let bytes = try located(file: archive.path, expert: expert, tensor: entry.name) { () throws(StorageError) in
      try archive.file.payloads.bytes(of: extra, in: section)
    }
    return TensorBytes(count: bytes.count) { target in bytes.withUnsafeBytes { target.copyMemory(from: $0) } }
  }

  private func keeping(
    _ name: PartName, _ decode: () throws(StorageError) -> Kept
  ) throws(StorageError) -> Kept {
    guard memoryLimit > 0 else { return try decode() }
    if let part = decoded.withLock({ $0.value(for: name) }) { return part }
    let part = try decode()
    _ = decoded.withLock { $0.keep(part, for: name, size: part.byteCount) }
    return part
  }
}

/// An expert of the archive, by position, and its router weight, which is not 0.
public struct WeightedExpert: Sendable {
  public let position: Int
  public let weight: Float
}
