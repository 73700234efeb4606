import TMPackByteIO
import TMPackJSON
import TestSupport
import Testing

/// What `--json` prints is what `Spec/json.md` lists.
@Suite struct JSONTests {
  let folder = TemporaryFolder()

  /// Members that are names of the user's, of factors or of options.
  static let openObjects: Set<String> = [
    "factors", "options", "parameters", "dtypes", "ties", "weights", "probabilities",
  ]

  private func memberNames(_ value: JSONValue) -> Set<String> {
    switch value {
    case .object(let object):
      object.members.reduce(into: Set(object.names)) { names, member in
        if !Self.openObjects.contains(member.name) { names.formUnion(memberNames(member.value)) }
      }
    case .array(let array): array.reduce(into: []) { $0.formUnion(memberNames($1)) }
    default: []
    }
  }

  private func documentation(_ heading: String) throws -> String {
    let spec = String(decoding: try contents("\(packageRoot)/Spec/json.md"), as: UTF8.self)
    let sections = spec.split(separator: "\n## ")
    return String(try #require(sections.first { $0.prefix { $0 != "\n" } == heading }, "no heading \(heading)"))
  }

  /// The members at the top are those; all at any depth are in the documentation.
  private func expect(_ run: Run, _ heading: String, also: [String] = [], top: Set<String>) throws {
    let json = try run.json()
    #expect(Set(json.names) == top)
    let texts = try ([heading] + also).map { try documentation($0) }
    for name in memberNames(.object(json)) {
      #expect(texts.contains { $0.contains("`\(name)`") }, "\(heading) prints \(name), which is not documented")
    }
  }

  @Test func members() throws {
    let archive = try zoo(in: folder, "--exclude", "zz")
    let inspect: Set = ["archive", "bytes", "format", "generation", "root_digest", "shared", "experts"]
    try expect(try tmpack("inspect", archive, "--json"), "`inspect`", top: inspect)
    try expect(try tmpack("inspect", archive, "--json", "--tensors"), "`inspect`", top: inspect)
    let pack: Set = [
      "archive", "bytes", "input_bytes", "root_digest", "experts", "notes", "source_notes", "skipped_files",
      "unmatched", "unused_patterns",
    ]
    try expect(
      try tmpack("add", archive, "--expert", "c07=\(c07)", "--json"), "`pack` and `add`", also: ["`inspect`"],
      top: pack.union(["bytes_before"]))
    try expect(
      try tmpack("pack", "--base", base, "--expert", "c07=\(c07)", "-o", folder("x.tmpack"), "--json"),
      "`pack` and `add`", also: ["`inspect`"], top: pack.union(["ratio", "overflows"]))
    try expect(
      try tmpack("plan", "--base", base, "--expert", "c07=\(c07)", "--exact", "--json"), "`plan`",
      top: ["verdict", "shared", "experts", "bytes", "cost", "unmatched", "unused_patterns"])
    try expect(
      try tmpack(
        "plan", "--base", base, "--expert", c07, "--budget", "1kB", "-o", folder("p.tmpack"), "--json"), "`plan`",
      top: ["verdict", "reason", "shared", "experts", "cost", "unmatched", "unused_patterns"])
    try expect(
      try tmpack("unpack", archive, "--expert", "a66", "-o", folder("out"), "--json"), "`unpack`",
      top: ["output", "format", "tensors", "bytes", "overflows", "files", "notes"])
    let verify: Set = [
      "archive", "level", "sound", "root_digest", "usable_experts", "shared_usable", "proved_sources", "faults",
    ]
    try expect(try tmpack("verify", archive, "--source", "a66=\(a66)", "--json"), "`verify`", top: verify)
    let inputs = folder("inputs.safetensors")
    let row = (0..<40).map { Double($0 % 2) }
    try writeModel(
      [
        tensor("embeddings", .f32, [40, 2], zip(row, noise(40, seed: 1)).flatMap { [$0, $1] }),
        tensor("labels", .i64, [40], bytes: lanes(row.map { Int64($0) })),
      ], metadata: ["classes": "a66,b44"], to: inputs)
    let routed: Set = ["archive", "bytes", "bytes_before", "router", "notes"]
    for kind in ["mlp", "knn"] {
      try expect(
        try tmpack(
          "router", "fit", archive, "--embeddings", inputs, "--model", kind, "--hidden", "4", "--neighbours", "3",
          "--force", "--json"), "`router fit` and `router import`", also: ["`inspect`"], top: routed)
      try expect(try tmpack("inspect", archive, "--json"), "`inspect`", top: inspect.union(["router"]))
    }
    try expect(
      try tmpack("route", archive, "--embedding", inputs, "--json"), "`route`",
      top: [
        "archive", "router_digest", "temperature", "fallback_entropy", "groups", "labelled_groups", "right",
      ])
    try expect(
      try tmpack(
        "unpack", archive, "--embedding", inputs, "-o", folder("routed"), "--receipt", folder("receipt"), "--json"),
      "`unpack`",
      top: [
        "output", "format", "tensors", "bytes", "overflows", "files", "notes", "weights", "entropy", "fell_back",
        "receipt",
      ])
    let receipt = try object(String(decoding: contents(folder("receipt")), as: UTF8.self))
    for name in memberNames(.object(receipt)) {
      #expect(try documentation("Receipts").contains("`\(name)`"), "a receipt has \(name), which is not documented")
    }
    try expect(
      try tmpack("verify", archive, "--receipt", folder("receipt"), "--json"), "`verify`",
      top: verify.union(["proved_receipt"]))
    try expect(
      try tmpack("router", "remove", archive, "--json"), "`router remove`", top: ["archive", "bytes", "bytes_before"])
    try expect(
      try tmpack("compare", a66, b44, "--json"), "`compare`",
      top: ["equal", "relative_error", "only_left", "only_right", "tensors"])
    let peft = "\(packageRoot)/Fixtures/foreign/peft/llama"
    let adapted = folder("adapted.tmpack")
    try expect(
      try tmpack(
        "pack", "--base", "\(peft)/base", "--expert", "x=\(peft)/adapter", "--shared", "base", "-o", adapted, "--json"),
      "`pack` and `add`", also: ["`inspect`"], top: pack.union(["ratio", "overflows"]))
    try expect(
      try tmpack(
        "export", "--peft", "\(adapted)#x", "-o", folder("lora"), "--shared-out", folder("shared"), "--rank", "4",
        "--json"
      ), "`export`",
      top: [
        "output", "shared", "modules", "rank", "rank_pattern", "tensors", "bytes", "prefix", "modules_to_save",
        "whole_tensors", "left_out", "error", "worst_error", "worst_tensor",
      ])
    try expect(
      try tmpack("convert", a66, folder("a66.npz"), "--json"), "`convert`",
      top: ["output", "format", "tensors", "bytes", "ties", "overflows", "files", "notes"])
    let exact = folder("exact.tmpack")
    try expect(
      try tmpack("pack", "--base", base, "--expert", "a66=\(a66)", "--exact", "-o", exact, "--json"),
      "`pack` and `add`", also: ["`inspect`"], top: pack.union(["ratio", "overflows"]))
    try expect(try tmpack("inspect", exact, "--json", "--tensors"), "`inspect`", top: inspect)
    try expect(
      try tmpack("strip", exact, "--exact", "--json"), "`strip`", top: ["archive", "bytes", "bytes_before"])
    try expect(
      try tmpack("remove", archive, "a66", "--json"), "`remove`", top: ["archive", "bytes", "bytes_before"])
    try expect(
      try tmpack("doctor", "--json"), "`doctor`",
      top: [
        "version", "format", "zstd", "blas", "blas_core", "cpu_features", "cores", "memory_bytes", "free_disk_bytes",
        "leftovers",
      ])
    let tasks = folder("tasks.json")
    try expect(
      try tmpack("plan", "--base", base, "--expert", "a66=\(a66)", "--tasks", tasks, "--json"), "`plan --tasks`",
      top: ["tasks", "plan", "jobs", "cost"])
    try expect(
      try tmpack("run", tasks, "--task", "1/1", "-o", folder("1.part"), "--json"), "`run`",
      top: ["part", "bytes", "share", "shares", "jobs", "reused_jobs", "unmatched"])
    try expect(
      try tmpack("join", tasks, folder("1.part"), "-o", folder("joined.tmpack"), "--json"), "`pack` and `add`",
      also: ["`inspect`"], top: pack.union(["ratio", "overflows", "reused_jobs"]))
    let (bytes, copy) = (try contents(archive), folder("copy.tmpack"))
    try put(bytes, at: copy)
    try put(bytes.flipping(1, at: 20_000), at: archive)
    try expect(try tmpack("verify", archive, "--json"), "`verify`", also: ["Errors"], top: verify)
    try expect(
      try tmpack("repair", archive, "--from", copy, "-o", folder("mended.tmpack"), "--json"), "`repair`",
      top: [
        "archive", "root_digest", "experts", "restored", "dropped_experts", "dropped_router", "dropped_bytes",
      ])
  }

  @Test func everyCodeIsDocumented() throws {
    let text = try documentation("Errors")
    let exits: [StorageError.Family: Int] = [.usage: 1, .format: 2, .unsupported: 3, .inputOutput: 4, .limits: 5]
    for code in StorageError.Code.allCases {
      let line = text.split(separator: "\n").first { $0.contains("`\(code.rawValue)`") }
      #expect(line?.hasPrefix("| \(exits[code.family]!),") == true, "\(code)")
    }
  }
}
