import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackFactors
import TMPackMerging
import TMPackModels
import TMPackTensorKit

/// A fine-tuned checkpoint to be packed under a name.
public struct ExpertInput: Sendable {
  public let name: String
  public let checkpoint: Checkpoint
  /// The checkpoint's tensors, if it is an adapter on a base.
  let adapted: AdaptedSource?
  /// By which its tensors have other names than the adapter's, the outermost first.
  private let views: [AlignedSource]
  /// Its tensors with all their rows, where some are cut to those of the shared model.
  private let grown: CommonRows?
  /// What was measured of the expert on data, for the merging methods that ask for it.
  public let statistics: (any TensorSource)?

  /// What its tensors were called before they were seen under a model's names.
  private let ownNames: NameRecord?

  /// - Throws: `malformed` for a name that breaks the rules of `ExpertName`.
  public init(name: String, checkpoint: Checkpoint, statistics: (any TensorSource)? = nil) throws(StorageError) {
    try self.init(name: name, checkpoint: checkpoint, statistics: statistics, ownNames: nil)
  }

  private init(
    name: String, checkpoint: Checkpoint, statistics: (any TensorSource)?, ownNames: NameRecord?
  ) throws(StorageError) {
    try ExpertName.check(name)
    self.name = name
    self.checkpoint = checkpoint
    self.statistics = statistics
    self.ownNames = ownNames
    var (source, views) = (checkpoint.source, [AlignedSource]())
    grown = source as? CommonRows
    if let grown { source = grown.source }
    while let view = source as? AlignedSource {
      views.append(view)
      source = view.source
    }
    self.views = views
    adapted = source as? AdaptedSource
  }

  /// The expert under the names of a model's tensors, where it has others for the same: of another version of a library, of a
  /// wrapper, or with matrices fused that are apart there (`Spec/names.md`). What is not found there keeps its name.
  ///
  /// - Throws: `unsupportedFeature` for rows in another order, where no configuration says how wide heads are.
  public func aligned(
    to tensors: [TensorInfo], architectures: [String] = []
  ) throws(StorageError) -> ExpertInput {
    try aligned(to: tensors, architectures: architectures, headWidth: nil)
  }

  private func aligned(
    to tensors: [TensorInfo], architectures: [String], headWidth: Int?
  ) throws(StorageError) -> ExpertInput {
    let own = ModelArchitecture(of: checkpoint)
    let source = try located(expert: name) { () throws(StorageError) in
      try checkpoint.source.aligned(
        to: tensors, architectures: architectures + own.names, headWidth: own.headWidth ?? headWidth)
    }
    guard let view = source as? AlignedSource, view.ownNames != nil else { return self }
    return try ExpertInput(
      name: name, checkpoint: checkpoint.replacing(source),
      statistics: statistics.map { measured throws(StorageError) in
        try located(expert: name) { () throws(StorageError) in try view.renamed(statistics: measured) }
      }, ownNames: view.ownNames)
  }

  /// As `aligned(to:architectures:)`, to another checkpoint.
  public func aligned(to model: Checkpoint) throws(StorageError) -> ExpertInput {
    let architecture = ModelArchitecture(of: model)
    return try aligned(
      to: model.source.tensors, architectures: architecture.names, headWidth: architecture.headWidth)
  }

  /// The expert in the dtypes of the model that it is to be compared with: see `MatchedDTypes`.
  public func matchingDTypes(of tensors: [TensorInfo]) throws(StorageError) -> ExpertInput {
    guard let source = try MatchedDTypes(checkpoint.source, as: tensors) else { return self }
    let matched = try checkpoint.replacing(source).applying(ConfigurationChanges(dtype: source.mainDType))
    return try ExpertInput(name: name, checkpoint: matched, statistics: statistics, ownNames: ownNames)
  }

  /// The expert without the rows that the shared model's tensors do not have, of a vocabulary that has grown; they are packed
  /// by themselves. See `CommonRows`.
  ///
  /// - Parameter model: has the names and dtypes of the shared model.
  public func cut(toRowsOf model: any TensorSource) throws(StorageError) -> ExpertInput {
    guard grown == nil else { return self }
    let source = try located(expert: name) { () throws(StorageError) in
      try CommonRows(of: checkpoint.source, and: model)
    }
    guard let source else { return self }
    return try ExpertInput(
      name: name, checkpoint: checkpoint.replacing(source), statistics: statistics, ownNames: ownNames)
  }

