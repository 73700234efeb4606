import TMPackByteIO
import TMPackCheckpoints
import TMPackJSON
import TMPackTensorKit
import TestSupport
import Testing

/// What `pack` does where no option says how large the factors are (Spec/decisions/0030).
@Suite struct StandardPackingTests {
  private let folder = TemporaryFolder()

  private func tensors(_ archive: String, _ expert: String) throws -> [JSONObject] {
    guard case .array(let experts) = try tmpack("inspect", archive, "--expert", expert, "--json").json()["experts"],
      let own = experts.first, case .array(let list) = try object(own)["tensor_list"]
    else { throw StorageError(.malformed, "no list") }
    return try list.map { try object($0) }
  }

  @Test func isOfHighQuality() throws {
    let standard = try zoo(in: folder)
    let high = folder("high.tmpack")
    #expect(
      try tmpack("pack", "--base", base, "--expert", "a66=\(a66)", "b44=\(b44)", "--quality", "high", "-o", high).code
        == 0)
    for expert in ["a66", "b44"] {
      #expect(try tmpack("compare", "\(standard)#\(expert)", "\(high)#\(expert)", "--require-equal").code == 0)
    }
  }

  // Merged in binary32, its rounding is all that it has beside its components.
  @Test(arguments: [1, 5, 24]) func keepsAMergedAdapter(_ rank: Int) throws {
    let (rows, columns) = (120, 90)
    let start = noise(rows * columns, seed: 1)
    let (left, right) = (noise(rows * rank, seed: 2), noise(rank * columns, scale: 0.01, seed: 3))
    let tuned = (0..<rows * columns).map { place in
      (0..<rank).reduce(start[place]) {
        $0 + left[place / columns * rank + $1] * right[$1 * columns + place % columns]
      }
    }
    let (from, to) = (folder("base.safetensors"), folder("tuned.safetensors"))
    try writeModel([tensor("w.weight", .f32, [rows, columns], start)], to: from)
    try writeModel([tensor("w.weight", .f32, [rows, columns], tuned)], to: to)
    let archive = folder("zoo.tmpack")
    #expect(try tmpack("pack", "--base", from, "--expert", to, "--shared", "base", "-o", archive).code == 0)
    let own = try #require(try tensors(archive, "tuned").first)
    #expect(own["factor"] == .string("low-rank") && own["rank"] == .integer(Int64(rank)), "\(own)")
    guard case .number(let error) = own["error"] else {
      Issue.record("no error")
      return
    }
    #expect(error < 0.02)
  }

  @Test func whatIsAddedGoesOnWithIt() throws {
    let archive = try zoo(in: folder)
    let added = try tmpack("add", archive, "--expert", "c=\(a66)")
    #expect(added.code == 0 && !added.talk.contains("packed as"), "\(added.talk)")
    #expect(try tmpack("compare", "\(archive)#a66", "\(archive)#c", "--require-equal").code == 0)
  }

  // As archives were before.
  @Test func whatIsAddedToRankSixteenHasIt() throws {
    let archive = try zoo(in: folder, "--rank", "16")
    let added = try tmpack("add", archive, "--expert", "c=\(a66)")
    #expect(added.code == 0 && added.talk.contains("--rank=16"), "\(added.talk)")
    #expect(try tmpack("compare", "\(archive)#a66", "\(archive)#c", "--require-equal").code == 0)
  }
}
