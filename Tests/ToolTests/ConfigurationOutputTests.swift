import TestSupport
import Testing

/// `config.json` beside what was written says what was written.
@Suite struct ConfigurationOutputTests {
  static let config = "{\n  \"architectures\": [\"X\"],\n  \"dtype\": \"bfloat16\",\n  \"eps\": 1e-05\n}\n"

  private func model(_ name: String, seed: UInt64, in folder: TemporaryFolder) throws -> String {
    let path = folder(name)
    try writeModel(
      [tensor("w", .bf16, [4, 4], noise(16, seed: seed))], files: [("config.json", Array(Self.config.utf8))], to: path)
    return path
  }

  private func config(of path: String) throws -> String {
    String(decoding: try contents("\(path)/config.json"), as: UTF8.self)
  }

  @Test func theDTypeIsTheOneAskedFor() throws {
    let folder = TemporaryFolder()
    let (base, a) = (try model("base", seed: 1, in: folder), try model("a", seed: 2, in: folder))
    let wide = Self.config.replacing("bfloat16", with: "float32")
    func made(_ arguments: String...) throws -> String {
      let run = try Child(toolPath, arguments + ["-o", folder("out"), "--force"]).wait()
      try #require(run.code == 0, "\(run.talk)")
      return try config(of: folder("out"))
    }
    let converted = try tmpack("convert", a, folder("c"), "--dtype", "f32")
    try #require(converted.code == 0, "\(converted.talk)")
    #expect(try config(of: folder("c")) == wide)
    #expect(try made("merge", "average", "--base", base, "--expert", a, "--dtype", "f32") == wide)
    #expect(try made("merge", "average", "--base", base, "--expert", a) == Self.config)
    let packed = try tmpack("pack", "--base", base, "--expert", a, "-o", folder("p.tmpack"))
    try #require(packed.code == 0, "\(packed.talk)")
    #expect(try made("unpack", folder("p.tmpack"), "--expert", "a", "--dtype", "f32") == wide)
    #expect(try made("unpack", folder("p.tmpack"), "--expert", "a") == Self.config)
  }
}
