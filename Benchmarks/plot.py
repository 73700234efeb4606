"""Line charts as SVG, with nothing but the standard library."""
import math
from xml.sax.saxutils import escape

COLOURS = ("#2563a8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0f766e")


class Chart:
    """Lines over an axis that is logarithmic, and levels that do not depend on it."""

    WIDTH, HEIGHT = 760, 460
    LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 52

    def __init__(self, title, x, y, logarithmic_y=False):
        self.title, self.x, self.y, self.logarithmic_y = title, x, y, logarithmic_y
        self.lines, self.levels = [], []

    def line(self, name, points):
        self.lines.append((name, [p for p in points if p[0] > 0]))

    def level(self, name, value):
        self.levels.append((name, value))

    def svg(self):
        xs = [x for _, points in self.lines for x, _ in points]
        ys = [y for _, points in self.lines for _, y in points] + [value for _, value in self.levels]
        x_low, x_high = 10 ** math.floor(math.log10(min(xs))), 10 ** math.ceil(math.log10(max(xs)))
        if x_low == x_high:
            x_high *= 10
        forward = math.log10 if self.logarithmic_y else float
        if self.logarithmic_y:
            ticks = [10.0 ** k for k in range(math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys))) + 1)]
        else:
            step = self._step(max(ys) - min(min(ys), 0))
            ticks = [step * k for k in range(math.floor(min(0, min(ys)) / step), math.ceil(max(ys) / step) + 1)]
        if len(ticks) == 1:
            ticks.append(ticks[0] * 10 if self.logarithmic_y else ticks[0] + 1)
        low, high = forward(ticks[0]), forward(ticks[-1])

        def px(x):
            share = (math.log10(x) - math.log10(x_low)) / (math.log10(x_high) - math.log10(x_low))
            return self.LEFT + share * (self.WIDTH - self.LEFT - self.RIGHT)

        def py(y):
            return self.HEIGHT - self.BOTTOM - (forward(y) - low) / (high - low) * (self.HEIGHT - self.TOP - self.BOTTOM)

        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.WIDTH} {self.HEIGHT}" font-family="sans-serif" font-size="13">',
            f'<rect width="{self.WIDTH}" height="{self.HEIGHT}" fill="white"/>',
            f'<text x="{self.WIDTH / 2}" y="22" text-anchor="middle" font-size="16">{escape(self.title)}</text>',
            f'<text x="{self.WIDTH / 2}" y="{self.HEIGHT - 12}" text-anchor="middle">{escape(self.x)}</text>',
            f'<text transform="translate(16 {self.HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(self.y)}</text>']
        for tick in ticks:
            parts.append(f'<path d="M{self.LEFT} {py(tick):.1f}H{self.WIDTH - self.RIGHT}" stroke="#ddd"/>')
            parts.append(f'<text x="{self.LEFT - 6}" y="{py(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
        decade = x_low
        while decade <= x_high * 1.0001:
            parts.append(f'<path d="M{px(decade):.1f} {self.TOP}V{self.HEIGHT - self.BOTTOM}" stroke="#ddd"/>')
            parts.append(f'<text x="{px(decade):.1f}" y="{self.HEIGHT - self.BOTTOM + 18}" text-anchor="middle">{decade:g}</text>')
            decade *= 10
        for name, value in self.levels:
            parts.append(f'<path d="M{self.LEFT} {py(value):.1f}H{self.WIDTH - self.RIGHT}" stroke="#666" stroke-dasharray="5 4"/>')
            parts.append(f'<text x="{self.WIDTH - self.RIGHT - 4}" y="{py(value) - 5:.1f}" text-anchor="end" fill="#444">{escape(name)}</text>')
        for index, (name, points) in enumerate(self.lines):
            colour = COLOURS[index % len(COLOURS)]
            path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{px(x):.1f}" cy="{py(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
            y = self.HEIGHT - self.BOTTOM - 12 - 18 * (len(self.lines) - 1 - index)
            parts.append(f'<circle cx="{self.WIDTH - 190}" cy="{y - 4}" r="4" fill="{colour}"/><text x="{self.WIDTH - 180}" y="{y}">{escape(name)}</text>')
        return "\n".join(parts + ["</svg>", ""])

    @staticmethod
    def _step(span):
        """A round number of which about five cover the span."""
        rough = max(span, 1e-12) / 5
        size = 10 ** math.floor(math.log10(rough))
        return next(size * k for k in (1, 2, 5, 10) if size * k >= rough)
