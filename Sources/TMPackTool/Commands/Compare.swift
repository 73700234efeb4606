import ArgumentParser
import TMPackByteIO
import TMPackJSON
import TMPackModels
import TMPackReading
import TMPackTensorKit

struct Compare: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compare two checkpoints, or selections of archives, tensor by tensor.",
    discussion: """
      Examples:
        tmpack compare math/ out/
        tmpack compare math.safetensors zoo.tmpack#math
        tmpack compare zoo.tmpack#math=0.5,code=0.5 mix.safetensors --top 10
        tmpack compare math/ out/ --html difference.html

      ARCHIVE#NAME is an expert, ARCHIVE#NAME=WEIGHT,… a mix, and ARCHIVE# the shared model. A PEFT adapter is compared \
      as merged into --base. Where one of two models keeps weights as codes, its numbers are compared.
      """)

  @Argument(help: ArgumentHelp("A checkpoint or ARCHIVE#SELECTION: the reference.", valueName: "a"))
  var left: String

  @Argument(help: ArgumentHelp("Another.", valueName: "b"))
  var right: String

  @Option(help: ArgumentHelp("List only the tensors that differ most.", valueName: "n"))
  var top: Int?

  @Option(help: ArgumentHelp("Only tensors whose names match. Repeat for more.", valueName: "glob"))
  var tensors: [String] = []

  @Flag(help: "Fail, with exit code 2, unless both are equal bit for bit.")
  var requireEqual = false

  @Option(help: ArgumentHelp("Also make a page of pictures and tables: see report.", valueName: "path"))
  var html: OutputPath?

  @Flag(help: "Replace the page if it exists.")
  var force = false

  @OptionGroup var adapterBase: AdapterBaseOptions
  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func run() throws {
    let globs = try tensors.map { try Glob($0) }
    try html?.checkFile(replacing: force)
    let archives = OpenArchives(work.io, adapterBase.detached)
    let (reference, second) = try opened(archives)
    let architectures = [left, right].compactMap { TensorReference($0).architecture(archives, adapterBase) }
    let other = try second.aligned(
      to: reference.tensors, architectures: architectures.flatMap(\.names),
      headWidth: architectures.lazy.compactMap(\.headWidth).first)
    let a = TensorSelection(of: try reference.completed(withCopiesIn: other), including: globs)
    let b = TensorSelection(of: try other.completed(withCopiesIn: reference), including: globs)
    if !globs.isEmpty, a.tensors.isEmpty, b.tensors.isEmpty {
      throw StorageError(.invalidArgument, "no tensor's name matches \(tensors.joined(separator: ", "))")
    }
    let comparison = try reporting.withProgress { show in
      try Comparison(a, b, pipeline: work.pipeline) { show(WorkProgress(stage: "comparing", done: $0, total: $1)) }
    }
    if !reporting.json, let aligned = other as? AlignedSource {
      for note in aligned.notes.suffix(1) { Console.talk("note: \(note)") }
    }
    let unseen = try [left, right].flatMap { try TensorReference($0).otherWeightFiles(archives, adapterBase) }
    for path in unseen { Console.talk("note: \(path) is not compared: it holds weights that are not the model's") }
    if reporting.json { Console.result(json(comparison)) } else { show(comparison) }
    if let html {
      try FileTree.check(html.path, replacesNoneOf: [left, right])
      let page = ComparisonReport(left: left, right: right, comparison: comparison, verdict: verdict(comparison)).page
      let file = try AtomicFile(html.path, replacing: force)
      try file.write(Array(page.html.utf8))
      try file.commit()
    }
    if requireEqual, !comparison.isEqual { throw ExitCode(StorageError.Family.format.exitCode) }
  }

  /// Both as they are, unless only one of them keeps weights as codes: then as numbers.
  private func opened(_ archives: OpenArchives) throws -> (left: any TensorSource, right: any TensorSource) {
    let models = try [left, right].map { try TensorReference($0).open(archives, adapterBase) }
    let areCodes = try models.map { try !Quantization(of: $0).weights.isEmpty }
    guard areCodes[0] != areCodes[1] else { return (models[0], models[1]) }
    Console.talk("note: the weights of \(areCodes[0] ? left : right) are decoded, to be compared as numbers")
    return (
      areCodes[0] ? try TensorReference(left).open(archives, adapterBase, decoding: true) : models[0],
      areCodes[1] ? try TensorReference(right).open(archives, adapterBase, decoding: true) : models[1]
    )
  }

  /// The worst first, if only some are wanted.
  private func listed(_ comparison: Comparison) -> [Comparison.Tensor] {
    guard let top else { return comparison.tensors }
    return Array(comparison.worstFirst.prefix(max(0, top)))
  }

  private func show(_ comparison: Comparison) {
    var table = TextTable(["tensor", "relative error", "cosine", "max |Δ|", "equal"])
    for tensor in listed(comparison) {
      guard let difference = tensor.difference else {
        table.add([tensor.left.name, "\(tensor.left.shape)", "≠", "\(tensor.right.shape)", ""])
        continue
      }
      let equal = difference.isEqual ? "all" : "\(difference.equalCount) of \(difference.elementCount)"
      if tensor.hasError {
        table.add([
          tensor.left.name, difference.relativeError.significant(4), difference.cosine.fixed(6),
          difference.maximum.significant(4), equal,
        ])
      } else {
        table.add([tensor.left.name, "", "", "", equal])
      }
    }
    Console.result(table)
    for name in comparison.onlyLeft { Console.result("only in \(left): \(name)") }
    for name in comparison.onlyRight { Console.result("only in \(right): \(name)") }
    Console.result("\(counted(comparison.tensors.count, "tensor")) in common: \(verdict(comparison))")
  }

  private func verdict(_ comparison: Comparison) -> String {
    if comparison.isEqual { return "equal bit for bit" }
    let otherShapes = comparison.tensors.count { $0.difference == nil }
    let otherNumbers = comparison.tensors.count { !$0.hasError && $0.difference?.isEqual == false }
    let otherDTypes = comparison.tensors.count { $0.left.dtype != $0.right.dtype }
    let error = "relative error \(comparison.relativeError.significant(4))"
    let notes = [
      comparison.tensors.count == otherShapes ? "nothing to compare" : nil,
      comparison.tensors.contains(where: \.hasError) ? error : nil,
      otherNumbers == 0 ? nil : "\(otherNumbers) not of floats and different",
      otherShapes == 0 ? nil : "\(otherShapes) of different shapes",
      otherDTypes == 0 ? nil : "\(otherDTypes) of different dtypes",
      comparison.onlyLeft.isEmpty ? nil : "\(comparison.onlyLeft.count) only in the first",
      comparison.onlyRight.isEmpty ? nil : "\(comparison.onlyRight.count) only in the second",
    ]
    return notes.compactMap { $0 }.joined(separator: ", ")
  }

  private func json(_ comparison: Comparison) -> JSONValue {
    [
      "equal": .bool(comparison.isEqual), "relative_error": .number(comparison.relativeError),
      "only_left": .array(comparison.onlyLeft.map { .string($0) }),
      "only_right": .array(comparison.onlyRight.map { .string($0) }),
      "tensors": .array(
        listed(comparison).map { tensor in
          var object: JSONObject = [
            "name": .string(tensor.left.name), "left_dtype": .string(tensor.left.dtype.rawValue),
            "right_dtype": .string(tensor.right.dtype.rawValue),
          ]
          guard let difference = tensor.difference else {
            object["same_shape"] = false
            return .object(object)
          }
          object["same_shape"] = true
          object["elements"] = JSONValue(difference.elementCount)
          object["equal_elements"] = JSONValue(difference.equalCount)
          if tensor.hasError {
            object["relative_error"] = .number(difference.relativeError)
            object["cosine"] = .number(difference.cosine)
            object["max_difference"] = .number(difference.maximum)
          }
          return .object(object)
        }),
    ]
  }
}
