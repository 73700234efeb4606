import TMPackByteIO
import TMPackJSON
import TMPackTensorKit

/// An adapter as mlx-lm 0.32 saves it: a folder with `adapters.safetensors` and `adapter_config.json`.
///
/// A is [inputs, rank] and B [rank, outputs]; of the experts' layers A is [experts, rank, inputs] and B
/// [experts, outputs, rank]. What they make is multiplied by `scale` as it is, and DoRA's magnitudes are in `m`.
package enum MLXAdapter {
  static let weightFileName = "adapters.safetensors"

  /// - Throws: `malformed`; `unsupportedFeature` for another way of fine-tuning, or layers that have no names on disk.
  static func view(
    _ source: any TensorSource, configuration text: UnsafeRawBufferPointer, configurationPath: String
  ) throws(StorageError) -> (PEFTView, AdapterConfiguration) {
    let (kind, scale) = try located(file: configurationPath) { () throws(StorageError) in try Self.settings(text) }
    var view = PEFTView(source)
    var configuration = AdapterConfiguration(isDecomposed: kind == .dora)
    try located(file: source.label) { () throws(StorageError) in
      for info in source.tensors {
        try located(tensor: info.name) { () throws(StorageError) in
          if kind == .full {
            try view.add(info.name, info.shape.dimensions, .same(info))
          } else {
            try add(info, scale, to: &view, &configuration)
          }
        }
      }
    }
    view.sort()
    return (view, configuration)
  }

  private enum Kind: String { case lora, dora, full }

  private static func settings(_ text: UnsafeRawBufferPointer) throws(StorageError) -> (Kind, Double) {
    let object = try JSONValue(parsing: text).asObject("the adapter's configuration")
    var name = Kind.lora.rawValue
    if let value = object["fine_tune_type"] { name = try value.asString("\"fine_tune_type\"") }
    guard let kind = Kind(rawValue: name) else {
      throw StorageError(.unsupportedFeature, "\"fine_tune_type\" is \(name); lora, dora and full can be read")
    }
    if kind == .full { return (kind, 1) }
    let parameters = try object.required("lora_parameters", of: "the adapter's configuration")
      .asObject("\"lora_parameters\"")
    return (kind, try AdapterConfiguration.alpha(parameters.required("scale", of: "\"lora_parameters\""), "\"scale\""))
  }

  private static func add(
    _ info: TensorInfo, _ scale: Double, to view: inout PEFTView, _ configuration: inout AdapterConfiguration
  ) throws(StorageError) {
    guard let dot = info.name.lastIndex(of: ".") else { throw unknown() }
    let module = String(info.name[..<dot])
    let dimensions = info.shape.dimensions
    switch (info.name[info.name.index(after: dot)...], dimensions.count) {
    case ("lora_a", 2):
      guard dimensions[1] > 0 else { throw StorageError(.malformed, "is of rank 0") }
      configuration.set(module, rank: dimensions[1], alpha: scale * Double(dimensions[1]))
      try view.add("\(module).lora_A.weight", [dimensions[1], dimensions[0]], .transposed(info))
    case ("lora_b", 2): try view.add("\(module).lora_B.weight", [dimensions[1], dimensions[0]], .transposed(info))
    case ("m", 1): try view.add("\(module).lora_magnitude_vector", dimensions, .same(info))
    case ("lora_a", 3):
      guard dimensions[1] > 0 else { throw StorageError(.malformed, "is of rank 0") }
      for expert in 0..<(try experts(dimensions[0])) {
        let name = try module.ofExpert(expert)
        configuration.set(name, rank: dimensions[1], alpha: scale * Double(dimensions[1]))
        try view.add("\(name).lora_A.weight", [dimensions[1], dimensions[2]], .matrix(expert, of: info))
      }
    case ("lora_b", 3):
      for expert in 0..<(try experts(dimensions[0])) {
        try view.add(
          "\(try module.ofExpert(expert)).lora_B.weight", [dimensions[1], dimensions[2]], .matrix(expert, of: info))
      }
    default: throw unknown()
    }
  }

  private static func experts(_ count: Int) throws(StorageError) -> Int {
    try Limits.check(count, atMost: Limits.adapterExperts, "the number of experts")
    return count
  }

  private static func unknown() -> StorageError {
    StorageError(.unsupportedFeature, "is no part of an adapter of mlx-lm that is known")
  }
}

extension MLXAdapter {
  // Mixtral's matrices are called by numbers.
  private static let numbered = [("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")]

  /// The layer of all experts that a module is one of, and which it is: `ofExpert` the other way.
  static func stack(ofExpert module: String) -> (layer: String, expert: Int)? {
    let components = module.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard components.count >= 4, components[components.count - 3] == "experts",
      let number = Int(components[components.count - 2]), String(number) == components[components.count - 2],
      number >= 0
    else { return nil }
    let front = components.dropLast(3).joined(separator: ".")
    let name = components.last!
    let own = front.hasSuffix("block_sparse_moe") ? numbered.first { $0.0 == name }?.1 ?? name : name
    return ("\(front).switch_mlp.\(own)", number)
  }

  /// Which of a layer's experts a tensor is of.
  package static func expert(of tensor: String) -> Int? {
    tensor.lastIndex(of: ".").flatMap { stack(ofExpert: String(tensor[..<$0])) }?.expert
  }

  fileprivate static func numberedName(_ name: String) -> String? { numbered.first { $0.1 == name }?.0 }
}

extension String {
  /// The module of one expert, as the models on the hub have it, of a layer of all.
  fileprivate func ofExpert(_ number: Int) throws(StorageError) -> String {
    let marker = ".switch_mlp."
    guard let place = firstRange(of: marker) else {
      throw StorageError(.unsupportedFeature, "is of a stack of matrices other than the experts' (switch_mlp)")
    }
    let (front, name) = (String(self[..<place.lowerBound]), String(self[place.upperBound...]))
    let own = front.hasSuffix("block_sparse_moe") ? MLXAdapter.numberedName(name) ?? name : name
    return "\(front).experts.\(number).\(own)"
  }

  private func firstRange(of marker: String) -> Range<String.Index>? {
    indices.lazy.compactMap { start -> Range<String.Index>? in
      self[start...].hasPrefix(marker) ? start..<self.index(start, offsetBy: marker.count) : nil
    }.first
  }
}
