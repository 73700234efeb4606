import ArchiveSupport
import TMPackByteIO
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// Our archives in the reader of `Spec/reader`, which was written from the specification alone.
@Suite(
  .enabled(
    if: PythonReader.isAvailable,
    "needs python3 with the packages zstandard and numpy")) struct PythonReaderTests
{
  @Test func agreesOnGoldenFiles() throws {
    let jobs = Golden.all.flatMap { golden in
      golden.mixes.map { PythonReader.Job(archive: golden.path, base: golden.base ?? "", weights: $0.weights) }
    }
    let expected = Golden.all.flatMap { $0.mixes.map(\.digests) }
    for (job, (actual, expected)) in zip(jobs, zip(try PythonReader.run(jobs), expected)) {
      #expect(actual == expected, "\(job)")
    }
  }

  // TMP-7-14
  @Test func agreesOnExactExperts() throws {
    let expected = Golden.all.flatMap { golden in golden.exact.map { (golden, $0) } }
    let jobs = expected.map { PythonReader.Job(archive: $0.path, weights: "\($1.expert)=1", dtype: "exact") }
    #expect(!jobs.isEmpty)
    for (lines, (_, exact)) in zip(try PythonReader.run(jobs), expected) { #expect(lines == exact.digests) }
  }

  @Test func findsGoldenFilesSound() throws {
    let jobs = Golden.all.map { PythonReader.Job(archive: $0.path, base: $0.base ?? "", dtype: "verify") }
    for (job, lines) in zip(jobs, try PythonReader.run(jobs)) {
      #expect(!lines[0].hasPrefix("fault"), "\(job) \(lines)")
    }
  }

  // TMP-7-12: other dtypes, and weights that round or overflow.
  @Test func agreesOnOtherDTypesAndWeights() throws {
    let names = [
      "low-rank-f32", "low-rank-i4", "dense-bf16", "sparse-i4", "difference-f64", "difference-f16", "replaced",
      "quantized-low-rank", "quantized", "layered", "masked", "dropped", "quantized-own",
    ]
    let golden = Golden.all.filter { names.contains($0.name) }
    let formats: [(String, FloatFormat)] = [("F64", .f64), ("F32", .f32), ("F16", .f16), ("BF16", .bf16)]
    let numbers = ["0.1", "-0.30000001192092896", "3e38", "1e-45", "1", "65504.5", "-0"]
    var jobs: [(PythonReader.Job, Golden, FloatFormat)] = []
    for golden in golden {
      let experts = try golden.open().experts.map(\.name)
      for (round, number) in numbers.enumerated() {
        let text = experts.map { "\($0)=\($0 == experts[0] ? number : numbers[(round * 3 + 1) % numbers.count])" }
        let (dtype, format) = formats[round % 4]
        jobs.append(
          (PythonReader.Job(archive: golden.path, weights: text.joined(separator: ","), dtype: dtype), golden, format))
      }
    }
    for ((job, golden, format), lines) in zip(jobs, try PythonReader.run(jobs.map(\.0))) {
      let mix = try Reconstructor(golden.open()).mix(weights(job.weights), dtype: format)
      #expect(try digests(of: mix) == lines, "\(job)")
    }
  }

  // Random models, dtypes, plans and weights; a second generation too.
  @Test func agreesOnFreshArchives() throws {
    let folder = TemporaryFolder()
    var jobs: [PythonReader.Job] = []
    for seed in 0..<24 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      let sample = try RandomModels(using: &random, in: folder, name: "m\(seed)")
      try sample.pack()
      jobs.append(PythonReader.Job(archive: sample.archivePath, dtype: "verify"))
      for _ in 0..<4 {
        jobs.append(PythonReader.Job(archive: sample.archivePath, weights: sample.weights(using: &random)))
      }
    }
    for (job, lines) in zip(jobs, try PythonReader.run(jobs)) {
      if job.dtype == "verify" {
        #expect(!lines[0].hasPrefix("fault"), "\(lines)")
      } else {
        let mix = try Reconstructor(Archive(job.archive)).mix(weights(job.weights))
        #expect(try digests(of: mix) == lines, "\(job)")
      }
    }
  }

  // A reader that does not answer must not make tests pass that go through its answers.
  @Test func aReaderThatFailsIsNoReader() throws {
    #expect(try PythonReader.run([]).isEmpty)
    let job = PythonReader.Job(archive: "more\tthan\tfour\tfields\there")
    #expect(throws: StorageError.self) { try PythonReader.run([job]) }
  }

  // The command line that the specification's readers are told of.
  @Test func runsByItself() throws {
    let golden = try #require(Golden.all.first { $0.name == "files" })
    let program = FileTree.join(PythonReader.folder, "tmpack_reader.py")
    let result = try #require(Python.run(["-B", program, golden.path, "unpack", "--weights=a=1", "--digests"]))
    #expect(result.code == 0, "\(result.talk)")
    #expect(result.output.split(separator: "\n").map(String.init) == golden.mixes[1].digests)
    #expect(Python.run(["-B", program, program, "verify"])?.code == 2)
  }
}
