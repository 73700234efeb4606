import TMPackJSON
import TMPackReading

/// Two checkpoints, compared, as a page.
struct ComparisonReport {
  let left: String
  let right: String
  let comparison: Comparison
  let verdict: String

  var page: ReportPage {
    var page = ReportPage("\(left) and \(right)")
    page.add(
      "In short",
      ReportPage.table(
        ["", ""],
        [
          ["first", left], ["second", right],
          ["in common", "\(counted(comparison.tensors.count, "tensor")): \(verdict)"],
        ]))
    let floats = comparison.tensors.filter(\.hasError)
    let map = HeatMap(
      label: "Relative error, by kind of tensor and layer", maximum: nil,
      items: floats.compactMap { tensor in
        tensor.difference.map { (tensor.left.name, $0.differenceSquares, $0.leftSquares) }
      })
    page.add("Relative error by layer and kind", map?.svg ?? "")
    page.addTable(
      "Tensors", ["tensor", "shape", "dtype", "relative error", "cosine", "max |Δ|", "equal", "of"],
      numeric: [3, 4, 5, 6, 7], comparison.tensors.map(row))
    for (name, list) in [(left, comparison.onlyLeft), (right, comparison.onlyRight)] where !list.isEmpty {
      page.addTable("Only in \(name)", ["tensor"], numeric: [], list.map { [.string($0)] })
    }
    return page
  }

  private func row(_ tensor: Comparison.Tensor) -> [JSONValue] {
    func finite(_ value: Double) -> JSONValue { value.isFinite ? .number(value) : .null }
    let types = [tensor.left.dtype.rawValue, tensor.right.dtype.rawValue]
    let dtype = types[0] == types[1] ? types[0] : types.joined(separator: " and ")
    let shape = tensor.left.shape.description
    guard let difference = tensor.difference else {
      return [
        .string(tensor.left.name), .string("\(shape) and \(tensor.right.shape)"), .string(dtype), .null, .null, .null,
        .null, .null,
      ]
    }
    let numbers =
      tensor.hasError
      ? [finite(difference.relativeError), finite(difference.cosine), finite(difference.maximum)]
      : [.null, .null, .null]
    return [.string(tensor.left.name), .string(shape), .string(dtype)] + numbers + [
      JSONValue(difference.equalCount), JSONValue(difference.elementCount),
    ]
  }
}
