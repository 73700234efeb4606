import TMPackByteIO
import TMPackJSON
import TMPackPacking
import TMPackPlanning
import TMPackTensorKit

/// What `plan` says.
struct PlanReport {
  let plan: PackPlan
  let inputs: [ExpertInput]
  let unusedPatterns: [String]

  func print(_ options: OutputOptions) {
    if options.json { return Console.result(json) }
    var frontier = TextTable(["expert", "setting", "stored", "±", "lost", "±"], leftColumns: [0, 1])
    for expert in plan.experts {
      for point in expert.frontier {
        frontier.add(
          [point == expert.frontier.first ? expert.name : "", point.setting.text] + cells(point.bytes, point.error))
      }
      if let outcome = expert.outcome {
        frontier.add(["", "these options"] + cells(outcome.bytes, outcome.error))
      }
    }
    Console.result(frontier)
    for line in summary { Console.result(line) }
    for line in notes { Console.talk("note: \(line)") }
  }

  private func cells(_ bytes: Estimate, _ error: Estimate?) -> [String] {
    [
      size(bytes.value), bytes.deviation > 0 ? size(bytes.deviation) : "0", error?.value.percent ?? "nothing",
      error.map { $0.deviation.percent(2) } ?? "",
    ]
  }

  private func size(_ bytes: Double) -> String { ByteSize.text(UInt64(max(0, min(bytes, 0x1p62)))) }

  private var summary: [String] {
    let cost = plan.cost
    var lines: [String] = []
    if let archive = plan.archiveBytes {
      lines.append(
        "archive: \(size(archive.value)) ± \(size(archive.deviation)), of which the shared model \(size(plan.sharedBytes.value))"
      )
    }
    lines.append(
      "time: about \(ProgressDisplay.time(cost.seconds)); memory: about \(ByteSize.text(cost.peakMemory)), of which mapped files \(ByteSize.text(cost.mappedMemory))"
    )
    var disk = "reads \(ByteSize.text(cost.inputBytes))"
    if cost.scratchBytes > 0 { disk += ", scratch space \(ByteSize.text(cost.scratchBytes))" }
    if cost.sharedModelBytes > 0 { disk += ", shared model \(ByteSize.text(cost.sharedModelBytes))" }
    if let free = cost.freeDisk { disk += ", free disk \(ByteSize.text(free))" }
    lines.append(disk)
    switch plan.verdict {
    case .possible: break
    case .refused(let why): lines.append("pack would refuse: \(why)")
    case .unlikely(let why): lines.append("the target seems out of reach: \(why)")
    }
    if plan.fitsOnDisk == false { lines.append("the disk is too small") }
    return lines
  }

  // MARK: Findings

  private var notes: [String] {
    var lines = plan.changes.filter(\.isIndependent).map(\.question) + plan.unmatched.map(\.note)
    lines += dtypes(plan.sharedDTypes).map { "the shared model has \($0)" }
    if let tie = plan.sharedTies.first(by: <) {
      lines.append("the shared model has \(counted(plan.sharedTies.count, "tied tensor")) (\(tie.key) is \(tie.value))")
    }
    var ofExperts = ExpertNotes()
    for expert in plan.experts { for note in notes(expert) { ofExperts.add(note, of: expert.name) } }
    lines += ofExperts.texts
    for pattern in unusedPatterns { lines.append("\(pattern) matches no tensor\(FactorOptions.hint(pattern, inputs))") }
    return lines
  }

  private func notes(_ expert: PackPlan.Expert) -> [String] {
    let found = expert.findings
    var lines = [
      "\(expert.sampledTensors) of \(counted(expert.tensors, "tensor")) sampled, \(expert.sampledShare.percent) of the elements"
    ]
    func list(_ names: [String], _ what: String) {
      if let first = names.first { lines.append("\(counted(names.count, "tensor")) \(what) (\(first))") }
    }
    list(found.unchanged.certain, "unchanged")
    list(found.unchanged.likely, "unchanged where they were compared, in pieces")
    list(found.absentFromExpert, "of the shared model that the expert lacks")
    list(found.absentFromShared, "absent from the shared model, stored whole")
    if let first = found.resized.first {
      list(found.resized.map(\.name), "of another shape, stored whole")
      lines[lines.count - 1] += ": \(first.shape), there \(first.sharedShape)"
    }
    list(found.otherDType, "of another dtype, stored whole")
    list(found.notFloat, "not floating-point, stored exactly")
    if let tie = found.ties.first(by: <) {
      lines.append("\(counted(found.ties.count, "tied tensor")) (\(tie.key) is \(tie.value))")
    }
    lines += dtypes(found.dtypes)
    for fault in found.nonFinite { lines.append("\(fault.tensor): \(fault.message); \(Remedy.keepExactly.words)") }
    return lines
  }

  /// One line if there are several.
  private func dtypes(_ counts: [(dtype: DType, tensors: Int)]) -> [String] {
    guard counts.count > 1 else { return [] }
    return ["mixed dtypes: " + counts.map { "\($0.tensors) \($0.dtype.rawValue)" }.joined(separator: ", ")]
  }

