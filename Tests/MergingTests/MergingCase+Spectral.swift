extension MergingCase {
  /// Methods that decompose matrices. Singular vectors are known to ε σ₁ / (the gap to the next value).
  static let spectral: [MergingCase] = [
    MergingCase("iso-c"),
    MergingCase("iso-c", ["lambda=1.3", "weight@b=0.5"]),
    MergingCase("iso-c", experts: ["c"]),
    MergingCase("iso-cts"),
    MergingCase("iso-cts", ["common_space_fraction=0.3", "lambda=0.5", "weight@a=-1"]),
    MergingCase("iso-cts", ["common_space_fraction=0"]),
    MergingCase("iso-cts", ["common_space_fraction=1"]),
    MergingCase("iso-cts", experts: ["a", "d"]),
    MergingCase("opcm"),
    MergingCase("opcm", ["alpha=0.9"]),
    MergingCase("opcm", ["alpha=1"], experts: ["b", "a", "c"]),
    MergingCase("opcm", ["alpha=0", "merged_count=3"]),
    MergingCase("opcm", ["merged_count=2", "merged_scale=1.3"], experts: ["a", "d"]),
    MergingCase("opcm", experts: ["b"]),
  ]
}
