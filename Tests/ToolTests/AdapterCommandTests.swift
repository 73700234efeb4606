import TMPackByteIO
import TestSupport
import Testing

/// PEFT adapters on the command line, in and out.
@Suite struct AdapterCommandTests {
  let folder = TemporaryFolder()

  private func fixture(_ path: String) -> String { "\(packageRoot)/Fixtures/foreign/peft/\(path)" }

  /// An archive with the fixture's adapter as `x`, on its base.
  private func archive(_ name: String) throws -> String {
    let path = folder("\(name).tmpack")
    let run = try tmpack(
      "pack", "--base", fixture("\(name)/base"), "--expert", "x=\(fixture("\(name)/adapter"))", "--shared", "base",
      "--factor-dtype", "f32", "-o", path)
    try #require(run.code == 0, "\(run.talk)")
    #expect(run.talk.contains("LoRA updates"))
    return path
  }

  @Test func packsComparesAddsAndVerifies() throws {
    let archive = try archive("gpt2")
    let adapter = fixture("gpt2/adapter")
    #expect(try tmpack("add", archive, "--expert", "y=\(adapter)").code == 0)
    #expect(try tmpack("verify", archive, "--source", "x=\(adapter)", "--source", "y=\(adapter)").code == 0)
    let run = try tmpack("compare", adapter, fixture("gpt2/merged.safetensors"), "--base", "\(archive)#", "--json")
    let error = try run.json()["relative_error"]
    guard case .number(let value) = error else { throw StorageError(.malformed, "no error") }
    #expect(value > 0 && value < 1e-7)
    // Another adapter is not the source.
    #expect(try tmpack("verify", archive, "--source", "x=\(fixture("gpt2/base"))").code == 2)
  }

  @Test func addsToAnotherSharedModelWithABase() throws {
    let archive = folder("z.tmpack")
    let (base, adapter) = (fixture("llama/base"), fixture("llama/adapter"))
    #expect(try tmpack("pack", "--base", base, "--expert", "x=\(adapter)", "-o", archive).code == 0)
    let run = try tmpack("add", archive, "--expert", "y=\(adapter)", "--json")
    #expect(run.code == 1)
    #expect(try run.jsonError()["message"] != nil && run.talk.contains("--base"))
    #expect(try tmpack("add", archive, "--expert", "y=\(adapter)", "--base", base).code == 0)
  }

  @Test func exportsWithTheSharedModel() throws {
    let archive = try archive("convolutions")
    let run = try tmpack("export", "--peft", "\(archive)#x", "-o", folder("lora"), "--shared-out", folder("shared"))
    #expect(run.code == 0, "\(run.talk)")
    #expect(try FileTree.names(in: folder("lora")) == ["adapter_config.json", "adapter_model.safetensors"])
    let compared = try tmpack(
      "compare", folder("lora"), fixture("convolutions/merged.safetensors"), "--base", folder("shared"), "--json")
    guard case .number(let value) = try compared.json()["relative_error"] else {
      throw StorageError(.malformed, "none")
    }
    #expect(value < 1e-6)
    // The adapter is refused before the shared model is written again.
    let again = try tmpack("export", "--peft", "\(archive)#x", "-o", folder("lora"), "--shared-out", folder("other"))
    #expect(again.code == 1 && !folder.names.contains("other"))
    #expect(try tmpack("export", "--peft", "\(archive)#x", "-o", folder("lora"), "--force").code == 0)
    // Neither an adapter with something beside it nor what is read is replaced.
    try put([1], at: folder("lora/trainer_state.json"))
    let other = try tmpack("export", "--peft", "\(archive)#x", "-o", folder("lora"), "--force")
    #expect(other.code == 1 && other.talk.contains("trainer_state.json"))
    let holder = try tmpack("export", "--peft", "\(archive)#x", "-o", folder(""), "--force")
    #expect(holder.code == 1 && holder.talk.contains("would replace what is read"))
    #expect(try contents(folder("lora/trainer_state.json")) == [1])
  }

