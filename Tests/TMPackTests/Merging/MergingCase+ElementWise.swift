extension MergingCase {
  /// Methods that treat every element by itself once they know which elements stay.
  static let elementWise: [MergingCase] = ties + layerScaling

  private static let ties: [MergingCase] = [
    MergingCase("ties"),
    MergingCase("ties", ["scope=tensor"]),
    MergingCase("ties", ["density=0.5", "density@a=0.03", "weight@b=2", "weight@d=-0.5", "lambda=0.7"]),
    MergingCase("ties", ["sign=count", "normalize=false", "lambda=0.3"]),
    MergingCase("ties", ["sign=count", "scope=tensor", "density=0.7"]),
    MergingCase("ties", ["density=0"]),
    MergingCase("ties", ["density=1"]),
  ]

  private static let layerScaling: [MergingCase] = [
    MergingCase("task-arithmetic", ["lambda=1", "lines_alpha=0.2", "lines_beta=0.6"]),
    MergingCase("average", ["lines_beta=-0.5"]),
    MergingCase("ties", ["lines_alpha=0"]),
  ]
}
