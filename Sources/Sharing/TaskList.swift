import TMPackByteIO
import TMPackCheckpoints
import TMPackDigests
import TMPackJSON
import TMPackJournal
import TMPackPacking

/// What there is to do to pack some checkpoints, so that several processes can share it (Spec/tasks.md).
///
/// ```swift
/// let tasks = try TaskList(packer, base: base, experts: experts, arguments: CommandLine.arguments)
/// try packer.run(TaskShare(3, of: 8), of: tasks, base: base, experts: experts, to: "parts/3.part")
/// ```
package struct TaskList: Sendable {
  package static let format = "tmpack-tasks"
  package static let version = 1

  /// What a command line said, for who reads the list.
  package let arguments: [String]
  /// What the results of the jobs depend on.
  let identity: JSONObject
  /// Names what is to be done: options, models and jobs. Parts are bound to it.
  package let plan: ContentDigest
  /// In the order of doing them: files, then tensors by name.
  let allJobs: [PackJob]
  /// Jobs that are best done together.
  let groups: [Range<Int>]
  package let names: JobNames
  private let body: JSONObject

  /// - Parameters:
  ///   - arguments: to be found in the list again.
  /// - Throws: what `Packer.pack` throws before it reads tensors; `limitExceeded` for more jobs than a list can have.
  package init(
    _ packer: Packer, base: Checkpoint?, experts: [ExpertInput], arguments: [String] = []
  ) throws(StorageError) {
    try packer.checkSharesNothing()
    let inputs = try packer.checkedInputs(base, experts)
    let jobs = try PackJobs(packer, inputs)
    self.arguments = arguments
    identity = try packer.identity(inputs, withTimes: false)
    names = JobNames(inputs)
    allJobs = jobs.sources + jobs.tensors.flatMap(\.jobs)
    var groups = jobs.sources.indices.map { $0..<$0 + 1 }
    for tensor in jobs.tensors {
      let start = groups.last?.upperBound ?? 0
      groups.append(start..<start + tensor.jobs.count)
    }
    self.groups = groups
    func row(_ name: String, _ value: String, _ jobs: [PackJob]) -> JSONValue {
      .object([
        name: .string(value),
        "jobs": .array(
          jobs.map {
            [JSONValue($0.key.kind.rawValue), JSONValue($0.key.expert), JSONValue($0.key.index), JSONValue($0.cost)]
          }),
      ])
    }
    body = [
      "format": .string(Self.format), "version": JSONValue(Self.version),
      "arguments": .array(arguments.map { .string($0) }), "packing": .object(identity),
      "sources": .array(zip(inputs.recordedFiles, jobs.sources).map { row("file", $0, [$1]) }),
      "tensors": .array(jobs.tensors.map { row("tensor", $0.name, $0.jobs) }),
    ]
    plan = ContentDigest(of: JSONValue.object(body).canonicalText)
  }

  package var jobCount: Int { allJobs.count }
  /// About nanoseconds of one core.
  package var cost: UInt64 { allJobs.reduce(0) { $0 + $1.cost } }

  /// JSON of one line for each file and tensor; the same bytes whenever it is made of the same.
  package var text: [UInt8] {
    var whole = body
    whole["plan"] = .string(plan.hexadecimal)
    var lines: [String] = []
    for (name, value) in whole.members {
      let text: String
      if case .array(let rows) = value, name != "arguments", !rows.isEmpty {
        text = "[\n" + rows.map(\.compactText).joined(separator: ",\n") + "\n]"
      } else {
        text = value.compactText
      }
      lines.append("\(JSONValue.string(name).compactText): \(text)")
    }
    return Array("{\n\(lines.joined(separator: ",\n"))\n}\n".utf8)
  }

  /// For messages: what a job is.
  package func describe(_ key: JobKey) -> String { names.describe(key) }
}
