import TMPackByteIO
import TMPackJSON
import TMPackJournal
import TMPackPacking
import TMPackReading

extension Packer {
  /// All that the results of jobs depend on: the same text means the same results, on the same kind of processor.
  ///
  /// - Parameter withTimes: whether files that were touched count as changed.
  func identity(_ inputs: PackInputs, withTimes: Bool) throws(StorageError) -> JSONObject {
    var object: JSONObject = [
      "tool": .string(TMPackVersion.tool), "options": JSONValue(options), "level": JSONValue(level),
      "detached": .bool(isDetached), "corrections": .bool(storesCorrections), "rules": rules.json,
      "shared": [
        "method": .string(sharedRecord.name.rawValue), "parameters": JSONValue(sharedRecord.parameters),
        "tensors": .string(inputs.shared.source.outline.hexadecimal),
      ],
    ]
    object["rate"] = rate?.json
    if isMappable { object["mappable"] = .bool(true) }
    object["experts"] = .array(
      try inputs.experts.map { expert throws(StorageError) in
        var object: JSONObject = [
          "name": .string(expert.name), "tensors": .string(expert.checkpoint.source.outline.hexadecimal),
        ]
        if let statistics = expert.statistics {
          object["statistics"] = .string(try statistics.sample().hexadecimal)
        }
        return .object(object)
      })
    let paths = inputs.checkpoints.flatMap { $0.weightFiles + $0.carriedFiles.map(\.path) }
    let unique = Set(paths.map(ExactString.init)).map(\.text).sorted { $0.precedesInBytes($1) }
    object["files"] = .array(
      try unique.map { path throws(StorageError) in try SourceFingerprint(of: path, withTime: withTimes).json })
    return object
  }
}

extension TensorRules {
  fileprivate var json: JSONValue {
    [
      "standard": .string("\(standard)"),
      "overrides": .array(overrides.map { [.string($0.pattern.pattern), .string("\($0.treatment)")] }),
      "including": .array(included.map { .string($0.pattern) }),
      "excluding": .array(excluded.map { .string($0.pattern) }),
    ]
  }
}

extension RateControl {
  fileprivate var json: JSONValue {
    [
      "target": .string("\(target)"), "objective": .string(objective.rawValue),
      "codecs": .array(codecs.map(\.rawValue).sorted().map { .string($0) }),
    ]
  }
}