  // MARK: JSON

  private var json: JSONValue {
    var object: JSONObject = [
      "verdict": .string(plan.verdict.name), "shared": .object(sharedJSON),
      "experts": .array(plan.experts.map { .object(expertJSON($0)) }),
    ]
    object["reason"] = plan.verdict.reason.map { .string($0) }
    object["bytes"] = plan.archiveBytes?.json
    object["fits_on_disk"] = plan.fitsOnDisk.map { .bool($0) }
    let cost = plan.cost
    var costJSON: JSONObject = [
      "peak_memory": JSONValue(cost.peakMemory), "mapped_memory": JSONValue(cost.mappedMemory),
      "seconds": .number(cost.seconds), "input_bytes": JSONValue(cost.inputBytes),
      "scratch_bytes": JSONValue(cost.scratchBytes), "shared_model_bytes": JSONValue(cost.sharedModelBytes),
    ]
    costJSON["free_disk_bytes"] = cost.freeDisk.map { JSONValue($0) }
    object["cost"] = .object(costJSON)
    object["unmatched"] = .array(plan.unmatched.map(\.json))
    object["unused_patterns"] = .array(unusedPatterns.map { .string($0) })
    return .object(object)
  }

  private var sharedJSON: JSONObject {
    ["bytes": plan.sharedBytes.json, "dtypes": dtypesJSON(plan.sharedDTypes), "ties": JSONValue(plan.sharedTies)]
  }

  private func dtypesJSON(_ counts: [(dtype: DType, tensors: Int)]) -> JSONValue {
    .object(JSONObject(counts.map { ($0.dtype.rawValue, JSONValue($0.tensors)) }))
  }

  private func expertJSON(_ expert: PackPlan.Expert) -> JSONObject {
    func names(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
    let found = expert.findings
    var object: JSONObject = [
      "name": .string(expert.name), "tensors": JSONValue(expert.tensors),
      "sampled_tensors": JSONValue(expert.sampledTensors), "sampled_share": .number(expert.sampledShare),
      "frontier": .array(
        expert.frontier.map { point in
          var object = outcomeJSON(point.bytes, point.error)
          switch point.setting {
          case .components(let count): object["components"] = JSONValue(count)
          case .lossless: object["lossless"] = true
          }
          return .object(object)
        }),
    ]
    if let change = plan.changes.first(where: { $0.name == expert.name }) {
      object["change"] = change.relative.map { .number($0) }
      object["looks_independent"] = .bool(change.isIndependent)
    }
    if let outcome = expert.outcome {
      var json = outcomeJSON(outcome.bytes, outcome.error)
      json["quality"] = outcome.quality.map { .number($0) }
      object["outcome"] = .object(json)
    }
    object["unchanged"] = names(found.unchanged.certain)
    object["likely_unchanged"] = names(found.unchanged.likely)
    object["absent_from_expert"] = names(found.absentFromExpert)
    object["absent_from_shared"] = names(found.absentFromShared)
    object["resized"] = .array(
      found.resized.map {
        ["name": .string($0.name), "shape": $0.shape.array, "shared_shape": $0.sharedShape.array]
      })
    object["other_dtype"] = names(found.otherDType)
    object["not_float"] = names(found.notFloat)
    object["dtypes"] = dtypesJSON(found.dtypes)
    object["ties"] = JSONValue(found.ties)
    object["non_finite"] = .array(
      found.nonFinite.map { ["tensor": .string($0.tensor), "message": .string($0.message)] })
    return object
  }

  private func outcomeJSON(_ bytes: Estimate, _ error: Estimate?) -> JSONObject {
    var object: JSONObject = ["bytes": bytes.json]
    object["error"] = error?.json
    return object
  }
}

extension Estimate {
  fileprivate var json: JSONValue { ["value": .number(value), "deviation": .number(deviation)] }
}

extension Shape {
  fileprivate var array: JSONValue { .array(dimensions.map { JSONValue($0) }) }
}

extension Dictionary where Key == String, Value == String {
  fileprivate func first(by precedes: (String, String) -> Bool) -> (key: String, value: String)? {
    self.min { precedes($0.key, $1.key) }
  }
}

extension PackPlan.Point.Setting {
  /// With the name of the preset, if it is one.
  fileprivate var text: String {
    switch self {
    case .lossless: return "lossless"
    case .components(let count):
      let preset = RateOptions.Preset.allCases.first { $0.target == .quality(Double(count)) }
      return "\(count) components" + (preset.map { " (\($0.rawValue))" } ?? "")
    }
  }
}

extension PackPlan.Verdict {
  fileprivate var name: String {
    switch self {
    case .possible: "possible"
    case .refused: "refused"
    case .unlikely: "unlikely"
    }
  }

  fileprivate var reason: String? {
    switch self {
    case .possible: nil
    case .refused(let why), .unlikely(let why): why
    }
  }
}
