import TMPack

/// What `pack` and `add` say at the end.
struct PackReport {
  let path: String
  let summary: PackSummary
  let skipped: [(path: String, file: SkippedFile)]

  func print(_ options: OutputOptions) {
    if options.json { return Console.result(json) }
    var table = TextTable(["expert", "tensors", "stored", "error", "worst", "worst tensor"], leftColumns: [0, 5])
    for expert in summary.experts {
      let summary = expert.summary
      table.add([
        expert.name, String(summary.tensors), ByteSize.text(summary.bytes),
        summary.error?.value.significant(3) ?? "exact",
        summary.worstError?.value.significant(3) ?? "", (summary.worstTensor ?? "").shortened(to: 40),
      ])
    }
    Console.result(table.text)
    for note in summary.notes {
      Console.talk("note: \(note.expert): \(note.count) tensors \(note.reason.rawValue) (\(note.example))")
    }
    for (path, file) in skipped {
      Console.talk("note: \(FileTree.join(path, file.name)) stays behind: \(file.reason.rawValue)")
    }
    Console.result(
      "\(path): \(ByteSize.text(summary.archiveBytes)) for \(ByteSize.text(summary.inputBytes)) of experts, \(summary.ratio.significant(3))×"
    )
  }

  private var json: JSONValue {
    [
      "archive": .string(path), "bytes": JSONValue(summary.archiveBytes), "input_bytes": JSONValue(summary.inputBytes),
      "ratio": .number(summary.ratio), "root_digest": .string(summary.rootDigest.hexadecimal),
      "experts": .array(summary.experts.map(\.summaryJSON)),
      "notes": .array(
        summary.notes.map {
          [
            "expert": .string($0.expert), "reason": .string($0.reason.rawValue), "count": JSONValue($0.count),
            "example": .string($0.example),
          ]
        }),
      "skipped_files": .array(
        skipped.map {
          ["folder": .string($0.path), "name": .string($0.file.name), "reason": .string($0.file.reason.rawValue)]
        }),
    ]
  }
}

extension ExpertReference {
  /// As `inspect --json` and `pack --json` list an expert.
  var summaryJSON: JSONValue {
    var object: JSONObject = [
      "name": .string(name), "bytes": JSONValue(summary.bytes), "tensors": JSONValue(summary.tensors),
      "parameters": JSONValue(summary.parameters),
      "factors": .object(JSONObject(summary.factors.sorted { $0.key < $1.key }.map { ($0.key, JSONValue($0.value)) })),
    ]
    object["correction_bytes"] = summary.correctionBytes.map { JSONValue($0) }
    object["error"] = summary.error.map { .number($0.value) }
    object["worst_error"] = summary.worstError.map { .number($0.value) }
    object["worst_tensor"] = summary.worstTensor.map { .string($0) }
    return .object(object)
  }
}
