import TMPackJSON
import TestSupport
import Testing

/// `router`, `route`, and what other commands do with a router, on real checkpoints and inputs of three numbers.
@Suite struct RouterCommandTests {
  let folder = TemporaryFolder()

  /// Inputs around (4, 0, 0) and (0, 4, 0) in turns.
  private func embeddings(_ name: String, rows: Int, classes: String?, seed: UInt64) throws -> String {
    let values = zip(noise(rows * 3, seed: seed), 0...).map { x, i in
      x + (i % 3 == 0 && i / 3 % 2 == 0 || i % 3 == 1 && i / 3 % 2 == 1 ? 4 : 0)
    }
    let labels = (0..<rows).map { Int64($0 % 2) }
    var metadata: [String: String] = [:]
    metadata["classes"] = classes
    try writeModel(
      [tensor("embeddings", .f32, [rows, 3], values), tensor("labels", .i64, [rows], bytes: lanes(labels))],
      metadata: metadata, to: folder(name))
    return folder(name)
  }

  /// The tests' archive with a router that was fitted in a second.
  private func routed(_ options: String..., classes: String? = "b44,a66") throws -> String {
    let archive = try zoo(in: folder, "--force")
    let train = try embeddings("train.safetensors", rows: 200, classes: classes, seed: 1)
    let arguments = ["router", "fit", archive, "--embeddings", train, "--hidden", "8,4", "--learning-rate", "0.01"]
    let run = try Child(toolPath, arguments + options).wait()
    try #require(run.code == 0, "\(run.talk)")
    return archive
  }

  private func number(_ value: JSONValue?) -> Double {
    switch value {
    case .number(let number): number
    case .integer(let integer): Double(integer)
    default: .nan
    }
  }

  @Test(arguments: ["mlp", "linear", "knn"]) func fitsAndRoutes(_ kind: String) throws {
    let archive = try routed("--model", kind)
    #expect(try tmpack("verify", archive, "--deep").code == 0)
    let inspected = try object(tmpack("inspect", archive, "--json").json()["router"])
    #expect(inspected["kind"] == .string(kind) && inspected["dimension"] == 3)
    // Labels name experts by the file's metadata.
    #expect(strings(inspected["classes"]) == ["b44", "a66"])
    #expect(number(inspected["accuracy"]) > 0.9)
    #expect(try tmpack("inspect", archive).output.contains("router  \(kind) 3 → "))
    let test = try embeddings("test.safetensors", rows: 64, classes: "b44,a66", seed: 2)
    let routed = try tmpack("route", archive, "--embedding", test, "--json").json()
    #expect(routed["labelled_groups"] == 64 && number(routed["right"]) > 58)
    guard case .array(let groups) = routed["groups"] else { Issue.record("no groups"); return }
    #expect(groups.count == 64)
    let read = try tmpack("route", archive, "--embedding", test, "--json", "--io", "read").json()
    #expect(read["groups"] == routed["groups"])
    let text = try tmpack("route", archive, "--embedding", test, "--group", "all", "--no-fallback")
    #expect(text.code == 0 && text.output.contains("0–63"))
  }

  /// The page counts what `route` counts.
  @Test func aReportShowsWhatIsTakenForWhat() throws {
    let archive = try routed("--model", "linear")
    let test = try embeddings("test.safetensors", rows: 64, classes: "b44,a66", seed: 2)
    let right = number(try tmpack("route", archive, "--embedding", test, "--json").json()["right"])
    #expect(try tmpack("report", archive, "--quick", "--embedding", test, "-o", folder("r.html")).code == 0)
    let page = String(decoding: try contents(folder("r.html")), as: UTF8.self)
    #expect(page.contains("Right: \(Int(right)) of 64 inputs"))
    #expect(page.contains("b44 taken for b44") && page.contains("a66 taken for b44"))
    let other = try embeddings("other.safetensors", rows: 6, classes: "x,y", seed: 2)
    #expect(try tmpack("report", archive, "--embedding", other, "-o", folder("s.html")).code == 1)
    #expect(try tmpack("report", archive, "--embedding", test, "-o", test, "--force").code == 1)
  }

  // A vector of integers that is no labels, or labels of other classes, must not keep inputs from being routed.
  @Test func routesWhateverTheLabelsMean() throws {
    let archive = try routed("--model", "linear")
    let other = try embeddings("other.safetensors", rows: 6, classes: "x,y", seed: 2)
    let run = try tmpack("route", archive, "--embedding", other, "--json")
    #expect(run.code == 0 && run.talk.contains("'x'"))
    #expect(try run.json()["right"] == nil)
  }

