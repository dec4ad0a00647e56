"""Draws numbers as lines (SVG), in the colours of the page's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

__all__ = ["Point", "draw_line"]

_WIDTH, _HEIGHT = 520.0, 180.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 12.0, 12.0, 26.0
_MOST = 1000
_DOTS = 60


class Point(NamedTuple):
    """A number to be drawn.

    :param label: what is said where one points at it.
    """

    x: float
    y: float
    label: str


def draw_line(points: Sequence[Point], title: str, first: str, last: str) -> Markup:
    """Return a picture of points, joined by a line.

    :param title: what it is called where it can't be seen.
    :param first: what stands at the left end of the axis, as ``last`` does at the right one.
    """
    drawn = _thinned([point for point in points if math.isfinite(point.x) and math.isfinite(point.y)])
    if not drawn:
        return Markup('<p class="dim">no finite numbers</p>')
    low, high = min(point.y for point in drawn), max(point.y for point in drawn)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    start, end = drawn[0].x, drawn[-1].x
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(point: Point) -> tuple[float, float]:
        # halves keep the difference of two very large numbers finite
        across = (point.x - start) / (end - start) if end > start else 0.5
        up = (point.y / 2 - low / 2) / (high / 2 - low / 2)
        return _LEFT + across * width, _TOP + (1 - up) * height

    places = [place(point) for point in drawn]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        Markup('<circle cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
            f"{x:.1f}", f"{y:.1f}", 3 if len(drawn) <= _DOTS else 1.5, point.label[:200]
        )
        for (x, y), point in zip(places, drawn, strict=True)
    )
    rules = "".join(
        f'<line class="rule" x1="{_LEFT:g}" x2="{_WIDTH - _RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8:g}" y="{y + 4:.1f}" text-anchor="end">{escape(_short(value))}</text>'
        for value, y in ((high, _TOP), (low / 2 + high / 2, _TOP + height / 2), (low, _TOP + height))
    )
    ends = "".join(
        f'<text x="{x:g}" y="{_HEIGHT - 6:g}" text-anchor="{anchor}">{escape(text)}</text>'
        for x, anchor, text in ((_LEFT, "start", first), (_WIDTH - _RIGHT, "end", last))
    )
    return Markup(  # noqa: S704 - its parts are numbers, and texts that are escaped
        f'<svg class="plot" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img">'
        f"<title>{escape(title[:200])}</title>{rules}{ends}"
        f'<polyline points="{line}"/>{dots}</svg>'
    )


def _thinned(points: list[Point]) -> list[Point]:
    """Return no more points than a screen can show: of each part the least and the greatest, so that no peak is lost."""
    if len(points) <= _MOST:
        return points
    size = math.ceil(2 * len(points) / _MOST)
    kept: list[Point] = []
    for first in range(0, len(points), size):
        part = points[first : first + size]
        ends = {min(part, key=lambda point: point.y), max(part, key=lambda point: point.y)}
        kept += sorted(ends, key=lambda point: point.x)
    return kept


def _short(value: float) -> str:
    return f"{value:.4g}"
