import TMPackByteIO

/// A tensor of a pickle that is more, or less, than a view of a storage.
struct UnreadableTensor: Sendable, Hashable {
  /// What it is, and what to save instead.
  let reason: String
}

extension UnreadableTensor {
  /// - Parameters:
  ///   - function: that makes it.
  ///   - module: of the function.
  init(madeBy name: String, of module: String) {
    let function = "\(module).\(name)"
    reason =
      switch name {
      case "_rebuild_sparse_tensor": "is a sparse tensor (\(function)); save what its to_dense() gives"
      case "_rebuild_qtensor": "is a quantised tensor (\(function)); save what its dequantize() gives"
      case "_rebuild_nested_tensor", "_rebuild_njt":
        "is a nested tensor (\(function)); save the tensors that its unbind() gives"
      case "_rebuild_meta_tensor_no_storage":
        "has no elements (\(function)): it was saved from the meta device; load the weights before saving"
      default: "is a tensor of a kind that is not known (\(function)); save what its detach().cpu().clone() gives"
      }
  }

  /// - Parameter typeName: of the class of Python.
  init(ofType typeName: String) {
    reason =
      typeName.hasPrefix("torchao.")
      ? "is quantised by torchao (\(typeName)); save what its dequantize() gives, or the model before quantize_"
      : "is a tensor subclass (\(typeName)) that is more than a plain tensor; save the plain one that it stands for"
  }

  static func piece(_ piece: String, of whole: String) -> UnreadableTensor {
    UnreadableTensor(
      reason: """
        is a DTensor that holds only \(piece) of \(whole), the part of one process; save a full state dict \
        (get_model_state_dict with full_state_dict), or name the folder that torch.distributed.checkpoint made
        """)
  }

  static let partialSums = UnreadableTensor(
    reason: "is a DTensor of sums that were not yet added up over the processes; save what its full_tensor() gives")

  static let sharded = UnreadableTensor(
    reason: """
      is a ShardedTensor, the part of one process; save a full state dict (FullStateDictConfig of FSDP), or name the \
      folder that torch.distributed.checkpoint made
      """)

  var error: StorageError { StorageError(.unsupportedFeature, reason) }
}
