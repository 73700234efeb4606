import TMPackJSON
import TestSupport
import Testing

/// Two readers of one specification: what one refuses, the other must refuse.
@Suite(.enabled(if: PythonReader.isAvailable, "needs python3 with the packages zstandard and numpy"))
struct DifferentialTests {
  @Test func bothRefuseEveryAttack() throws {
    let folder = TemporaryFolder()
    // Twins of a name are one and the same attack on memory, of which Python needs too much.
    let attacks = Attacks.all.filter { !["TMP-9-3", "TMP-9-4"].contains($0.rule) }
    for (number, attack) in attacks.enumerated() { putQuickly(attack.make().bytes(), at: folder("\(number)")) }
    let results = try PythonReader.run(
      attacks.indices.map { PythonReader.Job(archive: folder("\($0)"), dtype: "verify") })
    for (attack, lines) in zip(attacks, results) {
      #expect(lines[0].hasPrefix("fault") == (attack.rule != "sound"), "\(attack)")
    }
  }

  // Members removed, renamed, moved and given other values, in both manifests and the index.
  @Test func agreeOnRandomManifests() throws {
    let folder = TemporaryFolder()
    var random = SeededGenerator(seed: 11)
    var files: [[UInt8]] = []
    for round in 0..<900 {
      var archive = [HandArchive(), .sparseFactor, .denseFactor][round % 3]
      let seed = random.next()
      switch round / 3 % 3 {
      case 0: archive.expert.manifest = changed(archive.expert.manifest, seed)
      case 1: archive.shared.manifest = changed(archive.shared.manifest, seed)
      default: archive.editIndex = { $0 = changed($0, seed) }
      }
      files.append(archive.bytes())
      putQuickly(files[round], at: folder("\(round)"))
    }
    let results = try PythonReader.run(
      files.indices.map { PythonReader.Job(archive: folder("\($0)"), dtype: "verify") })
    var sound = 0
    for (round, lines) in results.enumerated() {
      let found = faults(at: folder("\(round)"))
      #expect(found.isEmpty == !lines[0].hasPrefix("fault"), "round \(round): \(found) \(lines)")
      sound += found.isEmpty ? 1 : 0
    }
    #expect(sound > 20 && sound < 800)
  }
}

/// One random change somewhere in a JSON value.
private func changed(_ value: JSONValue, _ seed: UInt64) -> JSONValue {
  var random = SeededGenerator(seed: seed)
  return change(value, using: &random)
}

private func change(_ value: JSONValue, using random: inout SeededGenerator) -> JSONValue {
  switch value {
  case .object(let object):
    var members = object.members.map { ($0.name, $0.value) }
    guard !members.isEmpty, Int.random(in: 0..<8, using: &random) > 0 else {
      return Bool.random(using: &random) ? .object(JSONObject(members + [("x", 0)])) : .string("x")
    }
    let place = Int.random(in: 0..<members.count, using: &random)
    if Int.random(in: 0..<10, using: &random) == 0 {
      members.remove(at: place)
    } else {
      members[place].1 = change(members[place].1, using: &random)
    }
    return .object(JSONObject(members))
  case .array(var array):
    guard !array.isEmpty, Int.random(in: 0..<6, using: &random) > 0 else { return .array(array + [0]) }
    let place = Int.random(in: 0..<array.count, using: &random)
    switch Int.random(in: 0..<6, using: &random) {
    case 0: array.remove(at: place)
    case 1: array.append(array[place])
    case 2: array.reverse()
    default: array[place] = change(array[place], using: &random)
    }
    return .array(array)
  case .integer(let integer):
    return .integer(
      [0, 1, 2, integer + 1, max(0, integer - 1), 2 * integer, 1 << 31, 1 << 53 - 1].randomElement(using: &random)!)
  case .string(let text):
    return .string(
      ["", "m", "n", "\(text)0", String(text.dropLast()), "low-rank", "F32", "F16", "I4", "U8", "1", "0.5", "é"]
        .randomElement(using: &random)!)
  case .null, .bool, .number: return 0
  }
}
