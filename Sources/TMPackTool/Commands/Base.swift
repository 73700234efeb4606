import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackPacking
import TMPackReading

struct Base: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "base",
    abstract: "Tell which of several models a model was fine-tuned from.",
    discussion: """
      Examples:
        tmpack base tuned/ --of llama-3/ llama-3-instruct/
        tmpack base tuned/ --of bases/*/ --json

      Fine-tuning moves weights by hundredths of themselves. Of models that have nothing to do with each other the \
      matrices have no direction in common. A sample of the numbers tells, in seconds.

      Exit code 1 when it is none of them.
      """)

  @Argument(help: ArgumentHelp("The fine-tuned model.", valueName: "model"), completion: .file())
  var model: String

  @Option(
    name: .customLong("of"), parsing: .upToNextOption,
    help: ArgumentHelp("Models that it may have been made from.", valueName: "path"))
  var candidates: [String]

  @OptionGroup(title: "Work") var reading: ReadingOptions
  @OptionGroup(title: "Output") var reporting: OutputOptions

  /// What a candidate is to the model.
  private struct Finding {
    let path: String
    /// nil for another architecture, or a file that is no model.
    let change: ModelChange?
    let reason: String?

    var isBase: Bool { change.map { $0.relative != nil && !$0.isIndependent } ?? false }
    var distance: Double { isBase ? change?.relative ?? .infinity : .infinity }
  }

  func run() throws {
    let model = try Checkpoint.open(model, mode: reading.io).holdingTensors().dequantized()
    let findings = try candidates.map { try finding($0, model) }.sorted { $0.distance < $1.distance }
    let best = findings.first { $0.isBase }
    if reporting.json {
      var object: JSONObject = [
        "model": .string(self.model),
        "candidates": .array(findings.map { .object(json($0)) }),
      ]
      object["base"] = best.map { .string($0.path) }
      Console.result(.object(object))
    } else {
      var table = TextTable(["candidate", "change", "matrices alike", ""], leftColumns: [0, 3])
      for finding in findings {
        let change = finding.change
        table.add([
          finding.path, change?.relative?.percent(2) ?? "",
          change.map { "\($0.matrices - $0.strangers) of \($0.matrices)" } ?? "",
          finding.reason ?? (finding.isBase ? "" : "has nothing in common with it"),
        ])
      }
      Console.result(table)
      Console.result(verdict(findings))
    }
    if best == nil { throw ExitCode(StorageError.Family.usage.exitCode) }
  }

  /// Models that were made from one base are as far from each other as from it, or farther.
  private static let asNear = 1.1

  /// - Parameter findings: the nearest first.
  private func verdict(_ findings: [Finding]) -> String {
    guard let best = findings.first, best.isBase else { return "\(model) was made from none of them" }
    let others = findings.dropFirst().filter { $0.distance <= best.distance * Self.asNear }.map(\.path)
    if others.isEmpty { return "\(model) was made from \(best.path), it seems" }
    return
      "\(model) is as near to \(([best.path] + others).joined(separator: " as to ")): they are kin, and one of them may be its base"
  }

  /// - Throws: what opening the candidate throws.
  private func finding(_ path: String, _ model: Checkpoint) throws(StorageError) -> Finding {
    let base = try Checkpoint.open(path, mode: reading.io).dequantized()
    do throws(StorageError) {
      let aligned = try ExpertInput(name: "model", checkpoint: model).aligned(to: base)
        .matchingDTypes(of: base.source.tensors)
      let change = try ModelChange(of: aligned.checkpoint.source, named: self.model, against: base.source)
      return Finding(path: path, change: change, reason: change.relative == nil ? "has other tensors" : nil)
    } catch {
      guard error.code.family == .usage else { throw error }
      return Finding(path: path, change: nil, reason: error.message)
    }
  }

  private func json(_ finding: Finding) -> JSONObject {
    var object: JSONObject = ["path": .string(finding.path), "is_base": .bool(finding.isBase)]
    object["change"] = finding.change?.relative.map { .number($0) }
    object["matrices"] = finding.change.map { JSONValue($0.matrices) }
    object["matrices_alike"] = finding.change.map { JSONValue($0.matrices - $0.strangers) }
    object["reason"] = finding.reason.map { .string($0) }
    return object
  }
}
