import TMPackByteIO
import TMPackCheckpoints
import TestSupport
import Testing

/// ZIP64, as other writers use it. Small files that have its fields are in `Fixtures/foreign`.
@Suite(.enabled(if: Python.runs("import zipfile"), "needs Python")) struct LargeZipTests {
  /// An entry behind the first 5 GiB, which are a hole.
  @Test(arguments: [InputMode.mmap, .read]) func readsBeyondFourGibibytes(_ mode: InputMode) throws {
    let folder = TemporaryFolder()
    let script = """
      import zipfile
      with open("\(folder("large.npz"))", "w+b") as file:
          file.truncate(5 << 30)
          file.seek(0)
          file.write(b"PK\\x03\\x04")
          with zipfile.ZipFile(file, "a") as archive:
              archive.write("\(Foreign.path("v1.npy"))", "a.npy")
      """
    let run = try #require(Python.run(["-c", script]))
    #expect(run.code == 0, "\(run.talk)")
    let source = try Checkpoint.open(folder("large.npz"), mode: mode).source
    let original = try Checkpoint.open(Foreign.path("v1.npy")).source
    #expect(source.tensors.map(\.name) == ["a"])
    #expect(try bytes(of: source, "a") == bytes(of: original, "arr_0"))
    #expect(try ReadableFile(folder("large.npz")).size > 5 << 30)
  }
}
