import TMPackByteIO
import TMPackTensorKit

/// A file of tensors beside a model's own weights that the same network needs: the heads of BGE-M3 (`colbert_linear.pt`,
/// `sparse_linear.pt`), a value head (`value_head.safetensors`), LLaVA's `mm_projector.bin`.
///
/// It is a component that is called as the file, so that its tensors are `colbert_linear.pt/weight`, and it is written under that
/// name in that format, whatever the model's is. No list tells which files these are: one is taken for such a component if it is of
/// PyTorch or safetensors, smaller than the model, has none of the model's tensors, is no adapter, and has not one of the names that
/// libraries give to whole models and to the state of a training.
package enum ComponentFile {
  /// What the names of other things begin with.
  private static let others = [
    "model", "pytorch_model", "diffusion_pytorch_model", "tf_model", "flax_model", "consolidated", "adapter",
    "pytorch_lora_weights", "mp_rank_", "zero_pp_rank_", "bf16_zero_pp_rank_", "random_states",
  ]

  /// The file that a tensor of a folder is in; nil for one of the model's own weights, or of a component with a folder.
  package static func name(inTensor tensor: String) -> String? {
    guard let end = tensor.firstIndex(of: Character(PipelineSource.separator)) else { return nil }
    let name = String(tensor[..<end])
    return format(of: name) != nil && (try? CarriedFileName(name)) != nil ? name : nil
  }

  /// nil for a format that no such file is in.
  static func format(of name: String) -> WritableFormat? {
    guard let format = WritableFormat(suffixOf: name), [.safetensors, .pytorch].contains(format) else { return nil }
    return format
  }

  /// The components amongst the files of a folder, in the order of `names`.
  ///
  /// - Parameters:
  ///   - used: the files of the model's own weights.
  ///   - model: these.
  static func all(
    amongst names: [String], in folder: String, used: [String], beside model: any TensorSource, _ mode: InputMode
  ) -> [(name: String, source: any TensorSource)] {
    let used = Set(used.map { ExactString($0) })
    return names.compactMap { name in
      guard !used.contains(ExactString(name)), format(of: name) != nil, (try? CarriedFileName(name)) != nil,
        !name.hasPrefix("."), !name.contains("-of-"), !others.contains(where: name.hasPrefix),
        !TrainingState.isOne(name),
        // What cannot be read stays behind with the other files that are none of the model's.
        let source = try? CheckpointFormat.open(FileTree.join(folder, name), mode: mode),
        isComponent(source, of: model)
      else { return nil }
      return (name, source)
    }
  }

  private static func isComponent(_ source: any TensorSource, of model: any TensorSource) -> Bool {
    !source.tensors.isEmpty && source.notes.isEmpty && source.byteCount < model.byteCount
      && !LoRAFile.isAdapter(source.tensors)
      && !source.tensors.contains { info in
        info.name.contains("lora_") || (model.tensor(named: info.name)?.matches(info) ?? false)
      }
  }
}

/// What `transformers` and `accelerate` write beside a checkpoint's weights.
enum TrainingState {
  static func isOne(_ name: String) -> Bool {
    ["training_args.", "optimizer.", "optimizer_", "scheduler.", "scaler.", "rng_state"].contains {
      name.hasPrefix($0)
    }
  }
}