  /// The expert with the model's rows behind its own, where it has fewer: to be merged. See `PaddedRows`.
  package func padded(toRowsOf model: any TensorSource) throws(StorageError) -> ExpertInput {
    let source = try located(expert: name) { () throws(StorageError) in
      try PaddedRows(checkpoint.source, toRowsOf: model)
    }
    guard let source else { return self }
    return try ExpertInput(
      name: name, checkpoint: checkpoint.replacing(source), statistics: statistics, ownNames: ownNames)
  }

  /// The expert with an output layer of its own, where it is tied to the embedding here and not in others that it is to be merged
  /// with. See `Checkpoint.untied(asIn:)`.
  package func untied(asIn others: [any TensorSource]) throws(StorageError) -> ExpertInput {
    let untied = try located(expert: name) { () throws(StorageError) in try checkpoint.untied(asIn: others) }
    return try ExpertInput(name: name, checkpoint: untied, statistics: statistics, ownNames: ownNames)
  }

  /// What a person should know where the further rows go nowhere.
  public var notesOfRows: [String] { grown?.notesOfRows ?? [] }

  /// A packed tensor with its further rows, if it has any.
  package func extended(_ packed: PackedTensor, _ info: TensorInfo, level: Int) throws(StorageError) -> PackedTensor {
    guard let grown, let whole = grown.whole(info.name) else { return packed }
    return try packed.extended(to: grown.source.opened(whole), info, level: level)
  }

  /// As an archive keeps it: the checkpoint's, and its own names where they are others there (TMP-6-31).
  var recordedMetadata: [String: String] {
    var metadata = checkpoint.source.metadata
    metadata[NameRecord.key] = ownNames?.text
    return metadata
  }

  /// All that is read of it: what no output must replace.
  public var paths: [String] { [checkpoint.path] + [statistics].compactMap { $0?.label } }

  /// What the expert adds to a shared tensor as products of few components; nil when it is not known so, or is added to
  /// another tensor than the shared one.
  package func products(of info: TensorInfo, against shared: SharedEntry) throws(StorageError) -> KnownProducts? {
    guard let adapted, grown?.whole(info.name) == nil else { return nil }
    var info = info
    var slice: StackSlice?
    for view in views {
      if let whole = view.original(of: info) {
        info = whole
      } else if slice == nil, let part = view.slice(of: info) {
        (slice, info) = (part, part.source)
      } else {
        return nil
      }
    }
    let unadapted = try adapted.openUnadapted(info)
    if let slice {
      guard try unadapted.holds(slice, digest: shared.digest) else { return nil }
      return try adapted.product(of: info, matrix: slice.matrix).map {
        .matrix($0.part(rows: slice.rows, columns: slice.columns))
      }
    }
    let known: KnownProducts
    if let product = try adapted.product(of: info) {
      known = .matrix(product)
    } else if let (stack, products) = try adapted.products(of: info) {
      known = .stack(stack, products.map { $0.isZero ? nil : $0 })
    } else {
      return nil
    }
    return try ContentDigest(of: unadapted) == shared.digest ? known : nil
  }
}

extension OpenTensor {
  /// Whether a part of the tensor has that digest.
  fileprivate func holds(_ slice: StackSlice, digest: ContentDigest) throws(StorageError) -> Bool {
    let dimensions = slice.source.shape.dimensions
    let width = slice.source.dtype.bitWidth / 8
    let row = dimensions[2] * width
    let first = slice.matrix * dimensions[1]
    let rows = (first + slice.rows.lowerBound) * row..<(first + slice.rows.upperBound) * row
    return try withBytes(rows) { raw in
      var part: [UInt8] = []
      part.reserveCapacity(slice.rows.count * slice.columns.count * width)
      for number in 0..<slice.rows.count {
        let start = number * row + slice.columns.lowerBound * width
        part += raw[start..<start + slice.columns.count * width]
      }
      return ContentDigest(of: part) == digest
    }
  }
}

extension MergeSources {
  public init(base: Checkpoint, experts: [ExpertInput]) {
    self.init(
      base: base.source,
      experts: experts.map { Expert(name: $0.name, source: $0.checkpoint.source, statistics: $0.statistics) })
  }
}
