import TMPackModels
import TMPackTensorKit
import Testing

@Suite struct ModuleKindsTests {
  /// GPT-2's `Conv1D` keeps [inputs, outputs]; its bias, as long as the columns, tells.
  @Test func aBiasAsLongAsTheColumnsTellsATransposedWeight() throws {
    let tensors = try [
      TensorInfo(name: "h.0.c_fc.bias", dtype: .f32, shape: Shape([12])),
      TensorInfo(name: "h.0.c_fc.weight", dtype: .f32, shape: Shape([4, 12])),
      TensorInfo(name: "h.0.q.weight", dtype: .f32, shape: Shape([12, 4])),
    ]
    let modules = AdaptableModules(in: tensors, embeddings: [], heads: [])
    #expect(modules.kind(of: tensors[1]) == .transposed)
    #expect(modules.kind(of: tensors[2]) == .linear)
  }

  /// Fuyu and ProphetNet have linear layers that are called so.
  @Test func whatHasABiasIsNoEmbedding() throws {
    let tensors = try [
      TensorInfo(name: "embed_tokens.weight", dtype: .f32, shape: Shape([12, 4])),
      TensorInfo(name: "vision_embed_tokens.bias", dtype: .f32, shape: Shape([12])),
      TensorInfo(name: "vision_embed_tokens.weight", dtype: .f32, shape: Shape([12, 4])),
    ]
    let modules = AdaptableModules(in: tensors, embeddings: [try Glob("*embed_tokens")], heads: [])
    #expect(modules.kind(of: tensors[0]) == .embedding)
    #expect(modules.kind(of: tensors[2]) == .linear)
  }
}
