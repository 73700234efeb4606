import TMPackModels

extension RequantizedSource {
  /// What there is to say once it was written.
  var note: String { "written as FP8 with scales, relative error \(relativeError.significant(3)) of the weights" }
}
