extension MergingCase {
  /// Methods that go by lengths and angles.
  static let geometric: [MergingCase] = [
    MergingCase("slerp", experts: ["a", "b"]),
    MergingCase("slerp", ["t=0"], experts: ["b", "d"]),
    MergingCase("slerp", ["t=0.8", "dot_threshold=0.9"], experts: ["c", "d"]),
    MergingCase("slerp", ["t=0.3", "dot_threshold=0.999999"], experts: ["d"]),
    MergingCase("multislerp"),
    MergingCase("multislerp", ["weight@a=2", "weight@d=-0.5", "eps=1e-4"]),
    MergingCase("multislerp", ["origin=zero", "normalize_weights=false", "weight=0.3"]),
    MergingCase("multislerp", experts: ["b"]),
    MergingCase("karcher"),
    MergingCase("karcher", ["origin=base", "max_iter=40", "tol=1e-6"]),
    MergingCase("karcher", ["origin=base", "weight@b=3", "max_iter=2"]),
    MergingCase("karcher", ["weight=0.5", "weight@c=0.1"], experts: ["a", "c"]),
    MergingCase("model-stock"),
    MergingCase("model-stock", ["filter_wise=true"]),
    MergingCase("model-stock", experts: ["b", "c"]),
  ]
}
