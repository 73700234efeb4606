import ArgumentParser
import TMPackByteIO
import TMPackCheckpoints
import TMPackPacking
import TMPackSharing

/// What a task list says of its command line.
enum TaskArguments {
  private static let optionsOfPlan: Set<String> = ["-o", "--output", "--sample", "--tasks", "--threads", "--io"]
  private static let flagsOfPlan: Set<String> = ["--json", "-q", "--quiet", "--force"]

  /// Of the arguments of `plan` those that decide what is packed, and how.
  static func packing(_ arguments: some Sequence<String>) -> [String] {
    var kept: [String] = []
    var isValue = false
    for argument in arguments {
      if isValue {
        isValue = false
        continue
      }
      let name = String(argument.prefix { $0 != "=" })
      if optionsOfPlan.contains(name) {
        isValue = name == argument
      } else if !flagsOfPlan.contains(argument) {
        kept.append(argument)
      }
    }
    return kept
  }
}

/// The packing that a task list is about: its models, opened, and its packer.
struct TaskPacking {
  let options: PackOptions
  let base: Checkpoint?
  let experts: [ExpertInput]
  let packer: Packer
  private let arguments: [String]

  init(_ arguments: [String], work: WorkOptions) throws {
    var options: PackOptions
    do {
      options = try PackOptions.parse(arguments)
    } catch {
      throw StorageError(.invalidArgument, "the arguments of packing: \(PackOptions.message(for: error))")
    }
    options.work = work
    guard options.shared.sharedOut == nil else {
      throw StorageError(
        .invalidArgument,
        "tasks need a shared model that stays: write it with tmpack merge, and give it with --shared-from")
    }
    (base, experts) = try options.open()
    packer = try options.packer(options.shared.plannedModel(base: base, experts: experts, work), experts)
    self.options = options
    self.arguments = arguments
  }

  func list() throws -> TaskList {
    try TaskList(packer, base: base, experts: experts, arguments: arguments)
  }

  /// The packing of a list that was written earlier, and the list as it would be made now, which is the same.
  static func open(_ path: String, work: WorkOptions) throws -> (packing: TaskPacking, tasks: TaskList) {
    let file = try TaskListFile(path)
    let packing = try TaskPacking(file.arguments, work: work)
    let tasks = try packing.list()
    try file.check(tasks)
    return (packing, tasks)
  }
}
