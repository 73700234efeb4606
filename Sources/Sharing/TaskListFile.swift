import TMPackByteIO
import TMPackDigests
import TMPackJSON
import TMPackMerging

/// A task list that was written earlier, perhaps on another machine.
package struct TaskListFile: Sendable {
  package let path: String
  /// As the plan was given them.
  package let arguments: [String]
  private let plan: ContentDigest
  private let packing: JSONObject

  /// - Throws: `unknownFormat` for another file, `limitExceeded`, `unsupportedVersion`, `malformed`, `digestMismatch` for a
  ///   list that was edited.
  package init(_ path: String) throws(StorageError) {
    self.path = path
    let file = try ReadableFile.ofText(path, atMost: Int(Limits.taskListBytes), "the size of a task list")
    (arguments, plan, packing) = try located(file: path) { () throws(StorageError) in
      try Limits.check(file.size, atMost: Limits.taskListBytes, "the size of a task list")
      return try file.withBytes(at: 0, count: Int(file.size)) { raw throws(StorageError) in try Self.parsed(raw) }
    }
  }

  private static func parsed(
    _ raw: UnsafeRawBufferPointer
  ) throws(StorageError) -> (arguments: [String], plan: ContentDigest, packing: JSONObject) {
    let other = StorageError(.unknownFormat, "is no task list").with(.planTasks)
    let value: JSONValue
    do throws(StorageError) {
      value = try JSONValue(parsing: raw, maximumValues: Limits.taskListValues)
    } catch {
      throw error.code == .limitExceeded ? error : other
    }
    guard case .object(var object) = value, object["format"] == .string(TaskList.format) else { throw other }
    let version = try object.required("version", of: "a task list").asCount("the version")
    guard version == TaskList.version else {
      throw StorageError(
        .unsupportedVersion, "is a task list of version \(version); this build reads \(TaskList.version)")
    }
    let text = try object.required("plan", of: "a task list").asString("the plan")
    let arguments = try object.required("arguments", of: "a task list").asArray("the arguments").map {
      value throws(StorageError) in try value.asString("an argument")
    }
    let packing = try object.required("packing", of: "a task list").asObject("the packing")
    object["plan"] = nil
    guard value.isCanonical, let plan = ContentDigest(hexadecimal: text),
      ContentDigest(of: JSONValue.object(object).canonicalText) == plan
    else { throw StorageError(.digestMismatch, "was changed after it was made").with(.planTasks) }
    return (arguments, plan, packing)
  }

  /// Throws unless a list made now, of the models as they are now, is this one.
  ///
  /// - Throws: `unsupportedVersion` for a list of another version of the tool; `invalidArgument`, naming a file that has changed.
  package func check(_ now: TaskList) throws(StorageError) {
    if now.plan == plan { return }
    func refusal(_ code: StorageError.Code, _ message: String, file: String? = nil) -> StorageError {
      StorageError(code, message, file: file ?? path)
    }
    if packing["tool"] != now.identity["tool"] {
      throw refusal(.unsupportedVersion, "was made by another version of the tool").with(.planTasks)
    }
    if let changed = Self.changedFile(packing["files"], now.identity["files"]) {
      throw refusal(.invalidArgument, "is not the file that \(path) was made for; plan again", file: changed)
    }
    throw refusal(.invalidArgument, "is not the task list of these models; plan again")
  }

  private static func changedFile(_ then: JSONValue?, _ now: JSONValue?) -> String? {
    guard case .array(let then) = then, case .array(let now) = now else { return nil }
    for file in now where !then.contains(file) {
      if case .object(let file) = file, case .string(let path) = file["path"] { return path }
    }
    return nil
  }
}

extension JSONValue {
  /// Whether `canonicalText` can say it.
  fileprivate var isCanonical: Bool {
    switch self {
    case .null, .bool, .string: true
    case .integer(let integer): integer.magnitude < 1 << 53
    case .number: false
    case .array(let values): values.allSatisfy(\.isCanonical)
    case .object(let object): object.members.allSatisfy { $0.value.isCanonical }
    }
  }
}
