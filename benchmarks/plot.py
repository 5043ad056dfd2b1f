"""Small charts of lines, side by side, as SVG: no library, no font from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 380, 280  # of a chart
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 40, 44
MOST_TICKS = 6  # on the horizontal axis: more values than that are shown by four even steps
COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44")


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, and (x, y) points."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A title, what the vertical axis shows, lines, and what the horizontal axis shows."""

    title: str
    unit: str
    series: Sequence[Series]
    across: str = "validators"


def svg(charts: Sequence[Chart]) -> str:
    """Return charts side by side."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(charts)} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH * len(charts)}" height="{HEIGHT}" fill="white"/>',
    ]
    for number, chart in enumerate(charts):
        parts.append(f'<g transform="translate({number * WIDTH} 0)">{_chart(chart)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _chart(chart: Chart) -> str:
    most_x = max(x for line in chart.series for x, _ in line.points)
    most_y = _round_up(max(y for line in chart.series for _, y in line.points))

    def at(x: float, y: float) -> tuple[float, float]:
        across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return round(LEFT + across * x / most_x, 1), round(HEIGHT - BOTTOM - down * y / most_y, 1)

    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{chart.title}</text>']
    for step in range(5):
        value = most_y * step / 4
        (x1, y), (x2, _) = at(0, value), at(most_x, value)
        parts.append(f'<line x1="{x1}" y1="{y}" x2="{x2}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    sizes = sorted({x for line in chart.series for x, _ in line.points})
    if len(sizes) > MOST_TICKS:
        sizes = [most_x * step / 4 for step in range(5)]
    below = HEIGHT - BOTTOM + 16
    parts += [f'<text x="{at(x, 0)[0]}" y="{below}" text-anchor="middle">{x:,.10g}</text>' for x in sizes]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{chart.across}</text>')
    parts.append(f'<text transform="translate(13 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{chart.unit}</text>')
    for number, line in enumerate(chart.series):
        colour = COLOURS[number % len(COLOURS)]
        points = [at(x, y) for x, y in line.points]
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) <= MOST_TICKS:
            parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(f'<text x="{LEFT + 8 + 120 * number}" y="34" fill="{colour}">{line.name}</text>')
    return "".join(parts)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 8 times a power of ten: four equal steps with short labels."""
    power = 1e-3
    while True:
        for factor in (1, 2, 4, 8):
            if factor * power >= value:
                return factor * power
        power *= 10
