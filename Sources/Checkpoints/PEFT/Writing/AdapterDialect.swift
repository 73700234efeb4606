import TMPackByteIO

/// The library that an adapter is written for.
package enum AdapterDialect: String, Sendable, CaseIterable {
  case peft
  /// mlx-lm.
  case mlx
  /// kohya's scripts, ComfyUI and others: a single file.
  case kohya
  case diffusers

  /// Of the file of weights in a folder; nil for a layout of a single file.
  package var weightFileName: String? {
    switch self {
    case .peft: LoRAAdapter.weightFileName
    case .mlx: MLXAdapter.weightFileName
    case .kohya: nil
    case .diffusers: LoRAFile.diffusersNames[0]
    }
  }

  /// Files of an older adapter, which a new one may take the place of.
  package var fileNames: [String] {
    switch self {
    case .peft, .mlx: [AdapterConfiguration.fileName] + [weightFileName].compactMap { $0 }
    case .kohya, .diffusers: [weightFileName].compactMap { $0 }
    }
  }
}
