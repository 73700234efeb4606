import TMPackArchiveFormat
import TMPackFactorization
import TMPackPacking
import TMPackReading
import TestSupport

/// Inputs of some classes: Gaussian blobs around centres of their own, on scales that differ by number.
struct Blobs {
  let embeddings: Embeddings
  let labels: [Int]

  /// - Parameter spread: of a blob; the centres are about 2 apart in each number.
  init(classes: Int, dimension: Int, each count: Int, spread: Double = 1, seed: UInt64) throws {
    var random = SeededGenerator(seed: 99)
    let centers = (0..<classes).map { _ in (0..<dimension).map { _ in Float(2 * random.noise()) } }
    random = SeededGenerator(seed: seed)
    var values: [Float] = []
    var labels: [Int] = []
    for row in 0..<count * classes {
      let label = row % classes
      for j in 0..<dimension {
        let x = centers[label][j] + Float(spread) * random.noise()
        values.append(x * (j == 1 ? 100 : 1) + (j == 2 ? 1000 : 0))
      }
      labels.append(label)
    }
    self.labels = labels
    embeddings = try Embeddings(values, dimension: dimension, labels: labels)
  }

  func labelled(_ classes: [String]) throws -> LabelledEmbeddings {
    try LabelledEmbeddings(embeddings, classes: classes)
  }
}

/// An archive of experts of these names, in a folder of its own.
struct RoutedArchive {
  let folder = TemporaryFolder()
  var path: String { folder("zoo.tmpack") }

  init(_ names: [String]) throws {
    func model(_ seed: UInt64) throws -> [SampleTensor] {
      try [
        tensor("w", .f32, [6, 5], noise(30, seed: seed)), tensor("b", .bf16, [6], noise(6, seed: seed + 50)),
        tensor("same", .f32, [2], [1, 2]), tensor("ids", .i64, [2], bytes: lanes([Int64(seed), 2])),
      ]
    }
    let base = try writeModel(model(1), to: folder("base.safetensors"))
    let experts = try names.enumerated().map { number, name in
      try ExpertInput(
        name: name, checkpoint: writeModel(model(UInt64(number + 2)), to: folder("\(number).safetensors")))
    }
    _ = try Packer(rules: TensorRules(.factor(try FactorPlan(.lowRank(rank: 2), dtype: .f32))))
      .pack(base: base, experts: experts, to: path)
  }

  func open() throws -> Archive { try Archive(path) }
}

let noProvenance = Provenance(tool: "test", options: [:], sources: [])
