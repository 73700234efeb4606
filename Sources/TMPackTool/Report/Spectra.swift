/// Sizes of components, the largest first, of several matrices: each a line, on a logarithmic scale.
struct Spectra {
  let label: String
  let lines: [(name: String, values: [Double])]

  private static let (width, height, left, bottom) = (560, 220, 60, 28)

  var svg: String {
    let values = lines.flatMap(\.values).filter { $0 > 0 && $0.isFinite }
    guard let most = values.max(), let least = values.min() else { return "" }
    let (top, base) = (most.decimalLogarithm, min(least.decimalLogarithm, most.decimalLogarithm - 1))
    let longest = max(2, lines.map(\.values.count).max() ?? 2)
    func x(_ index: Int) -> String {
      (Double(Self.left) + Double(index) / Double(longest - 1) * Double(Self.width - Self.left - 8)).fixed(1)
    }
    func y(_ value: Double) -> String {
      let share = (max(value, least).decimalLogarithm - base) / (top - base)
      return (8 + (1 - share) * Double(Self.height - Self.bottom - 8)).fixed(1)
    }
    var text =
      "<svg role=\"img\" aria-label=\"\(label.html)\" viewBox=\"0 0 \(Self.width) \(Self.height)\" width=\"\(Self.width)\" height=\"\(Self.height)\">"
    for value in [most, least] {
      text +=
        "<text x=\"\(Self.left - 6)\" y=\"\(y(value))\" dy=\"4\" text-anchor=\"end\">\(value.significant(2))</text>"
    }
    text += "<text x=\"\(Self.left)\" y=\"\(Self.height - 8)\">component 1</text>"
    text += "<text x=\"\(Self.width - 8)\" y=\"\(Self.height - 8)\" text-anchor=\"end\">\(longest)</text>"
    for (index, line) in lines.enumerated() {
      let points = line.values.enumerated().filter { $0.element > 0 }.map { "\(x($0.offset)),\(y($0.element))" }
      text +=
        "<polyline class=\"l\(index % 6)\" points=\"\(points.joined(separator: " "))\"><title>\(line.name.html)</title></polyline>"
    }
    let names = lines.enumerated().map {
      "<li><span class=\"box k\($0.offset % 6)\"></span> \($0.element.name.html)</li>"
    }
    return "<div class=\"wide\">\(text)</svg></div><ul class=\"key\">\(names.joined())</ul>"
  }
}

extension Double {
  /// Good to what a picture shows; no library is needed for it.
  fileprivate var decimalLogarithm: Double {
    let mantissa = significand
    // ln((1+t)/(1−t)) = 2 (t + t³/3 + …)
    let t = (mantissa - 1) / (mantissa + 1)
    let square = t * t
    let natural = 2 * t * (1 + square * (1 / 3.0 + square * (1 / 5.0 + square * (1 / 7.0 + square / 9))))
    return (Double(exponent) * 0.693_147_180_559_945_3 + natural) / 2.302_585_092_994_046
  }
}
