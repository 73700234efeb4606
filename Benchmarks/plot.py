"""Line charts as SVG, with nothing but the standard library."""
import math
from xml.sax.saxutils import escape

COLOURS = ("#2563a8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0f766e")
INK, FAINT, FAINTER = "#333", "#d4d4d4", "#eeeeee"


class Linear:
    """An axis from 0 or below, with round ticks."""

    def __init__(self, values, ticks=None, count=5):
        low, high = min(0, min(values)), max(values)
        step = self.step((high - low) / count)
        self.ticks = ticks or [step * k for k in range(math.floor(low / step), math.ceil(high / step - 1e-9) + 1)]
        if len(self.ticks) == 1:
            self.ticks.append(self.ticks[0] + step)
        self.minor = []

    @staticmethod
    def step(rough):
        """The least of …, 1, 2, 5, 10, … that is not below `rough`."""
        rough = max(rough, 1e-12)
        size = 10.0 ** math.floor(math.log10(rough))
        return next(size * k for k in (1, 2, 5, 10) if size * k >= rough * (1 - 1e-9))

    def place(self, value):
        return (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])


class Logarithmic:
    """An axis of as much of some decades as is needed; the decades are labelled, and the steps between them where there is room."""

    def __init__(self, values, ticks=None):
        steps = [k * 10.0 ** d for d in range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1) for k in range(1, 10)]
        first = max((i for i, s in enumerate(steps) if s <= min(values) * (1 + 1e-9)), default=0)
        last = next(i for i, s in enumerate(steps) if s >= max(values) * (1 - 1e-9))
        if first == last:
            last += 1
        self.minor = steps[first:last + 1]
        self.low, self.high = steps[first], steps[last]
        self.ticks = ticks or self.labelled()
        if ticks:
            self.low, self.high, self.minor = min(self.low, ticks[0]), max(self.high, ticks[-1]), []

    def labelled(self):
        decades = math.log10(self.high / self.low)
        leading = (1,) if decades > 2.6 else (1, 2, 5) if decades > 0.7 else range(1, 10)
        return [s for s in self.minor if round(s / 10 ** math.floor(math.log10(s) + 1e-9)) in leading]

    def place(self, value):
        return math.log10(value / self.low) / math.log10(self.high / self.low)


