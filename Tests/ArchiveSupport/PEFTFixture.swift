import TMPackByteIO
import TMPackCheckpoints
import TMPackFactorization
import TMPackMerging
import TMPackModels
import TMPackPacking
import TMPackReading
import TMPackTensorKit
import TestSupport

/// Adapters that peft made, with what its `merge_and_unload` makes of them (`Fixtures/foreign/make_peft.py`).
package enum PEFTFixture: String, CaseIterable, Sendable {
  case llama
  case embeddings = "rslora-embeddings"
  case gpt2
  case bert
  case convolutions
  case dora
  case bf16

  package func path(_ name: String) -> String {
    FileTree.join(packageRoot, "Fixtures/foreign/peft/\(rawValue)/\(name)")
  }

  package func base() throws(StorageError) -> Checkpoint { try Checkpoint.open(path("base")) }

  package func adapter() throws(StorageError) -> Checkpoint {
    try Checkpoint.open(path("adapter"), onBase: try AdapterBase(base()))
  }

  /// Of what the largest element is: float32's accuracy, or that of a base in bfloat16, where peft also rounds B · A.
  package var tolerance: Double { self == .bf16 ? 0x1p-7 : 1e-6 }

  /// An archive with the adapter as the expert `x`.
  package func pack(
    to path: String, _ plan: FactorPlan.Method = .lowRank(rank: 8), _ dtype: FactorDType = .f32,
    shared: any MergingMethod = BaseModel()
  ) throws -> Archive {
    let rules = TensorRules(.factor(try FactorPlan(plan, dtype: dtype, keepsKnownRank: true)))
    let expert = try ExpertInput(name: "x", checkpoint: adapter())
    let packer = Packer(sharedModel: .merged(shared), rules: rules)
    _ = try packer.pack(base: base(), experts: [expert], to: path, replacing: true)
    return try Archive(path)
  }
}
