import ArgumentParser
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackModels
import TMPackPacking

/// What is packed, and how: the same for packing and for planning it.
struct PackOptions: ParsableArguments {
  // A group, so that the help begins with it.
  struct Paths: ParsableArguments {
    @Option(
      help: ArgumentHelp("The checkpoint that the experts were fine-tuned from: a file or a folder.", valueName: "path")
    )
    var base: String?

    @Option(
      name: .customLong("expert"),
      help: ArgumentHelp(
        "A fine-tuned checkpoint or PEFT adapter; without a name, that of its file. Repeat for each, or give several.",
        valueName: "name=path"))
    var experts: [NamedPath]
  }

  @OptionGroup(title: "Input") var paths: Paths
  @OptionGroup(title: "Shared model") var shared: SharedModelOptions
  @OptionGroup(title: "Factors") var factors: FactorOptions
  @OptionGroup(title: "Work") var work: WorkOptions

  func validate() throws {
    if paths.base == nil, shared.sharedFrom == nil {
      throw ValidationError("Give the --base that the experts were fine-tuned from, or a model with --shared-from.")
    }
    if factors.tallMasks != nil, shared.shared != SharedMethod.Name.base.rawValue {
      throw ValidationError("--tall-masks belongs to --shared base.")
    }
  }

  func open() throws -> (base: Checkpoint?, experts: [ExpertInput]) {
    // Only numbers can be approximated; what is kept bit for bit stays what it is.
    let decoding = !factors.lossless
    let base = try paths.base.map { path in
      let base = try Checkpoint.open(path, mode: work.io).holdingTensors()
      // The shared model that an archive is bound to is what is on disk.
      return decoding && !(shared.detached && shared.sharedOut == nil) ? try base.dequantized() : base
    }
    let experts = try shared.merging.experts(
      try paths.experts.map {
        try $0.expertInput(work.io, decoding: decoding) { () throws(StorageError) in try AdapterBase(base) }
      }, work.io)
    guard let reference = try shared.sharedFrom.map({ try Checkpoint.open($0, mode: work.io) }) ?? base else {
      return (base, experts)
    }
    let aligned = try experts.map { try $0.aligned(to: reference) }
    // What is to be kept to the bit keeps its dtype.
    if factors.lossless { return (base, aligned) }
    return (base, try aligned.map { try $0.matchingDTypes(of: reference.source.tensors) })
  }

  func packer(
    _ model: Packer.SharedModel, _ experts: [ExpertInput], scores: [String: ScoreCurve] = [:]
  ) throws -> Packer {
    Packer(
      sharedModel: model, rules: try factors.rules().unified(over: experts.map(\.checkpoint.source)),
      rate: try factors.rate(),
      isDetached: shared.detached, isMappable: shared.mappable, storesCorrections: factors.exact, level: factors.level,
      pipeline: work.pipeline, options: record, expertOptions: scores.mapValues { [ScoreCurve.option: $0.text] })
  }

  /// As provenance records them.
  var record: [String: String] { factors.record.merging(shared.record) { first, _ in first } }
}