class Chart:
    """Lines over an axis, and levels that do not depend on it.

    `x_ticks`: where the axis has ticks, and nowhere else.
    """

    WIDTH, HEIGHT = 760, 460
    LEFT, RIGHT, BOTTOM = 60, 20, 46
    LEGEND_ROW = 19

    def __init__(self, title, x, y, logarithmic_x=True, logarithmic_y=False, x_ticks=None):
        self.title, self.x, self.y = title, x, y
        self.logarithmic_x, self.logarithmic_y, self.x_ticks = logarithmic_x, logarithmic_y, x_ticks
        self.lines, self.levels = [], []

    def line(self, name, points):
        self.lines.append((name, [(x, y) for x, y in points if x > 0 or not self.logarithmic_x]))

    def level(self, name, value):
        self.levels.append((name, value))

    def svg(self):
        return figure([self], width=self.WIDTH, height=self.HEIGHT)

    # MARK: Parts, in a panel of some size whose corner is the origin

    def panel(self, width, height):
        """The elements, from the back to the front."""
        legend = self.legend_rows(width)
        top = 36 + self.LEGEND_ROW * len(legend)
        right, bottom = width - self.RIGHT, height - self.BOTTOM
        x_axis, y_axis = self.axes()

        def px(value):
            return self.LEFT + x_axis.place(value) * (right - self.LEFT)

        def py(value):
            return bottom - y_axis.place(value) * (bottom - top)
        parts = [self.text(width / 2, 22, self.title, "middle", 'font-size="15" font-weight="600"')]
        parts += self.legend(legend)
        parts += [f'<path d="M{self.LEFT} {py(t):.1f}H{right}" stroke="{FAINTER}"/>' for t in y_axis.minor]
        parts += [f'<path d="M{px(t):.1f} {top}V{bottom}" stroke="{FAINTER}"/>' for t in x_axis.minor]
        for tick in y_axis.ticks:
            parts += [f'<path d="M{self.LEFT} {py(tick):.1f}H{right}" stroke="{FAINT}"/>', self.text(self.LEFT - 7, py(tick) + 4, self.number(tick), "end")]
        for tick in x_axis.ticks:
            parts += [f'<path d="M{px(tick):.1f} {top}V{bottom + 4}" stroke="{FAINT}"/>', self.text(px(tick), bottom + 18, self.number(tick), "middle")]
        parts.append(f'<path d="M{self.LEFT} {top}V{bottom}H{right}" fill="none" stroke="#888"/>')
        parts.append(self.text((self.LEFT + right) / 2, height - 9, self.x, "middle"))
        parts.append(f'<text transform="translate(15 {(top + bottom) / 2:.1f}) rotate(-90)" text-anchor="middle" fill="{INK}">{escape(self.y)}</text>')
        for name, value in self.levels:
            parts += [f'<path d="M{self.LEFT} {py(value):.1f}H{right}" stroke="#777" stroke-dasharray="5 4"/>', self.text(right - 4, py(value) - 5, name, "end", 'stroke="white" stroke-width="3" paint-order="stroke"')]
        for index, (_, points) in enumerate(self.lines):
            colour = COLOURS[index % len(COLOURS)]
            path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>')
            parts += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="3.5" fill="{colour}" stroke="white"/>' for x, y in points]
        return parts

    def axes(self):
        xs = [x for _, points in self.lines for x, _ in points]
        ys = [y for _, points in self.lines for _, y in points] + [value for _, value in self.levels]
        return ((Logarithmic if self.logarithmic_x else Linear)(xs, ticks=self.x_ticks), (Logarithmic if self.logarithmic_y else Linear)(ys))

    def legend_rows(self, width):
        """Rows of (x, colour, name), as many as fit beside each other."""
        rows, x = [], width
        for index, (name, _) in enumerate(self.lines):
            needed = 34 + 6.7 * len(name)
            if x + needed > width - self.RIGHT:
                rows.append([])
                x = self.LEFT
            rows[-1].append((x, COLOURS[index % len(COLOURS)], name))
            x += needed
        return rows

    def legend(self, rows):
        parts = []
        for number, row in enumerate(rows):
            y = 42 + self.LEGEND_ROW * number
            for x, colour, name in row:
                parts += [f'<path d="M{x:.1f} {y - 4}h16" stroke="{colour}" stroke-width="2"/><circle cx="{x + 8:.1f}" cy="{y - 4}" r="3.5" fill="{colour}"/>',
                          self.text(x + 21, y, name, "start")]
        return parts

    @staticmethod
    def text(x, y, text, anchor, more=""):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}" {more}>{escape(text)}</text>'.replace(" >", ">")

    @staticmethod
    def number(value):
        """As a label: 0.25, 1000, 20 k."""
        if abs(value) < 1e4:
            return f"{value:.6g}"
        return f"{value / 1e6:g} M" if abs(value) >= 1e6 else f"{value / 1e3:g} k"


def figure(charts, columns=1, width=400, height=300):
    """Charts beside and below each other, as one SVG; `width` and `height` are of one."""
    rows = -(-len(charts) // columns)
    total = (width * min(columns, len(charts)), height * rows)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" font-family="Helvetica, Arial, sans-serif" font-size="12.5">',
             f'<rect width="{total[0]}" height="{total[1]}" fill="white"/>']
    for number, chart in enumerate(charts):
        parts.append(f'<g transform="translate({number % columns * width} {number // columns * height})">')
        parts += chart.panel(width, height)
        parts.append("</g>")
    return "\n".join(parts + ["</svg>", ""])
