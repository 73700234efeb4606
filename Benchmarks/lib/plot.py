"""Line charts as SVG, by matplotlib: the same bytes for the same numbers and version."""
import io

COLOURS = ("#2563a8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0f766e")
STYLE = {
    "font.family": "sans-serif", "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"], "font.size": 9, "axes.titlesize": 11,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888", "axes.grid": True, "grid.color": "#d4d4d4", "grid.linewidth": 0.6,
    "lines.linewidth": 1.6, "lines.marker": "o", "lines.markersize": 4, "lines.markeredgecolor": "white", "legend.frameon": False, "legend.fontsize": 8,
    # Text stays text, and no identifier is random.
    "svg.fonttype": "none", "svg.hashsalt": "tmpack",
}


class Chart:
    """Lines over an axis, and levels that do not depend on it.

    `x_ticks`: where the axis has ticks, and nowhere else.
    """

    def __init__(self, title, x, y, logarithmic_x=True, logarithmic_y=False, x_ticks=None):
        self.title, self.x, self.y = title, x, y
        self.logarithmic_x, self.logarithmic_y, self.x_ticks = logarithmic_x, logarithmic_y, x_ticks
        self.lines, self.levels = [], []

    def line(self, name, points):
        self.lines.append((name, [(x, y) for x, y in points if x > 0 or not self.logarithmic_x]))

    def level(self, name, value):
        self.levels.append((name, value))

    def svg(self):
        return figure([self], width=760, height=460)

    def draw(self, axes):
        from matplotlib.ticker import EngFormatter, NullLocator
        axes.set(title=self.title, xlabel=self.x, ylabel=self.y)
        axes.set_xscale("log" if self.logarithmic_x else "linear")
        axes.set_yscale("log" if self.logarithmic_y else "linear")
        for (name, points), colour in zip(self.lines, COLOURS * len(self.lines)):
            axes.plot(*zip(*points), color=colour, label=name)
        for name, value in self.levels:
            axes.axhline(value, color="#777", linestyle="--", linewidth=1, marker="")
            axes.annotate(name, (1, value), xycoords=("axes fraction", "data"), xytext=(-4, 3), textcoords="offset points", ha="right")
        for axis, logarithmic in (axes.xaxis, self.logarithmic_x), (axes.yaxis, self.logarithmic_y):
            if logarithmic:
                # 0.25, 1000, 20 k instead of powers of ten.
                axis.set_major_formatter(EngFormatter(places=None) if max(axis.get_view_interval()) >= 1e4 else "{x:g}")
        if self.x_ticks:
            axes.set_xticks(self.x_ticks)
            axes.xaxis.set_minor_locator(NullLocator())
        if not self.logarithmic_y:
            axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
        axes.legend(ncols=2)


def figure(charts, columns=1, width=400, height=300):
    """Charts beside and below each other, as one SVG; `width` and `height` are of one, in pixels of 1/96 inch."""
    try:
        import matplotlib
    except ImportError as fault:
        raise SystemExit(f"charts need matplotlib: {fault}")
    from matplotlib.figure import Figure
    columns = min(columns, len(charts))
    rows = -(-len(charts) // columns)
    with matplotlib.rc_context(STYLE):
        drawn = Figure(figsize=(width * columns / 96, height * rows / 96), layout="constrained")
        panels = list(drawn.subplots(rows, columns, squeeze=False).flat)
        for axes, chart in zip(panels, charts):
            chart.draw(axes)
        for axes in panels[len(charts):]:
            axes.set_visible(False)
        text = io.StringIO()
        drawn.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