  @Test func sameSeedsGiveTheSameArchive() throws {
    let first = try contents(routed("--seed", "3"))
    #expect(try contents(routed("--seed", "3")) == first)
    #expect(try contents(routed("--seed", "4")) != first)
  }

  @Test func unpacksWhatTheRouterSays() throws {
    let archive = try routed()
    try writeModel([tensor("x", .f32, [3], [4, 0, 0])], to: folder("one.npy"))
    let out = folder("mix.safetensors")
    let receipt = folder("mix.json")
    let run = try tmpack(
      "unpack", archive, "--embedding", folder("one.npy"), "--top", "1", "--no-fallback", "-o", out, "--receipt",
      receipt)
    #expect(run.code == 0, "\(run.talk)")
    #expect(run.talk.contains("b44=1"))
    #expect(try tmpack("compare", out, "\(archive)#b44", "--require-equal").code == 0)
    let proved = try tmpack("verify", archive, "--receipt", receipt, "--embedding", folder("one.npy"))
    #expect(proved.code == 0 && proved.output.contains("is proved"))
    // Nothing is replaced unasked, and nothing is made then.
    #expect(
      try tmpack("unpack", archive, "--shared", "-o", folder("other"), "--receipt", receipt).code == 1)
    #expect(!folder.names.contains("other"))
    // Of another archive.
    #expect(try tmpack("router", "remove", archive).code == 0)
    let wrong = try tmpack("verify", archive, "--receipt", receipt)
    #expect(wrong.code == 2 && wrong.talk.contains("receipt"))
    #expect(try tmpack("unpack", archive, "--embedding", folder("one.npy"), "-o", folder("x")).code == 1)
  }

  @Test func receiptsOfOtherSelections() throws {
    let archive = try zoo(in: folder, "--exact")
    for (number, options) in [
      ["--expert", "a66", "--exact"], ["--weights", "a66=0.25,b44=-1", "--dtype", "bf16"], ["--shared"],
      ["--expert", "b44", "--tensors", "dense*"],
    ].enumerated() {
      let (out, receipt) = (folder("\(number).npz"), folder("\(number).json"))
      let arguments = ["unpack", archive, "-o", out, "--receipt", receipt] + (number == 1 ? [] : options)
      // NPZ has no BF16.
      let run = try Child(
        toolPath, number == 1 ? ["unpack", archive, "-o", folder("1.pt"), "--receipt", receipt] + options : arguments
      ).wait()
      #expect(run.code == 0, "\(run.talk)")
      #expect(try tmpack("verify", archive, "--receipt", receipt).code == 0, "\(options)")
    }
    var text = String(decoding: try contents(folder("1.json")), as: UTF8.self)
    text = text.replacing("\"weight\": \"0.25\"", with: "\"weight\": \"0.5\"")
    try put(Array(text.utf8), at: folder("1.json"))
    let run = try tmpack("verify", archive, "--receipt", folder("1.json"), "--json")
    #expect(try run.code == 2 && (run.jsonError())["code"] == "digest-mismatch")
  }

  @Test func expertsOfARouterStay() throws {
    let archive = try routed()
    let refused = try tmpack("remove", archive, "b44", "--json")
    #expect(try refused.code == 1 && (refused.jsonError())["expert"] == "b44")
    let added = try tmpack("add", archive, "--expert", "c07=\(c07)")
    #expect(added.code == 0 && added.talk.contains("no class for c07"))
    #expect(try tmpack("remove", archive, "c07").code == 0)
    #expect(try tmpack("inspect", archive).output.contains("router  mlp"))
    #expect(try tmpack("remove", archive, "b44", "--drop-router").code == 0)
    #expect(try !tmpack("inspect", archive).output.contains("router"))
    #expect(try tmpack("verify", archive, "--deep").code == 0)
  }

  @Test func refusesOtherExpertsByName() throws {
    let archive = try zoo(in: folder)
    let train = try embeddings("train.safetensors", rows: 50, classes: "math,a66", seed: 1)
    let run = try tmpack("router", "fit", archive, "--embeddings", train, "--json")
    #expect(try run.code == 1 && (run.jsonError())["code"] == "unknown-name")
    #expect(run.talk.contains("'math'"))
    #expect(try tmpack("router", "fit", archive, "--embeddings", train, "--classes", "b44,a66").code == 0)
    // A router that is there is not replaced unasked.
    let again = try tmpack("router", "fit", archive, "--embeddings", train, "--classes", "b44,a66", "--json")
    #expect(try again.code == 1 && (again.jsonError())["code"] == "output-exists")
    #expect(
      try tmpack(
        "router", "fit", archive, "--embeddings", train, "--classes", "a66,b44", "--force", "--model", "linear"
      )
      .code == 0)
    #expect(try tmpack("inspect", archive).output.contains("classes a66, b44"))
  }

  @Test func importsAStateDictionary() throws {
    let archive = try zoo(in: folder)
    let state = folder("router.pt")
    try writeModel(
      [tensor("0.weight", .f32, [2, 3], [1, 0, 0, 0, 1, 0]), tensor("0.bias", .f32, [2], [0, 0])], to: state)
    let test = try embeddings("test.safetensors", rows: 100, classes: "b44,a66", seed: 2)
    let run = try tmpack(
      "router", "import", archive, state, "--classes", "b44,a66", "--validation", test, "--fallback-rate", "0", "--json"
    )
    #expect(run.code == 0, "\(run.talk)")
    let router = try object(run.json()["router"])
    #expect(router["kind"] == "linear" && number(router["accuracy"]) > 0.9 && router["fallback_entropy"] == nil)
    #expect(try tmpack("route", archive, "--embedding", test, "--group-size", "7").code == 0)
    let other = try tmpack("router", "import", archive, state, "--classes", "b44,a66,c07", "--force", "--json")
    #expect(try other.code == 1 && (other.jsonError())["code"] == "shape-mismatch")
    try writeModel([tensor("x", .f32, [2, 4], noise(8, seed: 1))], to: folder("wide.npy"))
    let wide = try tmpack("route", archive, "--embedding", folder("wide.npy"), "--json")
    #expect(try wide.code == 1 && (wide.jsonError())["code"] == "shape-mismatch")
  }

  // TMP-11-8
  @Test func refusesLogitsThatOverflow() throws {
    let archive = try zoo(in: folder)
    let state = folder("router.pt")
    let huge = [1e38, 0, 0, 1e38]
    try writeModel(
      [tensor("0.weight", .f32, [2, 3], [1e38, 0, 0, 0, 1e38, 0])]
        + (1..<8).map { try tensor("\($0).weight", .f32, [2, 2], huge) }, to: state)
    let test = try embeddings("test.safetensors", rows: 8, classes: "a66,b44", seed: 2)
    let fitting = ["router", "import", archive, state, "--temperature", "1e-6", "--json"]
    let refused = try Child(toolPath, fitting + ["--validation", test]).wait()
    #expect(try refused.code == 1 && refused.jsonError()["code"] == "non-finite", "\(refused.talk)")
    #expect(try Child(toolPath, fitting).wait().code == 0)
    let routed = try tmpack("route", archive, "--embedding", test, "--json")
    #expect(try routed.code == 1 && routed.output.isEmpty && routed.jsonError()["code"] == "non-finite")
    #expect(try routed.jsonError()["file"] == .string(archive))
    #expect(try tmpack("route", archive, "--embedding", test, "--temperature", "1").code == 0)
  }

  @Test(arguments: [
    ["route", "A"], ["route", "A", "--embedding", "E", "--group", "all", "--group-size", "2"],
    ["route", "A", "--embedding", "E", "--group-size", "0"], ["route", "A", "--embedding", "E", "--top", "0"],
    ["route", "A", "--embedding", "E", "--threshold", "2"], ["route", "A", "--embedding", "E", "--temperature", "0"],
    ["route", "A", "--embedding", "E", "--fallback-entropy", "0.5", "--no-fallback"],
    ["unpack", "A", "--shared", "--top", "1", "-o", "x"], ["unpack", "A", "--shared", "--embedding", "E", "-o", "x"],
    ["verify", "A", "--embedding", "E"], ["router", "fit", "A"], ["router", "fit", "A", "--embeddings", "E"],
    ["router", "fit", "A", "--embeddings", "E", "--force", "--hidden", "0"],
    ["router", "fit", "A", "--embeddings", "E", "--force", "--holdout", "1"],
    ["router", "fit", "A", "--embeddings", "E", "--force", "--validation", "E", "--holdout", "0.1"],
    ["router", "fit", "A", "--embeddings", "A", "--force"], ["router", "import", "A", "E", "--force"],
    ["router", "fit", "A", "--embeddings", "E", "--force", "--epochs", "9223372036854775807"],
    ["router", "import", "A", "E", "--temperature", "0", "--force"],
    ["router", "import", "A", "E", "--temperature", "1e-7", "--force"],
  ]) func usage(_ arguments: [String]) throws {
    let archive = try routed()
    let test = try embeddings("test.safetensors", rows: 8, classes: "b44,a66", seed: 2)
    let before = try contents(archive)
    let paths = ["A": archive, "E": test]
    let run = try Child(toolPath, arguments.map { paths[$0] ?? $0 } + ["--json"]).wait()
    // An archive is no file of embeddings, and embeddings are no network: 3.
    #expect([1, 3].contains(run.code), "\(run.talk)")
    #expect(try contents(archive) == before)
  }
}
