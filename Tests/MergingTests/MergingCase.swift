import TMPackMerging
import TestSupport

/// A merging method with settings, to be run here and by the reference implementation of `Tests/reference`.
struct MergingCase: Sendable, CustomStringConvertible {
  let method: String
  /// `name=value` or `name@expert=value`. Both models of `MergingModel` have experts `a`, `b`, `c` and `d`.
  let settings: [String]
  /// Those of the experts to merge; nil for all.
  let experts: [String]?
  /// What was measured of the experts, if the method asks for it.
  let statistics: (@Sendable (MergeSources) throws -> [String: [SampleTensor]])?
  /// Relative error over a whole tensor that rounding alone explains: 2⁻²⁴ for each F32 element, and more where a
  /// method goes through a decomposition.
  let tolerance: Double

  init(
    _ method: String, _ settings: [String] = [], experts: [String]? = nil, tolerance: Double = 1e-7,
    statistics: (@Sendable (MergeSources) throws -> [String: [SampleTensor]])? = nil
  ) {
    self.method = method
    self.settings = settings
    self.experts = experts
    self.tolerance = tolerance
    self.statistics = statistics
  }

  var description: String { ([method] + settings + (experts ?? [])).joined(separator: " ") }

  func make() throws -> any MergingMethod {
    var values: [MergeSettings.Name: String] = [:]
    for setting in settings {
      let equals = setting.firstIndex(of: "=")!
      values[MergeSettings.Name(parsing: String(setting[..<equals]))] = String(setting[setting.index(after: equals)...])
    }
    return try MergingMethodKind.named(method).method(values)
  }

  static let all: [MergingCase] = linear + elementWise + geometric + spectral + statistical

  static let linear: [MergingCase] = [
    MergingCase("base"),
    MergingCase("average"),
    MergingCase("average", ["weight@b=3", "weight=0.5"]),
    MergingCase("average", ["weight@b=3", "normalize=false"]),
    MergingCase("task-arithmetic"),
    MergingCase("task-arithmetic", ["lambda=0.7", "weight@c=-0.25"]),
  ]
}
