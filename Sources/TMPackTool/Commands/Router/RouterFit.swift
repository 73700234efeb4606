import ArgumentParser
import TMPackArchiveFormat
import TMPackByteIO
import TMPackMerging
import TMPackReading
import TMPackRouterTraining

extension RouterTraining.Kind: ExpressibleByArgument {}

extension RouterDType: ExpressibleByArgument {
  package static var allValueStrings: [String] { allCases.map { $0.rawValue.lowercased() } }

  package init?(argument: String) { self.init(rawValue: argument.uppercased()) }

  package var defaultValueDescription: String { rawValue.lowercased() }
}

struct RouterFit: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fit",
    abstract: "Fit a router to labelled embeddings, and put it into the archive.",
    discussion: """
      Examples:
        tmpack router fit zoo.tmpack --embeddings train.safetensors
        tmpack router fit zoo.tmpack --embeddings x.npz --classes math,code

      The file holds `embeddings`, floats [N, D], and `labels`, integers [N]:
      numbers into --classes, or else into the metadatum `classes` of the file, or \
      else into the archive's experts. The archive is changed in place.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @Option(help: ArgumentHelp("Embeddings of the shared model, and their labels.", valueName: "path"))
  var embeddings: String

  @Option(help: ArgumentHelp("The same of other inputs, to stop by and to measure.", valueName: "path"))
  var validation: String?

  @Option(
    help: ArgumentHelp(
      "Share of the inputs that is held out where there is no --validation (default: 0.1).", valueName: "share"))
  var holdout: Double?

  @Option(help: ArgumentHelp("The experts that labels 0, 1, … mean.", valueName: "name,…"))
  var classes: NameList?

  @Flag(help: "Replace the router that there is.")
  var force = false

  @OptionGroup(title: "Model") var model: RouterModelOptions
  @OptionGroup(title: "Work") var reading: ReadingOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if validation != nil, holdout != nil { throw ValidationError("--validation and --holdout exclude each other.") }
  }

  func run() throws {
    let opened = try Archive.opened(archive, reading.io)
    if opened.hasRouter, !force {
      throw StorageError(.outputExists, "has a router already; --force replaces it", file: archive)
    }
    let training = model.training
    let inputs = try Embeddings(contentsOf: embeddings, mode: reading.io)
    let names = classes?.names ?? inputs.classNames ?? opened.experts.map(\.name)
    for name in names { _ = try opened.file.expertIndex(named: name) }
    let labelled = try located(file: embeddings) { () throws(StorageError) in
      try LabelledEmbeddings(inputs, classes: names, given: classes?.names)
    }
    let (fitted, held) = try split(labelled, names)
    var sources = [try Embeddings.record(of: embeddings, reading.io)]
    if let validation { sources.append(try Embeddings.record(of: validation, reading.io)) }
    let provenance = Provenance(tool: TMPackVersion.tool, options: training.record, sources: sources)
    let bytes = UInt64(fitted.embeddings.values.count * 4)
    var last: RouterTraining.Epoch?
    let draft = try reporting.withProgress { show in
      try training.fit(fitted, validation: held, classes: names, provenance: provenance) { epoch in
        last = epoch
        show(
          WorkProgress(
            stage:
              "epoch \(epoch.number): loss \(epoch.loss.significant(3)), validation \(epoch.validationLoss.significant(3)), \(epoch.validationAccuracy.percent)",
            done: bytes * UInt64(epoch.number), total: bytes * UInt64(training.epochs(of: fitted.labels.count))))
      }
    }
    try opened.put(draft, replacing: force)
    let changed = try Archive(archive, mode: reading.io)
    var notes: [String] = []
    if let last { notes.append("trained for \(counted(last.number, "epoch"))") }
    notes += try changed.expertsWithoutClass().map { "the expert \($0) has no class: its weight will be 0" }
    guard let manifest = try changed.routerManifest() else { return }
    RouterReport(archive: changed, bytesBefore: opened.size, router: manifest, notes: notes).print(reporting)
  }

  private func split(
    _ labelled: LabelledEmbeddings, _ names: [String]
  ) throws -> (training: LabelledEmbeddings, validation: LabelledEmbeddings) {
    guard let validation else { return try labelled.split(holdingOut: holdout ?? 0.1, seed: model.seed) }
    let held = try Embeddings(contentsOf: validation, mode: reading.io)
    let own = try located(file: validation) { () throws(StorageError) in
      try LabelledEmbeddings(held, classes: names, given: classes?.names)
    }
    return (labelled, own)
  }
}

/// What is fitted, and how.
struct RouterModelOptions: ParsableArguments {
  private static let defaults = RouterTraining()

  @Option(
    help: ArgumentHelp(
      "mlp, the network of the Twin-Merging paper; linear; or knn, the nearest examples.", valueName: "kind"))
  var model = RouterTraining.Kind.mlp

  @Option(help: ArgumentHelp("Outputs of the hidden layers of mlp (default: 256,128).", valueName: "n,…"))
  var hidden: CountList?

  @Option(help: ArgumentHelp("Share of hidden outputs left out in a step.", valueName: "share"))
  var dropout = Self.defaults.dropout

  @Option(help: ArgumentHelp("Slope of the rectifiers for negative numbers.", valueName: "number"))
  var slope = Self.defaults.slope

  @Option(
    help: ArgumentHelp("Share of each target that goes to all classes alike; the paper has 0.", valueName: "share"))
  var labelSmoothing = Self.defaults.labelSmoothing

  @Option(help: ArgumentHelp("AdamW's learning rate.", valueName: "number"))
  var learningRate = Self.defaults.learningRate

  @Option(help: ArgumentHelp("AdamW's weight decay.", valueName: "number"))
  var weightDecay = Self.defaults.weightDecay

  @Option(help: ArgumentHelp("Inputs of a step.", valueName: "n"))
  var batchSize = Self.defaults.batchSize

  @Option(
    help: ArgumentHelp("Most passes over the inputs (default: 50, or more until 2500 steps are made).", valueName: "n"))
  var epochs: Int?

  @Option(
    help: ArgumentHelp(
      "Passes without progress in validation after which the best is taken (default: 5, or more until 250 steps are made).",
      valueName: "n"))
  var patience: Int?

  @Option(help: ArgumentHelp("Neighbours that vote, of knn.", valueName: "n"))
  var neighbours = Self.defaults.neighbours

  @Option(help: ArgumentHelp("Examples that knn keeps, at random (default: all).", valueName: "n"))
  var examples: Int?

  @Option(help: ArgumentHelp("Dtype that the weights are kept in.", valueName: "dtype"))
  var dtype = Self.defaults.dtype

  @Option(
    help: ArgumentHelp(
      "Share of the validation inputs that may go to the shared model, which sets the stored entropy of the fallback; 0 stores none.",
      valueName: "share"))
  var fallbackRate = Self.defaults.fallbackRate

  @Option(help: ArgumentHelp("Seed of everything random.", valueName: "n"))
  var seed = Self.defaults.seed

  var training: RouterTraining {
    var training = RouterTraining()
    training.kind = model
    training.hidden = hidden?.counts ?? training.hidden
    training.dropout = dropout
    training.slope = slope
    training.labelSmoothing = labelSmoothing
    training.learningRate = learningRate
    training.weightDecay = weightDecay
    training.batchSize = batchSize
    training.epochs = epochs
    training.patience = patience
    training.neighbours = neighbours
    training.examples = examples
    training.dtype = dtype
    training.fallbackRate = fallbackRate
    training.seed = seed
    return training
  }
}

/// Positive numbers between commas.
struct CountList: ExpressibleByArgument {
  let counts: [Int]

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    counts = parts.compactMap { Int($0) }.filter { $0 > 0 }
    if counts.count != parts.count { return nil }
  }
}
