import TMPackByteIO
import TMPackReading

/// Which expert a router thinks that an input is for, against the one that its label names.
struct RouterConfusion {
  private let classes: [String]
  /// Inputs by label, and of these by the most probable class.
  private let counts: [[Int]]
  private static let mostClasses = 64

  /// - Throws: `limitExceeded` for more classes than can be looked at; `invalidArgument` for inputs without labels.
  init(_ router: Router, _ inputs: Embeddings) throws(StorageError) {
    classes = router.classes
    guard classes.count <= Self.mostClasses else {
      throw StorageError(
        .limitExceeded, "the router has \(classes.count) classes, and up to \(Self.mostClasses) can be shown")
    }
    let labels = try LabelledEmbeddings(inputs, classes: classes).labels
    var counts = [[Int]](repeating: [Int](repeating: 0, count: classes.count), count: classes.count)
    for routing in try router.route(inputs, pooling: .each, RoutingOptions.standard) {
      for row in routing.rows { counts[labels[row]][routing.mostProbable] += 1 }
    }
    self.counts = counts
  }

  var html: String {
    let inputs = counts.reduce(0) { $0 + $1.reduce(0, +) }
    let right = classes.indices.reduce(0) { $0 + counts[$1][$1] }
    let cells = classes.indices.map { label in
      let all = counts[label].reduce(0, +)
      return classes.indices.map { column -> HeatMap.Cell? in
        guard all > 0 else { return nil }
        let count = counts[label][column]
        return HeatMap.Cell(
          value: Double(count) / Double(all),
          title: "\(classes[label]) taken for \(classes[column]): \(count) of \(all)")
      }
    }
    let label = "Shares of the inputs of each expert, down, that the router takes for each, across"
    let share = inputs > 0 ? ", \((Double(right) / Double(inputs)).percent)" : ""
    return "<h3>What it takes for what</h3><p>\(label). Right: \(right) of \(counted(inputs, "input"))\(share).</p>"
      + HeatMap(label: label, maximum: 1, names: classes, cells: cells).svg
  }
}
