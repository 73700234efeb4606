import ByteIO
import Checkpoints
import TensorKit

/// What of a model is kept as codes, and what its files say of that.
///
/// Codes are no numbers: they are never averaged, added to, or converted. What works on numbers asks here first.
package struct Quantization: Sendable {
  package let weights: CodedWeights
  package let configuration: QuantizationConfiguration?
  private let label: String

  /// - Parameter files: those that travel with the tensors.
  /// - Throws: what `QuantizationConfiguration` throws.
  package init(of source: any TensorSource, files: [CarriedContent] = []) throws(StorageError) {
    weights = CodedWeights(in: source.tensors)
    configuration = try located(file: source.label) { () throws(StorageError) in
      try QuantizationConfiguration(in: files)
    }
    label = source.label
  }

  /// Refuses a model with codes where only numbers will do.
  ///
  /// - Parameters:
  ///   - purpose: what was to be done, as in "cannot be merged".
  ///   - advice: what to do instead.
  /// - Throws: `unsupportedFeature`, naming the scheme and the first of its weights.
  package func refuse(
    _ purpose: String,
    advice: String =
      "dequantise the model with the library that wrote it, and save that, or take the model that it was made from"
  ) throws(StorageError) {
    if let first = weights.weights.first {
      let others = weights.weights.count - 1
      throw StorageError(
        .unsupportedFeature,
        """
        is kept as codes (\(first.scheme.rawValue)\(others > 0 ? "; so are \(others) more" : "")), which cannot be \
        \(purpose): \(advice)
        """, file: label, tensor: first.name)
    }
    if let configuration, !configuration.isKnown {
      throw StorageError(
        .unsupportedFeature,
        """
        is quantised by "\(configuration.method)", as its configuration says, which is not known here, and so cannot be \
        \(purpose): \(advice)
        """, file: label)
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
}
