import TMPackCheckpoints
import TMPackTensorKit
import TestSupport
import Testing

/// Large tensors go by in parts, from file to file; the bytes are those that whole tensors from memory give.
@Suite struct TensorStreamTests {
  static let suffixes = ["safetensors", "pt", "npz", "gguf"]

  private func model() throws -> MemoryTensorSource {
    var random = SeededGenerator(seed: 5)
    func tensor(_ name: String, _ dtype: DType, _ shape: [Int]) throws -> (info: TensorInfo, bytes: TensorBytes) {
      let info = try TensorInfo(name: name, dtype: dtype, shape: Shape(shape))
      return (info, TensorBytes(random.bytes(info.byteCount)))
    }
    // Less than a part, one to the byte, several with a rest, and small ones between.
    return try MemoryTensorSource([
      tensor("a", .f32, [65, 1024]), tensor("b", .f32, [128, 1024]), tensor("c", .f32, [3]),
      tensor("d", .f32, [411, 1021]), tensor("e", .i8, [262_145]), tensor("f", .f32, [0, 3]),
      tensor("g", .i8, [524_289]),
    ])
  }

  @Test(arguments: suffixes, suffixes) func partsMakeTheSameBytesAsWholes(_ from: String, _ to: String) throws {
    let folder = TemporaryFolder()
    let model = try model()
    try CheckpointDestination(folder("whole.\(to)")).write(model)
    try CheckpointDestination(folder("in.\(from)")).write(model, threads: 1)
    let expected = try contents(folder("whole.\(to)"))
    for threads in [1, 3] {
      let input = try Checkpoint.open(folder("in.\(from)"), mode: threads == 1 ? .read : .mmap).source
      #expect(try input.tensors.contains { try input.stored($0) != nil })
      var progress: [UInt64] = []
      let output = folder("out-\(threads).\(to)")
      try CheckpointDestination(output).write(input, threads: threads) { done, total in
        progress.append(done)
        #expect(done <= total)
      }
      #expect(progress == progress.sorted())
      #expect(progress.last == model.tensors.reduce(0) { $0 + UInt64($1.byteCount) })
      let isSame = try contents(output) == expected
      #expect(isSame, "\(threads) threads")
    }
  }

  /// A bit that is wrong in the last part is found, though the parts before it are written by then.
  @Test(arguments: ["pt", "npz"], suffixes) func refusesBytesThatTheirChecksumDoesNotFit(
    _ from: String, _ to: String
  ) throws {
    let folder = TemporaryFolder()
    let path = folder("in.\(from)")
    try CheckpointDestination(path).write(model())
    let intact = try Checkpoint.open(path).source
    let info = try #require(intact.tensor(named: "d"))
    let stored = try #require(try intact.stored(info))
    var bytes = try contents(path)
    bytes[Int(stored.range.offset) + info.byteCount - 1] ^= 1
    try put(bytes, at: path)
    let damaged = try Checkpoint.open(path).source
    let error = failure { try CheckpointDestination(folder("out.\(to)")).write(damaged) }
    #expect(error?.code == .digestMismatch)
    #expect(error?.tensor == "d" && error?.file == path)
    #expect(folder.names == ["in.\(from)"])
  }
}
