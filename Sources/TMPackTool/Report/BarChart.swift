/// Sizes as bars, the largest of which fills the width.
struct BarChart {
  let label: String
  let bars: [(name: String, bytes: UInt64)]

  private static let (row, length) = (22, 420)

  var svg: String {
    let most = max(1, bars.map(\.bytes).max() ?? 1)
    let names = bars.map { $0.name.shortened(to: 42) }
    let left = 10 + 7 * (names.map(\.count).max() ?? 0)
    let (width, height) = (left + Self.length + 80, bars.count * Self.row + 4)
    var text =
      "<svg role=\"img\" aria-label=\"\(label.html)\" viewBox=\"0 0 \(width) \(height)\" width=\"\(width)\" height=\"\(height)\">"
    for (index, bar) in bars.enumerated() {
      let y = index * Self.row + 2
      let size = max(1, Int(Double(bar.bytes) / Double(most) * Double(Self.length)))
      text +=
        "<text x=\"\(left - 6)\" y=\"\(y + 14)\" text-anchor=\"end\">\(names[index].html)<title>\(bar.name.html)</title></text>"
      text +=
        "<rect class=\"bar\" x=\"\(left)\" y=\"\(y)\" width=\"\(size)\" height=\"\(Self.row - 5)\" rx=\"2\"><title>\(bar.name.html): \(bar.bytes) bytes</title></rect>"
      text += "<text x=\"\(left + size + 6)\" y=\"\(y + 14)\">\(ByteSize.text(bar.bytes))</text>"
    }
    return "<div class=\"wide\">\(text)</svg></div>"
  }
}
