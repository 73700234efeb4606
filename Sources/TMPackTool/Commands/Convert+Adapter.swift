import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackReading
import TMPackTensorKit

extension AdapterDialect: ExpressibleByArgument {}

struct AdapterConversionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The input is an adapter: write it as peft, mlx-lm and diffusers have it in a folder, or kohya's scripts in a file.",
      valueName: "peft|mlx|kohya|diffusers"))
  var adapter: AdapterDialect?

  @Option(
    help: ArgumentHelp(
      "The model that it is for: tells what names in which underscores stand for dots mean.", valueName: "path"))
  var base: String?

  @Option(
    help: ArgumentHelp(
      "What of a pipeline an adapter of one model is for, such as unet.", valueName: "name"))
  var component: String?
}

extension Convert {
  /// Writes an adapter for another library.
  func convertAdapter(to dialect: AdapterDialect, selecting globs: [Glob]) throws {
    guard LoRAAdapter.isAdapter(input) else {
      throw StorageError(.invalidArgument, "is no adapter that is known", file: input)
    }
    try FileTree.check(output, replacesNoneOf: [input] + [adapters.base].compactMap { $0 })
    let adapter = try LoRAAdapter(input, mode: work.io)
    var content = try AdapterContent(adapter)
    if let base = adapters.base { content = try content.named(in: Checkpoint.open(base, mode: work.io).source) }
    if !globs.isEmpty { content = content.selecting(globs) }
    guard !content.updates.isEmpty else {
      throw StorageError(.invalidArgument, "no module's name matches \(tensors.joined(separator: ", "))", file: input)
    }
    if dialect == .peft { content = try content.knowingEmbeddings() }
    content.baseModelName = content.baseModelName ?? adapters.base
    let written = try WrittenAdapter(content, for: dialect, component: adapters.component)
    try reporting.withProgress { show in
      try written.stage(output, replacing: force, threads: work.pipeline.threads) {
        show(WorkProgress(stage: "converting", done: $0, total: $1))
      }.commit()
    }
    report(written, updates: content.updates.count, notes: adapter.source.notes + written.notes)
  }

  private func report(_ written: WrittenAdapter, updates: Int, notes: [String]) {
    if reporting.json {
      return Console.result([
        "output": .string(output), "adapter": .string(written.dialect.rawValue), "modules": JSONValue(updates),
        "tensors": JSONValue(written.tensors.count), "bytes": JSONValue(written.byteCount),
        "notes": .array(notes.map { .string($0) }),
      ])
    }
    for note in notes { Console.talk("note: \(note)") }
    Console.result(
      "\(output): \(counted(updates, "module")), \(ByteSize.text(written.byteCount)), \(written.dialect.rawValue)")
  }
}
