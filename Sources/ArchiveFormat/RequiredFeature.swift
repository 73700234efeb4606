/// What an archive may need a reader to know beyond version 1.0's minimum (TMP-4-5).
package enum RequiredFeature: String, Sendable, CaseIterable {
  /// Experts with rows beyond the shared model's (TMP-6-27).
  case extraRows = "extra-rows"
  /// Tensors taken as stacks of matrices (TMP-6-32).
  case stacks
  /// Tensors that only an expert has, quantised (TMP-6-34).
  case quantizedOwn = "quantized-own"
  /// Tensors of the shared model as they are, with checksums (TMP-5-12).
  case mappable
}
