import ArgumentParser
import TMPackArchiveFormat
import TMPackByteIO
import TMPackCheckpoints
import TMPackMerging
import TMPackReading
import TMPackRouterTraining

extension RouterImport.NormalizationPlace: ExpressibleByArgument {}

struct RouterImporting: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Put a router that PyTorch has trained into the archive.",
    discussion: """
      Examples:
        tmpack router import zoo.tmpack router.pt --classes math,code
        tmpack router import zoo.tmpack router.pt --modules fc1,bn1,fc2,bn2,fc3

      The file holds the state dictionary of a network of Linear and BatchNorm1d \
      layers, with leaky rectifiers behind all linear layers but the last. \
      Normalisations are folded into the linear layers. The archive is changed in \
      place.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "archive"), completion: .file())
  var archive: String

  @Argument(help: ArgumentHelp("The state dictionary, in any format that convert reads.", valueName: "weights"))
  var weights: String

  @Option(
    help: ArgumentHelp(
      "The experts that outputs 0, 1, … mean (default: all, in the archive's order).", valueName: "name,…"))
  var classes: NameList?

  @Option(
    help: ArgumentHelp("All modules in the order in which they run, where it is not clear.", valueName: "name,…"))
  var modules: NameList?

  @Option(
    help: ArgumentHelp(
      "Whether normalisations stand before or after the rectifiers (default: before, unless numbers leave it open).",
      valueName: "place"))
  var normalization: RouterImport.NormalizationPlace?

  @Option(help: ArgumentHelp("Slope of the rectifiers for negative numbers; 0 for ReLU.", valueName: "number"))
  var slope = 0.01

  @Option(help: ArgumentHelp("The normalisations' ε.", valueName: "number"))
  var epsilon = 1e-5

  @Option(help: ArgumentHelp("Dtype that the weights are kept in.", valueName: "dtype"))
  var dtype = RouterDType.f32

  @Option(
    help: ArgumentHelp(
      "Labelled embeddings: measure the accuracy on them, and set the fallback's entropy.", valueName: "path"))
  var validation: String?

  @Option(
    help: ArgumentHelp(
      "What logits are divided by: stored with the router (default: 1, or what suits the validation inputs).",
      valueName: "number"))
  var temperature: Double?

  @Option(
    help: ArgumentHelp("With --validation: share of its inputs that may go to the shared model.", valueName: "share"))
  var fallbackRate = 0.01

  @Flag(help: "Replace the router that there is.")
  var force = false

  @OptionGroup(title: "Work") var reading: ReadingOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if let temperature, !(temperature >= RouterManifest.leastTemperature && temperature.isFinite) {
      throw ValidationError("--temperature must be \(RouterManifest.leastTemperature) at least.")
    }
    if !(0..<1).contains(fallbackRate) { throw ValidationError("--fallback-rate must be 0 at least and below 1.") }
  }

  func run() throws {
    let opened = try Archive.opened(archive, reading.io)
    let names = classes?.names ?? opened.experts.map(\.name)
    var settings = RouterImport()
    settings.order = modules?.names
    settings.normalization = normalization
    settings.slope = slope
    settings.epsilon = epsilon
    let model = try settings.model(Checkpoint.open(weights, mode: reading.io).source)
    var record = ["dtype": dtype.rawValue.lowercased(), "slope": "\(slope)", "epsilon": "\(epsilon)"]
    record["normalization"] = (normalization ?? .before).rawValue
    record["modules"] = modules?.names.joined(separator: ",")
    var sources = [try Embeddings.record(of: weights, reading.io)]
    if let validation { sources.append(try Embeddings.record(of: validation, reading.io)) }
    var draft = try located(file: weights) { () throws(StorageError) in
      try RouterDraft(
        classes: names, model: model, dtype: dtype,
        provenance: Provenance(tool: TMPackVersion.tool, options: record, sources: sources))
    }
    draft.temperature = temperature
    if let validation {
      let held = try Embeddings(contentsOf: validation, mode: reading.io)
      try located(file: validation) { () throws(StorageError) in
        try draft.measure(
          on: LabelledEmbeddings(held, classes: names, given: classes?.names), fallbackRate: fallbackRate,
          calibrates: temperature == nil)
      }
    }
    try opened.put(draft, replacing: force)
    let changed = try Archive(archive, mode: reading.io)
    guard let manifest = try changed.routerManifest() else { return }
    var notes = classes == nil ? ["its outputs are taken for \(names.joined(separator: ", "))"] : []
    notes += try changed.expertsWithoutClass().map { "the expert \($0) has no class: its weight will be 0" }
    RouterReport(archive: changed, bytesBefore: opened.size, router: manifest, notes: notes).print(reporting)
  }
}
