/// Scores of what came out of archives of several sizes, as a share of the expert's own.
struct ScoreChart {
  let name: String
  let curve: ScoreCurve

  private static let (width, height, left, bottom) = (560, 200, 60, 28)

  var svg: String {
    let points = curve.trials.map { (bytes: Double($0.bytes), share: $0.score / curve.own) }
      .filter(\.share.isFinite)
    guard let most = points.map(\.bytes).max(), most > 0, let least = points.map(\.share).min() else { return "" }
    let (bottom, top) = (min(least, curve.keep), max(1, points.map(\.share).max() ?? 1))
    func x(_ bytes: Double) -> String {
      (Double(Self.left) + bytes / most * Double(Self.width - Self.left - 12)).fixed(1)
    }
    func y(_ share: Double) -> String {
      let part = top > bottom ? (share - bottom) / (top - bottom) : 1
      return (10 + (1 - part) * Double(Self.height - Self.bottom - 20)).fixed(1)
    }
    let label = "Scores of \(name) against stored bytes, as shares of its own score"
    var text =
      "<svg role=\"img\" aria-label=\"\(label.html)\" viewBox=\"0 0 \(Self.width) \(Self.height)\" width=\"\(Self.width)\" height=\"\(Self.height)\">"
    for share in Set([bottom, curve.keep, top]).sorted() {
      text +=
        "<text x=\"\(Self.left - 6)\" y=\"\(y(share))\" dy=\"4\" text-anchor=\"end\">\(share.percent)</text>"
    }
    text +=
      "<line class=\"goal\" x1=\"\(Self.left)\" x2=\"\(Self.width)\" y1=\"\(y(curve.keep))\" y2=\"\(y(curve.keep))\"><title>asked for: \(curve.keep.percent)</title></line>"
    text += "<text x=\"\(Self.left)\" y=\"\(Self.height - 6)\">0 B</text>"
    text +=
      "<text x=\"\(Self.width - 8)\" y=\"\(Self.height - 6)\" text-anchor=\"end\">\(ByteSize.text(UInt64(most)))</text>"
    text +=
      "<polyline class=\"l0\" points=\"\(points.map { "\(x($0.bytes)),\(y($0.share))" }.joined(separator: " "))\"></polyline>"
    for point in points {
      text +=
        "<circle class=\"bar\" r=\"4\" cx=\"\(x(point.bytes))\" cy=\"\(y(point.share))\"><title>\(ByteSize.text(UInt64(point.bytes))): \(point.share.percent)</title></circle>"
    }
    return "<div class=\"wide\">\(text)</svg></div>"
  }
}
