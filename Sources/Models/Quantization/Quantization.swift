import TMPackByteIO
import TMPackCheckpoints
import TMPackTensorKit

/// What of a model is kept as codes, and what its files say of that.
///
/// Codes are no numbers: they are never averaged, added to, or converted. What works on numbers asks here first.
package struct Quantization: Sendable {
  package let weights: CodedWeights
  private let configurations: QuantizationConfigurations
  private let label: String

  /// - Parameter files: those that travel with the tensors.
  /// - Throws: what `QuantizationConfiguration` throws.
  package init(of source: any TensorSource, files: [CarriedContent] = []) throws(StorageError) {
    self.init(of: source, try QuantizationConfigurations(in: files, label: source.label))
  }

  /// - Parameter configurations: what the files say that travel with the tensors.
  package init(of source: any TensorSource, _ configurations: QuantizationConfigurations) {
    weights = CodedWeights(in: source.tensors)
    self.configurations = configurations
    label = source.label
  }

  /// What the files say of a tensor's component.
  package func configuration(of tensor: String) -> QuantizationConfiguration? {
    configurations[component: QuantizationConfigurations.folder(tensor)] ?? configurations[component: ""]
  }

  /// Whether the tensors or the files say that weights are kept as codes.
  package var hasCodes: Bool { !weights.isEmpty || configurations.unknown != nil }

  /// Refuses a model with codes where only numbers will do.
  ///
  /// - Parameters:
  ///   - purpose: what was to be done, as in "cannot be merged".
  ///   - advice: what to do instead, where there is no remedy.
  /// - Throws: `unsupportedFeature`, naming the scheme and the first of its weights.
  package func refuse(
    _ purpose: String,
    advice: String =
      "dequantise the model with the library that wrote it, and save that, or take the model that it was made from",
    remedy: Remedy? = nil
  ) throws(StorageError) {
    func refusal(_ message: String, tensor: String? = nil) -> StorageError {
      if let remedy {
        return StorageError(.unsupportedFeature, message, file: label, tensor: tensor).with(remedy)
      }
      return StorageError(.unsupportedFeature, "\(message): \(advice)", file: label, tensor: tensor)
    }
    if let first = weights.weights.first {
      let others = weights.weights.count - 1
      throw refusal(
        "is kept as codes (\(first.scheme.rawValue)\(others > 0 ? "; so are \(others) more" : "")), which cannot be \(purpose)",
        tensor: first.name)
    }
    if let configuration = configurations.unknown {
      throw refusal(
        "is quantised by \"\(configuration.method)\", as its configuration says, which is not known here, and so cannot be \(purpose)"
      )
    }
  }
}

extension Checkpoint {
  /// What of it is kept as codes.
  ///
  /// - Throws: what `Quantization` throws.
  package func quantization() throws(StorageError) -> Quantization {
    try Quantization(of: source, files: carriedFiles.map(\.content))
  }
  /// The model with numbers in place of codes, and a configuration that says so.
  ///
  /// Each weight is decoded when it is read, to the dtype that the library of its scheme gives. `quantization_config` and its
  /// like are taken out of `config.json`, and files that speak of nothing else stay behind. A model without codes is given as
  /// it is.
  ///
  /// ```swift
  /// let model = try Checkpoint.open("llama-fp8").dequantized()
  /// ```
  ///
  /// - Throws: `unsupportedFeature`, naming scheme and tensor, for codes that are not decoded here; `malformed` where codes,
  ///   scales and configuration do not fit each other; what reading the files throws.
  package func dequantized() throws(StorageError) -> Checkpoint {
    let quantization = try quantization()
    guard !quantization.weights.isEmpty else {
      try quantization.refuse("decoded")
      return self
    }
    var changes = ConfigurationChanges()
    changes.isDequantized = true
    var files: [CarriedFile] = []
    for file in carriedFiles where QuantizationConfiguration.otherFiles[lastPart(of: file.name.text)] == nil {
      let isConfiguration = lastPart(of: file.name.text) == "config.json"
      guard isConfiguration else {
        files.append(file)
        continue
      }
      let text = try changes.applied(to: [file.content])[0].bytes()
      files.append(CarriedFile(name: file.name, path: file.path, changedTo: text))
    }
    return Checkpoint(
      path: path, layout: layout, source: try DequantizedSource(source, quantization), weightFiles: weightFiles,
      carriedFiles: files, skippedFiles: skippedFiles, stamps: stamps)
  }

  private func lastPart(of name: String) -> String {
    name.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(name[name.utf8.index(after: $0)...]) } ?? name
  }
}

extension AdapterBase {
  /// The same model with numbers in place of codes: an adapter is added to nothing else.
  ///
  /// - Throws: what `Checkpoint.dequantized` throws.
  func dequantized() throws(StorageError) -> AdapterBase {
    let quantization = try Quantization(of: source, files: files)
    guard !quantization.weights.isEmpty else { return self }
    return try replacing(DequantizedSource(source, quantization))
  }
}
