import TMPackJSON
import TestSupport
import Testing

@Suite struct RepairCommandTests {
  private let folder = TemporaryFolder()

  private func memberTexts(_ list: JSONValue?, _ member: String) throws -> [String] {
    try (list ?? .null).asArray("the list").map { entry in
      try entry.asObject("an entry").required(member, of: "an entry").asString(member)
    }
  }

  /// A byte of the last expert is flipped.
  private func damagedZoo() throws -> (whole: [UInt8], damaged: String, copy: String) {
    let copy = try zoo(in: folder)
    let whole = try contents(copy)
    let damaged = folder("damaged.tmpack")
    // The last expert stands in front of the index.
    for place in stride(from: whole.count - 500, to: 8192, by: -500) {
      try put(whole.flipping(4, at: place), at: damaged)
      let run = try tmpack("verify", damaged, "--json")
      if try run.code == 2 && strings(run.json()["usable_experts"]) == ["a66"] { break }
    }
    #expect(try tmpack("verify", damaged).code == 2)
    return (whole, damaged, copy)
  }

  @Test func mendsWithACopy() throws {
    let (whole, damaged, copy) = try damagedZoo()
    let out = folder("mended.tmpack")
    let run = try tmpack("repair", damaged, "--from", folder("zoo.tmpack"), "-o", out, "--json")
    #expect(run.code == 0, "\(run.talk)")
    #expect(try contents(out) == whole)
    let report = try run.json()
    #expect(strings(report["experts"]) == ["a66", "b44"] && strings(report["dropped_experts"]) == [])
    #expect(try memberTexts(report["restored"], "from") == [copy])
    #expect(try tmpack("repair", damaged, "--from", copy, "-o", out).code == 1)
    #expect(try tmpack("repair", damaged, "--from", copy, "-o", out, "--force").talk.contains("mended 1 extent"))
    // A file that helps nothing is no fault of the archive's.
    #expect(try tmpack("repair", copy, "--from", base, "-o", out, "--force").talk.contains("nothing that was missing"))
    #expect(try contents(out) == whole)
  }

  @Test func leavesOutOnlyOnRequest() throws {
    let (_, damaged, _) = try damagedZoo()
    let (out, names) = (folder("rest.tmpack"), folder.names)
    let refused = try tmpack("repair", damaged, "-o", out, "--json")
    #expect(refused.code == 2 && refused.output.isEmpty)
    let error = try refused.jsonError()
    #expect(error["file"] == .string(damaged) && error["expert"] == "b44" && error["byte"] != nil)
    #expect(folder.names == names)
    let run = try tmpack("repair", damaged, "-o", out, "--drop-damaged")
    #expect(run.code == 0 && run.talk.contains("left out: b44"))
    #expect(try tmpack("verify", out, "--deep", "--source", "a66=\(a66)").code == 0)
    #expect(try tmpack("repair", damaged, "-o", damaged, "--force", "--drop-damaged").code == 1)
    #expect(try tmpack("repair", damaged, "--from", folder("none"), "-o", out, "--force").code == 4)
  }
}
