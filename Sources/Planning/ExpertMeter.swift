import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackPacking

/// An expert's section without its tensors: what it takes whatever becomes of them.
struct EmptyExpert {
  package let name: String
  package let packer: Packer
  /// Its files are placed.
  private let writer: ArchiveWriter
  private let files: [CarriedFileEntry]
  private let absent: [String]
  private let metadata: [String: String]
  private let provenance: Provenance

  /// - Parameters:
  ///   - writer: stands behind the shared model.
  ///   - sharedFiles: go with an expert that has none.
  init(
    _ expert: ExpertInput, absent: [String], sharedFiles: [CarriedFile], behind writer: ArchiveWriter, packer: Packer
  ) throws(StorageError) {
    name = expert.name
    self.packer = packer
    self.writer = writer.measuring()
    self.absent = absent
    let own = expert.checkpoint.carriedFiles
    files = try packer.place(own.isEmpty ? sharedFiles : own, in: self.writer)
    metadata = expert.checkpoint.source.metadata
    provenance = try Provenance(standingInFor: expert.checkpoint, options: packer.options)
  }

  /// A writer to place tensors with.
  func open() -> ArchiveWriter { writer.measuring() }

  /// Bytes of the section with these tensors.
  package func bytes(of entries: [ExpertEntry], in writer: ArchiveWriter) throws(StorageError) -> Double {
    try writer.finishExpert(
      named: name,
      ExpertManifest(tensors: entries, absent: absent, files: files, metadata: metadata, provenance: provenance))
    return Double(writer.expertSummaries.last!.bytes)
  }
}

/// Adds up what the sampled tensors of an expert take and lose at one setting, as in an archive of them alone.
struct ExpertMeter {
  private let expert: EmptyExpert
  /// Stands behind the expert once `bytes` was asked for.
  package let writer: ArchiveWriter
  private var entries: [ExpertEntry] = []
  package private(set) var sample: StratifiedSample
  /// Whether all tensors are those of earlier experts.
  private let repeatsAll: Bool

  init(_ expert: EmptyExpert, populations: [Int], repeatsAll: Bool = false) {
    self.expert = expert
    self.repeatsAll = repeatsAll
    writer = expert.open()
    sample = StratifiedSample(populations: populations)
  }

  /// - Parameters:
  ///   - isTied: whether an earlier tensor of the expert has the same payload.
  ///   - isRepeated: whether that of an earlier expert has.
  package mutating func add(
    _ tensor: PackedTensor, stratum: Int, isTied: Bool, isRepeated: Bool = false
  ) throws(StorageError) {
    var payloads = tensor.payloads
    var item = StratifiedSample.Item()
    if case .lossy(_, let measures, let correction) = tensor.content {
      if let correction { payloads.append(correction) }
      item.energy = measures.norm.value * measures.norm.value
      item.lost = item.energy * measures.error.value * measures.error.value
    }
    item.framed = payloads.reduce(0) { $0 + ($1.sharesFrames ? 0 : Double($1.storedSize)) }
    var pooled = payloads.reduce(0) { $0 + ($1.sharesFrames ? Double($1.storedSize) : 0) }
    if isTied || isRepeated { item.framed = 0 }
    if isTied || (isRepeated && repeatsAll) {
      pooled = 0
    } else if isRepeated {
      // A shared frame is stored once where all that is in it is the same, which it seldom is.
      item.doubtful = pooled
    }
    let entry = tensor.storedBytes > 0 ? Double(QuantizableTensor.entryOverhead) : 0
    item.size = item.framed + pooled + entry
    sample.add(item, to: stratum)
    if let entry = try expert.packer.place(tensor, in: writer) { entries.append(entry) }
  }

  /// What the sampled tensors take together, pooled and compressed, and the section without them; ends the writer's
  /// section.
  package func measured() throws(StorageError) -> (bytes: Double, fixed: Double) {
    (try expert.bytes(of: entries, in: writer), try expert.bytes(of: [], in: expert.open()))
  }

  /// Bytes of the whole expert; ends the writer's section.
  package func bytes() throws(StorageError) -> Estimate {
    let (bytes, fixed) = try measured()
    return sample.expanded(measured: bytes, fixed: fixed, ratio: sample.ratio(measured: bytes, fixed: fixed))
  }
}

/// The same for an expert behind others, whose equal frames it need not store again.
struct FollowingMeter {
  private var following: ExpertMeter
  /// How well its tensors compress, whoever has them already.
  private var alone: ExpertMeter

  init(_ expert: EmptyExpert, alone: EmptyExpert, populations: [Int], repeatsAll: Bool) {
    following = ExpertMeter(expert, populations: populations, repeatsAll: repeatsAll)
    self.alone = ExpertMeter(alone, populations: populations)
  }

  package mutating func add(_ tensor: PackedTensor, stratum: Int, isTied: Bool, isRepeated: Bool) throws(StorageError) {
    try following.add(tensor, stratum: stratum, isTied: isTied, isRepeated: isRepeated)
    try alone.add(tensor, stratum: stratum, isTied: isTied)
  }

  /// Stands behind the expert once `bytes` was asked for.
  package var writer: ArchiveWriter { following.writer }
  package var error: Estimate? { alone.sample.relativeError }

  package func bytes() throws(StorageError) -> Estimate {
    let (bytes, fixed) = try following.measured()
    let own = try alone.measured()
    return following.sample.expanded(
      measured: bytes, fixed: fixed, ratio: alone.sample.ratio(measured: own.bytes, fixed: own.fixed))
  }
}

extension StratifiedSample {
  /// Of what is not sampled, by which two tensors of a class show too little of a spread: measured on real fine-tunes.
  private static let compressionSpread = 0.05
  /// Of what may be stored already: between nothing and an eighth of it was.
  private static let repeatedSpread = 0.15

  /// By how much what shares frames, and the entries, take less together than the items say.
  package func ratio(measured: Double, fixed: Double) -> Double {
    let pooled = sampled { $0.size - $0.framed }
    return pooled > 0 ? max(0, measured - fixed - sampled(\.framed)) / pooled : 1
  }

  /// The size of all tensors together, from what the sampled ones took together.
  ///
  /// - Parameters:
  ///   - measured: with the sampled tensors.
  ///   - fixed: without any.
  ///   - ratio: of the other tensors.
  func expanded(measured: Double, fixed: Double, ratio: Double) -> Estimate {
    func size(_ item: Item) -> Double { item.framed + ratio * (item.size - item.framed) }
    let others = unsampled(size)
    // Equal sizes before compression say nothing of those after it.
    return Estimate(measured + others, deviation: total(size).deviation)
      + Estimate(0, deviation: Self.compressionSpread * others)
      + Estimate(0, deviation: Self.repeatedSpread * ratio * unsampled(\.doubtful))
  }
}
