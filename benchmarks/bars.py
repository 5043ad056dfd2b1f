"""Horizontal bars beside their names as SVG: no library, no font from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.plot import COLOURS

WIDTH, TOP, STEP = 760, 34, 26
NAMES, FIGURES = 330, 150  # room for the names left of the bars and for the figures right of them


@dataclass(frozen=True, slots=True)
class Bar:
    """A name, its figure from zero, the text that shows it, and which of the colours it has."""

    name: str
    figure: float
    text: str
    colour: int = 0


def svg(title: str, rows: Sequence[Bar]) -> str:
    """Return bars under each other, below a title."""
    most = max(row.figure for row in rows) or 1.0
    height = TOP + len(rows) * STEP + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for number, row in enumerate(rows):
        y = TOP + number * STEP
        width = round((WIDTH - NAMES - FIGURES) * row.figure / most, 1)
        parts += [
            f'<text x="{NAMES - 8}" y="{y + 14}" text-anchor="end">{escape(row.name)}</text>',
            f'<rect x="{NAMES}" y="{y}" width="{width}" height="{STEP - 8}" fill="{COLOURS[row.colour]}"/>',
            f'<text x="{NAMES + width + 6}" y="{y + 14}">{escape(row.text)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
