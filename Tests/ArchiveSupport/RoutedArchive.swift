import TMPackArchiveFormat
import TMPackFactorization
import TMPackPacking
import TMPackReading
import TestSupport

/// An archive of experts of these names, in a folder of its own.
package struct RoutedArchive {
  package let folder = TemporaryFolder()
  package var path: String { folder("zoo.tmpack") }

  package init(_ names: [String]) throws {
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

  package func open() throws -> Archive { try Archive(path) }
}

package let noProvenance = Provenance(tool: "test", options: [:], sources: [])
