import TMPackByteIO
import TMPackCheckpoints
import TMPackMerging
import TMPackTensorKit
import TestSupport
import Testing

/// Each method against the independent implementation of its paper in `Tests/reference`.
@Suite struct MergingReferenceTests {
  private static let isPossible = Python.runs("import numpy, safetensors.numpy")

  @Test(
    .enabled(if: isPossible, "needs python3 with the packages numpy and safetensors"), arguments: MergingModel.allCases)
  func agreesWithReference(_ model: MergingModel) throws {
    let folder = TemporaryFolder()
    let paths = try model.paths(in: folder)
    var jobs = ""
    var expected: [(MergingCase, any TensorSource)] = []
    for (index, example) in MergingCase.all.enumerated() {
      let paths = paths.keeping(example.experts)
      let sources = try sources(paths, example, folder, index)
      expected.append((example, try SharedModelSource(sources.0, method: try example.make())))
      var words = [example.method, "--base", paths.base, "-o", folder("out-\(index).safetensors")]
      for expert in paths.experts { words += ["--expert", "\(expert.name)=\(expert.path)"] }
      for setting in example.settings { words += ["--set", setting] }
      for (name, path) in sources.1 { words += ["--statistics", "\(name)=\(path)"] }
      jobs += words.joined(separator: " ") + "\n"
    }
    try put(Array(jobs.utf8), at: folder("jobs"))
    let script = FileTree.join(packageRoot, "Tests/reference/merge.py")
    let run = try #require(Python.run([script, "--jobs", folder("jobs")]))
    try #require(run.code == 0, "\(run.talk)")

    for (index, (example, ours)) in expected.enumerated() {
      let theirs = try Checkpoint.open(folder("out-\(index).safetensors")).source
      #expect(ours.tensors.map(\.name) == theirs.tensors.map(\.name))
      for info in ours.tensors where info.dtype.floatFormat != nil && info.shape.elementCount > 0 {
        let (own, reference) = (try values(ours, info), try values(theirs, info))
        let error = zip(own, reference).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        let norm = reference.reduce(0) { $0 + $1 * $1 }.squareRoot()
        // Both sides round the same binary64 value, but for its last bits; halves then differ by a unit at worst.
        let tolerance = info.dtype == .f16 ? max(example.tolerance, 1e-4) : example.tolerance
        #expect(error <= tolerance * norm, "\(example), \(info.name): \(error / norm)")
      }
    }
  }

  /// Opens the checkpoints, and writes and opens the statistics that the case asks for.
  private func sources(
    _ paths: MergingModel.Paths, _ example: MergingCase, _ folder: TemporaryFolder, _ index: Int
  ) throws -> (MergeSources, statistics: [(name: String, path: String)]) {
    let base = try Checkpoint.open(paths.base).source
    let plain = MergeSources(
      base: base,
      experts: try paths.experts.map { .init(name: $0.name, source: try Checkpoint.open($0.path).source) })
    guard let measured = try example.statistics?(plain) else { return (plain, []) }
    var files: [(String, String)] = []
    var experts: [MergeSources.Expert] = []
    for expert in plain.experts {
      let path = folder("statistics-\(index)-\(expert.name).safetensors")
      try writeModel(measured[expert.name] ?? [], to: path)
      files.append((expert.name, path))
      experts.append(.init(name: expert.name, source: expert.source, statistics: try Checkpoint.open(path).source))
    }
    return (MergeSources(base: base, experts: experts), files)
  }

  private func values(_ source: any TensorSource, _ info: TensorInfo) throws -> [Double] {
    var values = [Double](repeating: 0, count: info.shape.elementCount)
    try source.bytes(of: info).withBytes { raw in
      values.withUnsafeMutableBufferPointer { info.dtype.floatFormat!.widen(raw, into: $0) }
    }
    return values
  }
}
