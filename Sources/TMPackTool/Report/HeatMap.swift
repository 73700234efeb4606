import TMPackReading

/// A table of colours: kinds of tensors down, layers across.
struct HeatMap {
  struct Cell {
    let value: Double
    /// What is said of it where one points at it.
    let title: String
  }

  /// Of what: for those who do not see it.
  let label: String
  /// What the darkest colour stands for.
  let maximum: Double
  let rows: [String]
  let columns: [String]
  let cells: [[Cell?]]
  /// Whether the numbers are written into the cells.
  var hasNumbers = false

  static let steps = 8
  private static let mostRows = 120
  private static let characters = 42

  private func step(_ value: Double) -> Int {
    guard value.isFinite, maximum > 0 else { return value.isFinite ? 0 : Self.steps - 1 }
    return max(0, min(Self.steps - 1, Int(value / maximum * Double(Self.steps))))
  }

  var svg: String {
    let (side, gap) = (hasNumbers ? 44 : 15, 2)
    let height = hasNumbers ? 24 : side
    let shown = rows.prefix(Self.mostRows)
    let labels = shown.map { $0.shortened(to: Self.characters) }
    let left = 10 + 8 * (labels.map(\.count).max() ?? 0)
    // Every layer has its number where there is room, and every eighth where not.
    let every = hasNumbers || columns.count <= 12 ? 1 : columns.count <= 40 ? 4 : 8
    let top = hasNumbers ? 90 : 24
    let (width, bottom) = (
      left + columns.count * (side + gap) + (hasNumbers ? 80 : 40), top + shown.count * (height + gap)
    )
    var text =
      "<svg role=\"img\" aria-label=\"\(label.html)\" viewBox=\"0 0 \(width) \(bottom)\" width=\"\(width)\" height=\"\(bottom)\">"
    for (index, column) in columns.enumerated() where index % every == 0 {
      let x = left + index * (side + gap) + side / 2
      text +=
        hasNumbers
        ? "<text transform=\"translate(\(x),\(top - 6)) rotate(-40)\">\(column.shortened(to: 16).html)</text>"
        : "<text x=\"\(x)\" y=\"\(top - 6)\" text-anchor=\"middle\">\(column.html)</text>"
    }
    for (row, name) in shown.enumerated() {
      let y = top + row * (height + gap)
      text +=
        "<text x=\"\(left - 6)\" y=\"\(y + height - 4)\" text-anchor=\"end\">\(labels[row].html)<title>\(name.html)</title></text>"
      for (index, cell) in cells[row].enumerated() {
        guard let cell else { continue }
        let x = left + index * (side + gap)
        text +=
          "<rect class=\"h\(step(cell.value))\" x=\"\(x)\" y=\"\(y)\" width=\"\(side)\" height=\"\(height)\" rx=\"2\"><title>\(cell.title.html)</title></rect>"
        if hasNumbers {
          let ink = step(cell.value) >= Self.steps / 2 ? "on" : "off"
          text +=
            "<text class=\"\(ink)\" x=\"\(x + side / 2)\" y=\"\(y + height - 7)\" text-anchor=\"middle\">\(cell.value.fixed(2))</text>"
        }
      }
    }
    text += "</svg>"
    if rows.count > shown.count { text += "<p>\(rows.count - shown.count) more kinds are in the table below.</p>" }
    return "<div class=\"wide\">\(text)</div>" + legend
  }

  private var legend: String {
    let boxes = (0..<Self.steps).map { "<span class=\"box b\($0)\"></span>" }.joined()
    return "<p class=\"legend\" aria-hidden=\"true\">0 \(boxes) \(maximum.significant(2))</p>"
  }

  /// Of tensors, by layer and kind: each cell the root of a mean square over those that fall into it.
  ///
  /// - Parameter items: a tensor's name, what it contributes above the line and below.
  init?(label: String, maximum: Double?, items: [(name: String, above: Double, below: Double)]) {
    var sums: [TensorPlace: (above: Double, below: Double, names: Int, first: String)] = [:]
    var kinds: [String] = []
    var seen: Set<String> = []
    var layers: Set<Int> = []
    var hasOthers = false
    for item in items where item.below > 0 {
      let place = TensorPlace(item.name)
      if let layer = place.layer { layers.insert(layer) } else { hasOthers = true }
      if seen.insert(place.kind).inserted { kinds.append(place.kind) }
      var sum = sums[place] ?? (0, 0, 0, item.name)
      sum = (sum.above + item.above, sum.below + item.below, sum.names + 1, sum.first)
      sums[place] = sum
    }
    guard !kinds.isEmpty else { return nil }
    let columns: [Int?] = (hasOthers ? [nil] : []) + layers.sorted().map { $0 }
    var largest = 0.0
    cells = kinds.map { kind in
      columns.map { layer in
        guard let sum = sums[TensorPlace(kind: kind, layer: layer)] else { return nil }
        let value = (sum.above / sum.below).squareRoot()
        if value.isFinite { largest = max(largest, value) }
        let more = sum.names > 1 ? " and \(sum.names - 1) more" : ""
        return Cell(value: value, title: "\(sum.first)\(more): \(value.significant(3))")
      }
    }
    self.label = label
    self.maximum = maximum ?? (largest > 0 ? largest : 1)
    rows = kinds
    self.columns = columns.map { $0.map(String.init) ?? "–" }
  }

  init(label: String, maximum: Double, names: [String], cells: [[Cell?]]) {
    (self.label, self.maximum, self.cells) = (label, maximum, cells)
    (rows, columns) = (names, names)
    hasNumbers = names.count <= 20
  }
}
