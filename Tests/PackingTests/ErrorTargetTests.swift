import ArchiveSupport
import TMPackCheckpoints
import TMPackMerging
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport
import Testing

/// `--error` for matrices that are too large for all their triplets: some are computed, and more where the target needs them.
@Suite struct ErrorTargetTests {
  private let folder = TemporaryFolder()
  private static let (rows, columns) = (530, 620)

  /// A few strong directions, and noise as strong as all of them together: few triplets for a coarse target, many for a fine one.
  private static func change(_ seed: UInt64) -> [Double] {
    var values = noise(rows * columns, scale: 0.01, seed: seed)
    for k in 0..<4 {
      let left = noise(rows, scale: 0.01 / Double(1 + k), seed: seed + UInt64(10 + k))
      let right = noise(columns, seed: seed + UInt64(20 + k))
      for i in 0..<rows { for j in 0..<columns { values[i * columns + j] += left[i] * right[j] } }
    }
    return values
  }

  @Test(arguments: [RateControl.Objective.leastError, .balanced], [0.8, 0.5, 0.1])
  func isMetWhateverRankItTakes(_ objective: RateControl.Objective, _ target: Double) throws {
    let base = noise(Self.rows * Self.columns, seed: 1)
    func model(_ values: [Double], _ name: String) throws -> Checkpoint {
      try writeModel(
        [
          tensor("w", .f32, [Self.rows, Self.columns], values),
          tensor("small", .f32, [40, 30], Array(values.prefix(1200))),
          tensor("bias", .f32, [300], Array(values.prefix(300))),
        ], to: folder("\(name).safetensors"))
    }
    let own = try model(zip(base, Self.change(2)).map { $0 + $1 }, "x")
    let packer = Packer(
      sharedModel: .merged(BaseModel()), rules: TensorRules(.controlled),
      rate: try RateControl(.error(target), objective: objective))
    _ = try packer.pack(
      base: model(base, "base"), experts: [ExpertInput(name: "x", checkpoint: own)], to: folder("x.tmpack"))
    let archive = try Archive(folder("x.tmpack"))
    let mix = try Reconstructor(archive).mix(weights("x=1"))
    var (lost, whole) = (0.0, 0.0)
    for name in ["bias", "small", "w"] {
      let (start, aim, found) = try (floats(model(base, "again"), name), floats(own, name), floats(mix, name))
      for index in start.indices {
        lost += (aim[index] - found[index]) * (aim[index] - found[index])
        whole += (aim[index] - start[index]) * (aim[index] - start[index])
      }
    }
    let error = (lost / whole).squareRoot()
    #expect(error <= target && error >= 0.98 * target, "\(error)")
  }

  private func floats(_ checkpoint: Checkpoint, _ name: String) throws -> [Double] {
    try floats(checkpoint.source, name)
  }

  private func floats(_ source: any TensorSource, _ name: String) throws -> [Double] {
    try source.bytes(of: source.tensor(named: name)!).withElements(of: Float.self) { $0.map(Double.init) }
  }
}
