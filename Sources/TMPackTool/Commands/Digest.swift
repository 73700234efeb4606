import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackReading

struct Digest: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "digest",
    abstract: "Digest a checkpoint, tensor by tensor, to prove copies of it equal.",
    discussion: """
      Examples:
        tmpack digest model/ -o model.digests.json
        tmpack verify copy.safetensors --against model.digests.json
        tmpack digest model.gguf --finite
        tmpack digest zoo.tmpack --model-signing -o zoo.statement.json

      Tensors are digested as numbers, by name, dtype and shape: a copy that is sharded otherwise, or in another format that \
      keeps dtypes and names, has the same digests. Without -o only the digest of all tensors is printed.

      With --model-signing the files are digested as they are, of a folder or of one file, which may be an archive.
      """)

  @Argument(help: ArgumentHelp("A checkpoint: a file or a folder.", valueName: "model"), completion: .file())
  var model: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The file to make.", valueName: "path"))
  var output: OutputPath?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @Flag(help: "Also look for NaNs, infinities and tensors of zeros.")
  var finite = false

  @Flag(help: "Make the statement that OpenSSF model signing signs.")
  var modelSigning = false

  @OptionGroup(title: "Work") var work: WorkOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  func validate() throws {
    if modelSigning, finite { throw ValidationError("--finite is for tensors, --model-signing digests files.") }
    if modelSigning, output == nil { throw ValidationError("--model-signing needs -o.") }
  }

  func run() throws {
    if modelSigning, let output { return try writeStatement(output) }
    let checkpoint = try Checkpoint.open(model, mode: work.io)
    let file = try output.map { output throws(StorageError) in
      try FileTree.check(output.path, replacesNoneOf: [model])
      return try AtomicFile(output.path, replacing: force)
    }
    let digests = try digested(
      checkpoint, includingWeightFiles: file != nil, checkingNumbers: finite, work, reporting)
    try checkpoint.checkUnchanged()
    try file?.write(digests.text)
    try file?.commit()
    if reporting.json {
      var object: JSONObject = [
        "model": .string(model), "tensors_digest": .string(digests.tensorsDigest.hexadecimal),
        "tensors": JSONValue(digests.tensors.count), "files": JSONValue(digests.files.count),
      ]
      object["output"] = output.map { .string($0.path) }
      if finite { object["warnings"] = digests.checksJSON }
      return Console.result(.object(object))
    }
    for text in digests.checkTexts { Console.talk("warning: \(text)") }
    let count = counted(digests.tensors.count, "tensor")
    Console.result("\(output?.path ?? model): \(count), digest \(digests.tensorsDigest)")
  }

  private func writeStatement(_ output: OutputPath) throws {
    try FileTree.check(output.path, replacesNoneOf: [model])
    let statement = try reporting.withProgress { show in
      try ModelSigningStatement(of: model, pipeline: work.pipeline) {
        show(WorkProgress(stage: "digesting", done: $0, total: $1))
      }
    }
    // Only now: it may come to lie among the files.
    let file = try AtomicFile(output.path, replacing: force)
    try file.write(statement.text)
    try file.commit()
    if reporting.json {
      return Console.result(
        .object([
          "model": .string(model), "files": JSONValue(statement.files.count),
          "model_digest": .string(statement.rootDigest.hexadecimal), "output": .string(output.path),
        ]))
    }
    Console.result("\(output.path): \(counted(statement.files.count, "file")), digest \(statement.rootDigest)")
  }
}

func digested(
  _ checkpoint: Checkpoint, includingWeightFiles: Bool = false, checkingNumbers: Bool, _ work: WorkOptions,
  _ reporting: OutputOptions
) throws -> ModelDigests {
  try reporting.withProgress { show in
    try ModelDigests(
      of: checkpoint, includingWeightFiles: includingWeightFiles, checkingNumbers: checkingNumbers,
      pipeline: work.pipeline
    ) {
      show(WorkProgress(stage: "digesting", done: $0, total: $1))
    }
  }
}

extension ModelDigests {
  /// What looks wrong with the numbers.
  var checkTexts: [String] { checks.map { "tensor '\($0.name)': \($0.check.text ?? "")" } }

  var checksJSON: JSONValue {
    .array(
      checks.map {
        [
          "tensor": .string($0.name), "nan": JSONValue($0.check.nanCount),
          "infinite": JSONValue($0.check.infinityCount), "all_zero": .bool($0.check.isAllZero),
        ]
      })
  }
}
