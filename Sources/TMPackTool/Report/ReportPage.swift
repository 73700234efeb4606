import TMPackJSON

/// One page that needs nothing else: no network, no files beside it.
struct ReportPage {
  let title: String
  private(set) var body = ""

  init(_ title: String) { self.title = title }

  mutating func add(_ heading: String, _ content: String) {
    guard !content.isEmpty else { return }
    body += "<section><h2>\(heading.html)</h2>\(content)</section>\n"
  }

  /// A small table, as it is.
  static func table(_ header: [String], _ rows: [[String]]) -> String {
    let head = header.map { "<th scope=\"col\">\($0.html)</th>" }.joined()
    let lines = rows.map { row in
      let cells = row.enumerated().map { index, cell in
        index == 0 ? "<th scope=\"row\">\(cell.html)</th>" : "<td>\(cell.html)</td>"
      }
      return "<tr>\(cells.joined())</tr>"
    }
    return "<div class=\"wide\"><table><thead><tr>\(head)</tr></thead><tbody>\(lines.joined())</tbody></table></div>"
  }

  /// A large table that can be sorted and filtered. Without scripts its first rows are there.
  ///
  /// - Parameter numeric: columns that are numbers: sorted so, the largest first.
  mutating func addTable(_ heading: String, _ header: [String], numeric: Set<Int>, _ rows: [[JSONValue]]) {
    func text(_ value: JSONValue) -> String {
      switch value {
      case .string(let text): text
      case .integer(let number): String(number)
      case .number(let number): number.significant(3)
      default: ""
      }
    }
    let head = header.enumerated().map { index, name in
      "<th scope=\"col\"\(numeric.contains(index) ? " class=\"n\"" : "")><button type=\"button\" data-c=\"\(index)\">\(name.html)</button></th>"
    }
    let first = rows.prefix(Self.rowsWithoutScript).map { row in
      let cells = row.enumerated().map { "<td\(numeric.contains($0) ? " class=\"n\"" : "")>\(text($1).html)</td>" }
      return "<tr>\(cells.joined())</tr>"
    }
    let data = JSONValue.object([
      "numeric": .array(numeric.sorted().map { .integer(Int64($0)) }), "rows": .array(rows.map { .array($0) }),
    ])
    add(
      heading,
      """
      <div class="list"><p><label>Filter <input type="search" autocomplete="off"></label> \
      <span role="status" aria-live="polite">\(counted(rows.count, "row"))</span></p>
      <div class="wide"><table><thead><tr>\(head.joined())</tr></thead><tbody>\(first.joined())</tbody></table></div>
      <p><button type="button" class="more" hidden>More rows</button></p>
      <script type="application/json">\(data.compactText.printableJSON.jsonInScript)</script></div>
      """)
  }

  private static let rowsWithoutScript = 200

  var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(title.html)</title>
    <style>\(Self.style)</style>
    </head>
    <body>
    <main>
    <h1>\(title.html)</h1>
    \(body)</main>
    <script>\(Self.script)</script>
    </body>
    </html>

    """
  }

  private static let style: String = {
    let light = ["#eef3fa", "#d6e4f5", "#b3cfec", "#86b3e0", "#5793d0", "#2f73bb", "#14549b", "#08366f"]
    let dark = ["#1b2836", "#20374f", "#264b70", "#2d6193", "#3c7bb8", "#5f9ad4", "#93bfe8", "#cfe3f8"]
    let lines = ["#1f6fc0", "#d9730d", "#2e8b57", "#b03a8c", "#7a5cc8", "#8a6d1a"]
    func variables(_ colours: [String]) -> String {
      colours.enumerated().map { "--h\($0.offset):\($0.element);" }.joined()
    }
    let steps = light.indices.map { ".h\($0){fill:var(--h\($0))}.b\($0){background:var(--h\($0))}" }.joined()
    let keys = lines.enumerated().map {
      ".l\($0.offset){stroke:\($0.element)}.k\($0.offset){background:\($0.element)}"
    }.joined()
    return """
      :root{color-scheme:light dark;--ink:#1c2024;--soft:#5b6470;--line:#d8dde3;--paper:#fff;--bar:#2f73bb;--on:#fff;--off:#1c2024;\(variables(light))}
      @media(prefers-color-scheme:dark){:root{--ink:#e6eaee;--soft:#9aa5b1;--line:#333c46;--paper:#12171c;--bar:#5f9ad4;--on:#10151a;--off:#e6eaee;\(variables(dark))}}
      body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
      main{max-width:1100px;margin:0 auto;padding:24px 16px}
      h1{font-size:1.5em;overflow-wrap:anywhere}h2{font-size:1.15em;margin:2em 0 .4em}h3{font-size:1em;margin:1.4em 0 .3em}
      .wide{overflow-x:auto}svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg text.on{fill:var(--on)}svg text.off{fill:var(--off)}
      svg .bar{fill:var(--bar)}polyline{fill:none;stroke-width:1.8}.goal{stroke:var(--soft);stroke-dasharray:4 4}
      table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{text-align:left;padding:3px 12px 3px 0;border-bottom:1px solid var(--line);font-weight:400;vertical-align:top}tr>:not(:last-child){white-space:nowrap}
      thead th{color:var(--soft);white-space:nowrap}.n{white-space:nowrap}.n{text-align:right}th button{all:unset;cursor:pointer}th button:focus-visible,input:focus-visible,.more:focus-visible{outline:2px solid var(--bar);outline-offset:2px}
      th[aria-sort=ascending] button::after{content:" \\2191"}th[aria-sort=descending] button::after{content:" \\2193"}
      code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}p{margin:.4em 0;max-width:75ch}.legend,.key{color:var(--soft);font-size:13px}.key{list-style:none;padding:0}
      .box{display:inline-block;width:14px;height:12px;border-radius:2px;vertical-align:-1px}\(steps)\(keys)
      """
  }()

  private static let script = """
    'use strict';
    for (const list of document.querySelectorAll('.list')) {
      const data = JSON.parse(list.querySelector('script').textContent), numeric = new Set(data.numeric);
      const body = list.querySelector('tbody'), more = list.querySelector('.more'), status = list.querySelector('[role=status]');
      const page = 200;
      let rows = data.rows, shown = 0;
      const number = v => { const a = Math.abs(v); return a && (a < 1e-4 || a >= 1e15) ? v.toExponential(2) : Number.isInteger(v) ? String(v) : String(Number(v.toPrecision(3))); };
      const text = v => v === null ? '' : typeof v === 'number' ? number(v) : v;
      function add() {
        const part = document.createDocumentFragment();
        for (const row of rows.slice(shown, shown + page)) {
          const line = document.createElement('tr');
          row.forEach((v, i) => { const cell = document.createElement('td'); cell.textContent = text(v); if (numeric.has(i)) cell.className = 'n'; line.append(cell); });
          part.append(line);
        }
        body.append(part);
        shown = Math.min(rows.length, shown + page);
        more.hidden = shown >= rows.length;
        status.textContent = shown < rows.length ? shown + ' of ' + rows.length + ' rows' : rows.length + (rows.length === 1 ? ' row' : ' rows');
      }
      function start() { body.replaceChildren(); shown = 0; add(); }
      const filter = list.querySelector('input');
      let order = null;
      function choose() {
        const words = filter.value.toLowerCase().split(/\\s+/).filter(w => w);
        rows = words.length ? data.rows.filter(r => { const t = r.map(text).join(' ').toLowerCase(); return words.every(w => t.includes(w)); }) : data.rows.slice();
        if (order) {
          const [c, sign] = order;
          rows.sort((a, b) => {
            if (a[c] === null || b[c] === null) return (a[c] === null) - (b[c] === null);
            return sign * (numeric.has(c) ? a[c] - b[c] : a[c] < b[c] ? -1 : a[c] > b[c] ? 1 : 0);
          });
        }
        start();
      }
      filter.addEventListener('input', choose);
      more.addEventListener('click', add);
      for (const button of list.querySelectorAll('th button')) button.addEventListener('click', () => {
        const c = Number(button.dataset.c), head = button.parentElement, now = head.getAttribute('aria-sort');
        const sign = now === 'descending' ? 1 : now === 'ascending' ? -1 : numeric.has(c) ? -1 : 1;
        for (const other of list.querySelectorAll('th')) other.removeAttribute('aria-sort');
        head.setAttribute('aria-sort', sign < 0 ? 'descending' : 'ascending');
        order = [c, sign];
        choose();
      });
      choose();
    }
    """
}
