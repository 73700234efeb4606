extension MergingMethodKind {
  /// Every method, in the order in which they are listed to users.
  package static let all: [MergingMethodKind] = [
    BaseModel.kind,
    AverageModel.kind,
    TaskArithmetic.kind,
    TIES.kind,
    DARE.linearKind,
    DARE.tiesKind,
    DELLA.kind,
    DELLA.linearKind,
    Breadcrumbs.kind,
    Breadcrumbs.tiesKind,
    MagMax.kind,
    ConsensusMerging.kind,
    PCBMerging.kind,
    CABS.kind,
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