  @Test func strictRefusesWhatIsLeftOut() throws {
    let archive = try archive("bert")
    let before = folder.names
    let run = try tmpack("export", "--peft", "\(archive)#x", "-o", folder("lora"), "--strict", "--json")
    #expect(run.code == 3)
    #expect(try run.jsonError()["tensor"] != nil)
    #expect(folder.names == before)
    #expect(try tmpack("export", "--peft", "\(archive)#x", "-o", folder("lora")).talk.contains("not in the adapter"))
    #expect(
      try tmpack("export", "--peft", "\(archive)#x", "-o", folder("all"), "--strict", "--modules-to-save").code == 0)
  }

  @Test func convertPointsToWhatAdaptersNeed() throws {
    let run = try tmpack("convert", fixture("llama/adapter"), folder("out"), "--json")
    #expect(run.code == 1)
    let error = try run.jsonError()
    #expect(error["code"] == "invalid-argument")
    guard case .string(let message) = error["message"] else { Issue.record("no message"); return }
    #expect(message.contains("is an adapter") && message.contains("--adapter"))
    #expect(folder.names.isEmpty)
  }

  @Test func convertsBetweenLayouts() throws {
    let base = fixture("llama/base")
    #expect(try tmpack("convert", fixture("llama/adapter"), folder("mlx"), "--adapter", "mlx").code == 0)
    #expect(try FileTree.names(in: folder("mlx")) == ["adapter_config.json", "adapters.safetensors"])
    #expect(try tmpack("convert", folder("mlx"), folder("peft"), "--adapter", "peft").code == 0)
    let compared = try tmpack("compare", folder("peft"), fixture("llama/adapter"), "--base", base, "--json")
    guard case .number(let error) = try compared.json()["relative_error"] else {
      throw StorageError(.malformed, "no error")
    }
    // Its scales differ, and are in B now.
    #expect(error < 1e-7)
    // An older adapter is replaced, what it was made of is not.
    #expect(try tmpack("convert", folder("mlx"), folder("peft"), "--adapter", "peft").code == 1)
    #expect(try tmpack("convert", folder("mlx"), folder("peft"), "--adapter", "peft", "--force").code == 0)
    #expect(try tmpack("convert", folder("mlx"), folder("mlx"), "--adapter", "peft", "--force").code == 1)
  }

  @Test func refusesWhatALayoutHasNoPlaceFor() throws {
    func fails(_ arguments: [String], _ code: Int32, _ word: String) throws {
      let run = try Child(toolPath, ["convert"] + arguments).wait()
      #expect(run.code == code && run.talk.contains(word), "\(arguments): \(run.code) \(run.talk)")
      #expect(folder.names.isEmpty)
    }
    let adapter = fixture("llama/adapter")
    try fails([adapter, folder("x"), "--adapter", "diffusers"], 1, "--component")
    try fails([adapter, folder("x"), "--adapter", "kohya", "--component", "unet"], 1, ".safetensors at its end")
    try fails([adapter, folder("x.safetensors"), "--adapter", "mlx"], 1, "folder")
    try fails([adapter, folder("x"), "--adapter", "mlx", "--dtype", "f16"], 1, "--adapter goes with")
    try fails([adapter, folder("x"), "--adapter", "mlx", "--tensors", "nothing"], 1, "no module's name matches")
    try fails([fixture("llama/base"), folder("x"), "--adapter", "mlx"], 1, "is no adapter")
    try fails([fixture("convolutions/adapter"), folder("x"), "--adapter", "mlx"], 3, "convolution")
  }

  @Test func namesWhatIsWrong() throws {
    let archive = try archive("llama")
    func fails(_ arguments: [String], _ code: Int32, _ word: String) throws {
      let run = try Child(toolPath, arguments).wait()
      #expect(run.code == code && run.talk.contains(word), "\(arguments): \(run.code) \(run.talk)")
    }
    try fails(["export", "--peft", archive, "-o", folder("l")], 1, "#NAME")
    try fails(["export", "--peft", "\(archive)#y", "-o", folder("l")], 1, "y")
    try fails(["export", "--peft", "\(archive)#", "-o", folder("l")], 1, "low-rank")
    try fails(["export", "--peft", "\(archive)#x", "-o", folder("l"), "--rank", "0"], 1, "--rank")
    try fails(["export", "--peft", "\(archive)#x", "-o", folder("l"), "--dtype", "f64"], 1, "--dtype")
    try fails(["compare", fixture("llama/adapter"), fixture("llama/base")], 1, "--base")
    try fails(
      ["pack", "--base", base, "--expert", "x=\(fixture("llama/adapter"))", "-o", folder("n")], 1, "which is not in")
    try FileTree.makeFolder(folder("bad"))
    try put(Array("{}".utf8), at: folder("bad/adapter_config.json"))
    try put(contents(fixture("llama/adapter/adapter_model.safetensors")), at: folder("bad/adapter_model.safetensors"))
    try fails(
      ["compare", folder("bad"), fixture("llama/base"), "--base", fixture("llama/base")], 2, "adapter_config.json")
  }
}
