"""SVG, as much of it as the plots of the benchmarks need. Colours are of a middle lightness, and the ground is
transparent, so that a drawing can be read on white and on black."""

import math
from xml.sax.saxutils import escape, quoteattr

TEXT = "#757b84"
LINE = "#757b8455"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
SIZE = 12


class Drawing:
    """Shapes, in the order in which they are painted. Lengths are pixels, y goes down."""

    def __init__(self, title, width, height):
        self.title = title
        self.width = width
        self.height = height
        self._shapes = []

    def text(self, x, y, words, anchor="start", fill=TEXT, bold=False, size=SIZE):
        weight = ' font-weight="600"' if bold else ""
        self._shapes.append(
            f'<text x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}" fill="{fill}" font-size="{size}"{weight}>'
            f"{escape(words)}</text>"
        )

    def line(self, x1, y1, x2, y2, stroke=LINE, width=1, dashes=""):
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._shapes.append(
            f'<line x1="{_short(x1)}" y1="{_short(y1)}" x2="{_short(x2)}" y2="{_short(y2)}" stroke="{stroke}" '
            f'stroke-width="{width}"{dashed}/>'
        )

    def bar(self, x, y, width, height, fill, opacity=1.0):
        see_through = f' fill-opacity="{opacity}"' if opacity < 1 else ""
        self._shapes.append(
            f'<rect x="{_short(x)}" y="{_short(y)}" width="{_short(max(width, 1))}" height="{_short(height)}" rx="2" '
            f'fill="{fill}"{see_through}/>'
        )

    def dot(self, x, y, radius, fill):
        self._shapes.append(f'<circle cx="{_short(x)}" cy="{_short(y)}" r="{_short(radius)}" fill="{fill}"/>')

    def curve(self, points, stroke, width=2):
        path = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
        self._shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}" stroke-linejoin="round"/>'
        )

    def as_svg(self):
        shapes = "\n".join(self._shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-label={quoteattr(self.title)} font-family="{FONT}">\n'
            f"<title>{escape(self.title)}</title>\n{shapes}\n</svg>\n"
        )


class Scale:
    """Values from 0 to `high` as pixels from `begin` to `end`, with a few round ticks, the last at or above `high`."""

    def __init__(self, high, begin, end, ticks=5):
        step = _round_step(high / ticks) if high > 0 else 1.0
        self.high = step * max(1, math.ceil(high / step - 1e-9))
        self.ticks = [step * i for i in range(round(self.high / step) + 1)]
        self._begin = begin
        self._end = end

    def __call__(self, value):
        return self._begin + (self._end - self._begin) * value / self.high


class LogScale:
    """Values as pixels from `begin` to `end`, in equal steps for equal factors. The ticks are 1, 2 and 5 times the
    powers of ten, from the last at or below `low` to the first at or above `high`."""

    def __init__(self, low, high, begin, end):
        powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
        ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        first = max(i for i, tick in enumerate(ticks) if tick <= low * (1 + 1e-9))
        last = next(i for i, tick in enumerate(ticks) if tick >= high * (1 - 1e-9) and i > first)
        self.ticks = ticks[first : last + 1]
        self._begin = begin
        self._end = end

    def __call__(self, value):
        part = math.log(value / self.ticks[0]) / math.log(self.ticks[-1] / self.ticks[0])
        return self._begin + (self._end - self._begin) * part


def _round_step(least):
    """The smallest of 1, 2 and 5, times a power of ten, that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least * (1 - 1e-9))


def _short(value):
    return f"{value:.1f}".removesuffix(".0")
