import TMPackArchiveFormat
import TMPackCheckpoints
import TMPackJSON
import TMPackModels
import TMPackPacking
import TMPackReading

/// What `pack` and `add` say at the end.
struct PackReport {
  let path: String
  let summary: PackSummary
  /// Numbers of the merged shared model that are too large for their dtype.
  let overflows: Int
  /// Of the archive, if experts were added to one.
  var bytesBefore: UInt64?
  var base: Checkpoint?
  let inputs: [ExpertInput]
  let unusedPatterns: [String]
  /// With which they were packed, as provenance records it.
  let options: [String: String]
  /// With which the factors were chosen.
  var scoreSearch: ScoreSearchResult?
  var otherNotes: [String] = []

  /// Those packed in this run.
  private var experts: ArraySlice<ExpertReference> { summary.experts.suffix(inputs.count) }

  private var checkpoints: [Checkpoint] { [base].compactMap { $0 } + inputs.map(\.checkpoint) }

  /// How the checkpoints were read, and what of them an archive does not keep.
  private var sourceNotes: [(expert: String, note: String)] {
    inputs.flatMap { input in
      let metadata = input.checkpoint.source.typedMetadata
      // The archive has those of the base.
      let isOfBase = base.map { $0.source.typedMetadata == metadata } ?? false
      let losses = isOfBase ? [] : metadata.lossesAsText(in: "the archive")
      return (input.checkpoint.notes + losses).map { (input.name, $0) }
    }
  }

  func print(_ options: OutputOptions) {
    if options.json { return Console.result(json) }
    for change in summary.changes where change.isIndependent { Console.talk("note: \(change.question)") }
    var table = TextTable(
      ["expert", "tensors", "stored", "change", "lost", "worst", "worst tensor"], leftColumns: [0, 6])
    for expert in experts {
      let summary = expert.summary
      table.add([
        expert.name, String(summary.tensors), ByteSize.text(summary.bytes),
        change(of: expert.name)?.relative?.percent(2) ?? "",
        summary.error?.value.percent ?? "nothing",
        summary.worstError?.value.percent ?? "", summary.worstTensor ?? "",
      ])
    }
    Console.result(table)
    if let verdict { Console.talk("note: \(verdict)") }
    for unmatched in summary.unmatched { Console.talk("note: \(unmatched.note)") }
    let ofTensors = summary.notes.map { note in
      (expert: note.expert, note: "\(counted(note.count, "tensor")) \(note.reason.rawValue) (\(note.example))")
    }
    for note in ExpertNotes(ofTensors).texts { Console.talk("note: \(note)") }
    for note in overflowNotes(overflows, of: "shared model") { Console.talk("note: \(note)") }
    for note in ExpertNotes(sourceNotes).texts { Console.talk("note: \(note)") }
    for note in checkpoints.flatMap({ $0.skippedNotes() }) { Console.talk("note: \(note)") }
    if let reused = summary.reusedJobs, reused > 0 { Console.talk("note: \(counted(reused, "job")) were done already") }
    for note in otherNotes { Console.talk("note: \(note)") }
    for pattern in unusedPatterns {
      Console.talk("note: \(pattern) matches no tensor\(FactorOptions.hint(pattern, inputs))")
    }
    let size = ByteSize.text(summary.archiveBytes)
    if let bytesBefore {
      Console.result(
        "\(path): \(size), was \(ByteSize.text(bytesBefore)); \(counted(summary.experts.count, "expert"))")
    } else {
      Console.result(
        "\(path): \(size): \(ByteSize.text(sharedBytes)) once for what is shared, \(eachExpert); the experts' files: \(ByteSize.text(summary.inputBytes))\(breakEven)"
      )
    }
  }

  /// Of a smaller loss there is nothing to say.
  private static let noteworthyLoss = 0.1

  /// What the greatest loss meant for scores where that was measured. Of the user's own there is more to say.
  private var verdict: String? {
    guard scoreSearch == nil, let measured = MeasuredScores(options: options) else { return nil }
    // Where statistics weigh directions, the loss of numbers says less.
    let losses = zip(experts, inputs).compactMap { $1.statistics == nil ? $0.summary.error?.value : nil }
    guard let loss = losses.max(), loss >= Self.noteworthyLoss else { return nil }
    let advice =
      measured.isMuch(loss) ? "a higher --quality keeps more, and --eval measures yours" : "--eval measures yours"
    return
      "a loss of \(loss.percent(2)) kept \(measured.kept(at: loss)) of the scores of \(MeasuredScores.origin); \(advice)"
  }

  /// From how many experts on the archive is smaller than their files, as long as it is not.
  private var breakEven: String {
    guard summary.archiveBytes >= summary.inputBytes, !experts.isEmpty else { return "" }
    let count = UInt64(experts.count)
    let stored = experts.reduce(0) { $0 + $1.summary.bytes } / count
    let file = summary.inputBytes / count
    guard file > stored else { return ", which are smaller" }
    let detached = options["detached"] == nil ? ", or where everybody has the base, with --shared base --detached" : ""
    return
      "; smaller than these from \(counted(Int(clamping: sharedBytes / (file - stored)) + 1, "expert")) on\(detached)"
  }

  /// How far an expert is from what it is said to be made from.
  private func change(of expert: String) -> ModelChange? {
    summary.changes.first { $0.name.hasSameBytes(as: expert) }
  }

  /// What is there once, however many experts there are.
  private var sharedBytes: UInt64 {
    let ofExperts = summary.experts.reduce(0) { $0 + $1.summary.bytes }
    return summary.archiveBytes - min(ofExperts, summary.archiveBytes)
  }

  private var eachExpert: String {
    let sizes = experts.map(\.summary.bytes)
    let mean = sizes.reduce(0, +) / UInt64(max(1, sizes.count))
    return "\(counted(sizes.count, "expert")) \(ByteSize.text(mean))\(sizes.count > 1 ? " each on average" : "")"
  }

  private var json: JSONValue {
    var object: JSONObject = [
      "archive": .string(path), "bytes": JSONValue(summary.archiveBytes), "input_bytes": JSONValue(summary.inputBytes),
    ]
    if let bytesBefore {
      object["bytes_before"] = JSONValue(bytesBefore)
    } else {
      object["ratio"] = .number(summary.ratio)
      object["overflows"] = JSONValue(overflows)
    }
    object["score_search"] = scoreSearch?.json
    object["reused_jobs"] = summary.reusedJobs.map { JSONValue($0) }
    object["root_digest"] = .string(summary.rootDigest.hexadecimal)
    object["experts"] = .array(
      experts.map { expert in
        var object = expert.summaryJSON
        if let change = change(of: expert.name) {
          object["change"] = change.relative.map { .number($0) }
          object["looks_independent"] = .bool(change.isIndependent)
        }
        return .object(object)
      })
    object["unmatched"] = .array(summary.unmatched.map(\.json))
    object["notes"] = .array(
      summary.notes.map {
        [
          "expert": .string($0.expert), "reason": .string($0.reason.rawValue), "count": JSONValue($0.count),
          "example": .string($0.example),
        ]
      })
    object["source_notes"] = .array(
      sourceNotes.map { ["expert": .string($0.expert), "note": .string($0.note)] })
    object["skipped_files"] = .array(
      checkpoints.flatMap { checkpoint in
        checkpoint.skippedFiles.map {
          ["folder": .string(checkpoint.path), "name": .string($0.name), "reason": .string($0.reason.rawValue)]
        }
      })
    object["unused_patterns"] = .array(unusedPatterns.map { .string($0) })
    return .object(object)
  }
}
