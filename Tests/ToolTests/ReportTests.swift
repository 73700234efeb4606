import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

/// Pages of pictures and tables.
@Suite struct ReportTests {
  let folder = TemporaryFolder()

  /// What the scripts of a page's tables have: the rows of each.
  private func tables(_ page: String) throws -> [[JSONValue]] {
    try page.split(separator: "<script type=\"application/json\">").dropFirst().map { part in
      let end = try #require(part.firstRange(of: "</script>"))
      let json = try object(String(part[..<end.lowerBound]))
      guard case .array(let rows) = json["rows"] else { return [] }
      return rows
    }
  }

  private func page(_ path: String) throws -> String { String(decoding: try contents(path), as: UTF8.self) }

  private func isBalanced(_ page: String) -> Bool {
    ["table", "tbody", "tr", "td", "svg", "section", "div", "title", "script", "text"].allSatisfy { name in
      page.ranges(of: "<\(name)>").count + page.ranges(of: "<\(name) ").count == page.ranges(of: "</\(name)>").count
    }
  }

  @Test func everyTensorIsInTheTable() throws {
    let archive = try zoo(in: folder, "--rank", "4")
    #expect(try tmpack("report", archive, "-o", folder("r.html")).code == 0)
    let text = try page(folder("r.html"))
    #expect(isBalanced(text) && !text.contains("http://") && !text.contains("https://"))
    let rows = try #require(try tables(text).first)
    guard case .array(let experts) = try tmpack("inspect", archive, "--tensors", "--json").json()["experts"] else {
      Issue.record("no experts")
      return
    }
    var expected: [[JSONValue?]] = []
    for expert in try experts.map({ try object($0) }) {
      guard case .array(let list) = expert["tensor_list"] else { continue }
      for item in try list.map({ try object($0) }) {
        expected.append([expert["name"], item["name"], item["factor"], item["raw_bytes"], item["error"]])
      }
    }
    let shown = rows.map { row -> [JSONValue?] in
      guard case .array(let cells) = row, cells.count == 9 else { return [] }
      return [0, 1, 3, 5, 6].map { cells[$0] }
    }
    #expect(shown == expected && shown.count == 14)
  }

  /// The change of each tensor is that between the expert and the shared model.
  @Test func changesAreThoseOfTheNumbers() throws {
    let archive = try zoo(in: folder, "--shared", "base", "--rank", "64", "--factor-dtype", "f32")
    #expect(try tmpack("report", archive, "-o", folder("r.html")).code == 0)
    guard case .array(let compared) = try tmpack("compare", base, "\(archive)#b44", "--json").json()["tensors"] else {
      Issue.record("no tensors")
      return
    }
    let expected = try compared.map { try object($0)["relative_error"] }
    let shown = try tables(page(folder("r.html")))[0].suffix(7).map { row -> JSONValue? in
      guard case .array(let cells) = row else { return nil }
      return cells[7]
    }
    for (a, b) in zip(shown, expected) {
      guard case .number(let a) = a, case .number(let b) = b else { Issue.record("no number"); continue }
      #expect(abs(a - b) < 1e-4 * b)
    }
    #expect(shown.count == expected.count)
  }

  /// Names are other people's: nothing in them is markup.
  @Test func namesAreText() throws {
    let name = "</script><script>alert(1)</script>&\""
    for (file, value) in [("b", 1.0), ("e", 2.0)] {
      try writeModel([tensor(name, .f32, [2, 2], [value, 1, 3, 4])], to: folder("\(file).safetensors"))
    }
    let archive = folder("z.tmpack")
    let files = [folder("b.safetensors"), folder("e.safetensors")]
    #expect(try tmpack("pack", "--base", files[0], "--expert", files[1], "-o", archive).code == 0)
    #expect(try tmpack("report", archive, "-o", folder("r.html")).code == 0)
    #expect(try tmpack("compare", files[0], files[1], "--html", folder("c.html")).code == 0)
    for file in ["r.html", "c.html"] {
      let text = try page(folder(file))
      #expect(!text.contains("<script>alert") && text.contains("&lt;script&gt;alert(1)") && isBalanced(text))
      guard case .array(let cells) = try tables(text)[0][0] else { Issue.record("no row"); continue }
      #expect(cells.contains(.string(name)))
    }
  }

  /// What --eval measured is in the archive, and drawn; it takes the place of what was measured of others.
  @Test func scoresThatWereMeasured() throws {
    let archive = folder("zoo.tmpack")
    let command = "stat -c %s {checkpoint} > /dev/null; echo 0.8"
    let packed = try tmpack(
      "pack", "--base", base, "--expert", "a66=\(a66)", "--eval", command, "-o", archive, "--json")
    #expect(packed.code == 0, "\(packed.talk)")
    #expect(try tmpack("report", archive, "--quick", "-o", folder("r.html")).code == 0)
    let text = try page(folder("r.html"))
    #expect(isBalanced(text) && text.contains("Scores against bytes") && text.contains("a66, own score 0.8000"))
    #expect(text.contains("measured, see below"))
    let trials = try object(packed.json()["score_search"])["trials"]
    guard case .array(let list) = trials else { Issue.record("no trials"); return }
    #expect(text.ranges(of: "<circle").count == list.count)
    #expect(try tmpack("report", zoo(in: folder, "--force"), "--quick", "-o", folder("o.html")).code == 0)
    #expect(try !page(folder("o.html")).contains("Scores against bytes"))
  }

  @Test func ofADetachedArchive() throws {
    let archive = try zoo(in: folder, "--shared", "base", "--detached")
    #expect(try tmpack("report", archive, "-o", folder("r.html")).code == 1)
    #expect(try tmpack("report", archive, "--quick", "-o", folder("quick.html")).code == 0)
    #expect(try tmpack("report", archive, "--shared-from", base, "-o", folder("r.html"), "--json").code == 0)
    #expect(try tmpack("report", archive, "--base", base, "-o", folder("same.html")).code == 0)
    #expect(try contents(folder("same.html")) == contents(folder("r.html")))
    #expect(try page(folder("r.html")).contains("How alike the experts are"))
    #expect(try !page(folder("quick.html")).contains("How alike the experts are"))
  }

  @Test func nothingIsReplacedUnasked() throws {
    let archive = try zoo(in: folder)
    try put(Array("mine".utf8), at: folder("r.html"))
    #expect(try tmpack("report", archive, "-o", folder("r.html")).code == 1)
    #expect(try tmpack("compare", a66, b44, "--html", folder("r.html")).code == 1)
    #expect(try contents(folder("r.html")) == Array("mine".utf8))
    #expect(try tmpack("report", archive, "-o", archive, "--force").code == 1)
    #expect(try tmpack("report", archive, "-o", folder("r.html"), "--force").code == 0)
  }
}
