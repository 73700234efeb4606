extension MergingMethodKind {
  /// Every method, in the order in which they are listed to users.
  public static let all: [MergingMethodKind] = [
    BaseModel.kind,
    AverageModel.kind,
    TaskArithmetic.kind,
    SphericalInterpolation.kind,
    SphericalBarycenter.kind,
    KarcherMean.kind,
    ModelStock.kind,
    IsotropicMerge.kind,
    CommonAndSpecificMerge.kind,
    FisherAverage.kind,
    RegressionMean.kind,
    ProjectedSequence.kind,
  ]
}
