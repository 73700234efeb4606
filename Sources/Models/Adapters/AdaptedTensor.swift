import TMPackCheckpoints
import TMPackTensorKit

/// How one tensor of an adapted model comes about.
package struct AdaptedTensor: Sendable {
  /// An update of the tensor, or of what stands in for it.
  package struct Update: Sendable {
    package let update: LoRAAdapter.Update
    /// Whether the weight is [inputs, outputs].
    package let isTransposed: Bool
  }

  /// As the adapted model has it.
  package var info: TensorInfo
  /// The base's tensor that it begins as; nil where the base has none.
  package var origin: TensorInfo?
  /// The adapter's that it begins as instead.
  package var whole: LoRAAdapter.WholeTensor?
  /// Added, one after another.
  package var updates: [Update] = []
  /// Of the tensor's own shape, added each times its scale.
  package var summands: [(info: TensorInfo, scale: Float)] = []
  /// Put in place of some rows in the end.
  package var rows: [LoRAAdapter.Rows] = []

  /// Whether its elements are made, and not just taken from a file.
  package var isComputed: Bool { !updates.isEmpty || !summands.isEmpty || !rows.isEmpty }
}
