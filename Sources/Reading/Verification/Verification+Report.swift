import TMPackJSON

extension Verification.Report {
  /// Documented in Spec/json.md; members are only ever added.
  package func json(_ archive: Archive, _ level: Verification.Level) -> JSONObject {
    var object: JSONObject = [
      "archive": .string(archive.path), "level": .string(level.rawValue), "sound": .bool(isSound),
      "root_digest": .string(archive.rootDigest.hexadecimal),
      "usable_experts": .array(usableExperts.map { .string($0) }),
      "shared_usable": .bool(isSharedUsable),
      "faults": .array(faults.sorted { ($0.offset ?? 0) < ($1.offset ?? 0) }.map { .object($0.members) }),
    ]
    if findings.unlistedCount > 0 { object["unlisted_faults"] = JSONValue(findings.unlistedCount) }
    return object
  }
}
