extension MergingCase {
  /// Methods that treat every element by itself once they know which elements stay.
  static let elementWise: [MergingCase] = ties + layerScaling + random + selecting + balancing

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

  private static let random: [MergingCase] = [
    MergingCase("dare-linear"),
    MergingCase("dare-linear", ["density=0.3", "density@c=1", "weight@b=-1", "lambda=0.4", "normalize=true"]),
    MergingCase("dare-linear", ["density=0", "seed=1"]),
    MergingCase("dare-ties"),
    MergingCase("dare-ties", ["density=0.1", "rescale=false", "sign=count", "normalize=false", "seed=12345"]),
    MergingCase("della"),
    MergingCase("della", ["density=0.3", "density@b=0", "density@c=1", "epsilon=0.3", "lambda=0.5", "seed=7"]),
    MergingCase("della", ["rescale=false", "sign=count", "normalize=false", "epsilon=0"]),
    MergingCase("della-linear", ["density=0.5", "epsilon=0.5", "weight@a=0.25", "lambda=0.3"]),
  ]

  private static let selecting: [MergingCase] = [
    MergingCase("breadcrumbs"),
    MergingCase(
      "breadcrumbs", ["density=0.6", "gamma=0.1", "gamma@d=0.9", "lambda=0.7", "weight@a=2", "normalize=true"]),
    MergingCase("breadcrumbs", ["density=1"]),
    MergingCase("breadcrumbs-ties", ["density=0.4", "density@c=0", "gamma=0"]),
    MergingCase("breadcrumbs-ties", ["sign=count", "normalize=true", "lambda=1"]),
    MergingCase("magmax"),
    MergingCase("magmax", ["lambda=-0.3"]),
    MergingCase("consensus"),
    MergingCase("consensus", ["tall_lambda=1.5", "tall_lambda@b=0.2", "k=3", "lambda=1"]),
    MergingCase("consensus", ["multi_task=ties", "density=0.5", "k=1"]),
    MergingCase("consensus", ["multi_task=ties", "scope=tensor", "tall_lambda=0"]),
    MergingCase("consensus", ["k=9"]),
  ]

  private static let balancing: [MergingCase] = [
    MergingCase("pcb"),
    MergingCase("pcb", ["ratio=0.5", "clip=0.05", "lambda=1.2", "weight@b=0.5"]),
    MergingCase("pcb", ["ratio=1", "clip=0"]),
    MergingCase("pcb", ["ratio=0"]),
    MergingCase("cabs"),
    MergingCase("cabs", ["n=1", "m=4", "weight@c=0.5", "lambda=0.7"]),
    MergingCase("cabs", ["n=3", "m=7"]),
    MergingCase("cabs", ["n=0"]),
    MergingCase("cabs", ["n=5", "m=5"]),
  ]
}
