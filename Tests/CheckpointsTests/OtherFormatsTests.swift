import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// What is refused says what it is, and what to do.
@Suite struct OtherFormatsTests {
  let folder = TemporaryFolder()

  private func failure(of name: String) -> StorageError? {
    TestSupport.failure { _ = try Checkpoint.open(folder(name)) }
  }

  @Test(arguments: [
    ("m.onnx", "ONNX"), ("m.msgpack", "Flax"), ("m.pb", "TensorFlow"), ("m.tflite", "Lite"),
    ("m.ckpt.index", "TensorFlow"),
  ]) func filesByTheirNames(_ name: String, _ word: String) throws {
    try put([8, 7, 18, 0], at: folder(name))
    let error = failure(of: name)
    #expect(error?.code == .unsupportedFeature)
    #expect(error?.message.contains(word) == true)
    // A name tells only where the content does not.
    try CheckpointDestination(folder("w.safetensors"), replacing: true).write(source([info("w", .f32, [2])]))
    try put(contents(folder("w.safetensors")), at: folder(name))
    #expect(failure(of: name) == nil)
  }

  @Test func filesByTheirContent() throws {
    try put([0x89] + Array("HDF\r\n".utf8) + [0x1A, 0x0A] + [UInt8](repeating: 0, count: 64), at: folder("x"))
    #expect(failure(of: "x")?.message.contains("Keras") == true)
    try put([1, 2, 3], at: folder("y"))
    #expect(failure(of: "y")?.code == .unknownFormat)
  }

  @Test(arguments: [
    (["_METADATA", "manifest.ocdbt"], "Orbax", StorageError.Code.unsupportedFeature),
    (["saved_model.pb"], "SavedModel", .unsupportedFeature), ([], "empty", .unknownFormat),
    (["notes.txt"], "no weights", .unknownFormat), (["m.onnx"], "m.onnx", .unsupportedFeature),
  ]) func folders(_ names: [String], _ word: String, _ code: StorageError.Code) throws {
    try FileTree.makeFolder(folder("f"))
    for name in names { try put([1], at: folder("f/\(name)")) }
    let error = failure(of: "f")
    #expect(error?.code == code)
    #expect(error?.message.contains(word) == true)
  }

  @Test func aFolderOfCheckpointsNamesOne() throws {
    for name in ["run", "run/checkpoint-500", "run/logs"] { try FileTree.makeFolder(folder(name)) }
    try CheckpointDestination(folder("run/checkpoint-500/model.safetensors")).write(source([info("w", .f32, [2])]))
    let error = failure(of: "run")
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.contains("checkpoint-500") == true && error?.message.contains("logs") == false)
    #expect(failure(of: "run/checkpoint-500") == nil)
  }

  /// As `numpy.savez(a=…, names=…)` with text makes it.
  @Test(.enabled(if: Python.runs("import numpy"), "needs python3 with numpy"))
  func arraysOfTextAreLeftOut() throws {
    let script = """
      import numpy, sys
      numpy.savez(sys.argv[1], a=numpy.ones((2, 3), "f4"), names=numpy.array(["x", "yy"]), o=numpy.array([{}], dtype=object))
      numpy.savez(sys.argv[2], names=numpy.array(["x", "yy"]))
      """
    try put(Array(script.utf8), at: folder("make.py"))
    #expect(try #require(Python.run([folder("make.py"), folder("a.npz"), folder("b.npz")])).code == 0)
    let read = try Checkpoint.open(folder("a.npz"))
    #expect(read.source.tensors.map(\.name) == ["a"])
    #expect(read.notes.contains { $0.contains("2 arrays of text or objects") && $0.contains("names") })
    #expect(failure(of: "b.npz")?.code == .unsupportedFeature)
  }
}
