"""The graph of a pipeline as a picture (SVG)."""

from __future__ import annotations

import re
import unicodedata
from html import escape

from dag_factory.graphs.graph import Graph, Kind, Node
from dag_factory.graphs.layout import place

__all__ = ["svg"]

_HEIGHT = 36.0
_MARGIN = 16.0
_LONGEST = 40
_SIZE = 13
_COLOURS: dict[Kind, tuple[str, str]] = {
    "step": ("#e8f0fe", "#3367d6"),
    "data": ("#fef7e0", "#b06000"),
    "dataset": ("#e6f4ea", "#137333"),
    "parameter": ("#f3e8fd", "#7627bb"),
}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" \
font-family="sans-serif" font-size="{size}" text-anchor="middle" role="img">
<title>{title}</title>
<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0L8 4L0 8z" fill="#5f6368"/></marker></defs>
<rect width="100%" height="100%" fill="#ffffff"/>
"""


def svg(graph: Graph, title: str) -> str:
    """Return a graph as an SVG document.

    :param title: what it is called where it can't be seen.
    """
    widths = {node.id: max(60.0, _text_width(_cut(node.label)) + 24) for node in graph.nodes}
    layout = place(graph, widths, _HEIGHT)
    width, height = (_number(size + 2 * _MARGIN) for size in (layout.width, layout.height))
    parts = [_HEAD.format(width=width, height=height, size=_SIZE, title=_clean(title))]
    labels = []
    for edge, route in zip(graph.edges, layout.routes, strict=True):
        (x0, y0), *between, (x1, y1) = [(x + _MARGIN, y + _MARGIN) for x, y in route]
        points = [(x0, y0 + _HEIGHT / 2), *between, (x1, y1 - _HEIGHT / 2)]
        dashes = "" if edge.label else ' stroke-dasharray="4 4"'
        parts.append(
            f'<path d="{_curve(points)}" fill="none" stroke="#5f6368"{dashes} marker-end="url(#end)"/>\n'
        )
        if edge.label:
            (ax, ay), (bx, by) = points[(len(points) - 1) // 2], points[len(points) // 2]
            labels.append(_label((ax + bx) / 2, (ay + by) / 2 + 4, edge.label))
    parts += [_node(node, *layout.centers[node.id], widths[node.id]) for node in graph.nodes]
    return "".join((*parts, *labels, "</svg>\n"))


def _node(node: Node, x: float, y: float, width: float) -> str:
    fill, stroke = _COLOURS[node.kind]
    x, y = x + _MARGIN, y + _MARGIN
    corner = {"step": 4, "parameter": _HEIGHT / 2}.get(node.kind, 12)
    return (
        f"<g><title>{_clean(node.label)}</title>"
        f'<rect x="{_number(x - width / 2)}" y="{_number(y - _HEIGHT / 2)}" width="{_number(width)}" '
        f'height="{_number(_HEIGHT)}" rx="{_number(corner)}" fill="{fill}" stroke="{stroke}"/>'
        f'<text x="{_number(x)}" y="{_number(y + 4.5)}">{_clean(_cut(node.label))}</text></g>\n'
    )


def _label(x: float, y: float, text: str) -> str:
    return (
        f'<text x="{_number(x)}" y="{_number(y)}" font-size="11" fill="#3c4043" stroke="#ffffff" stroke-width="4" '
        f'paint-order="stroke">{_clean(_cut(text))}</text>\n'
    )


def _curve(points: list[tuple[float, float]]) -> str:
    """Return a path through points, downwards at each of them."""
    x, y = points[0]
    path = f"M{_number(x)} {_number(y)}"
    for next_x, next_y in points[1:]:
        middle = (y + next_y) / 2
        path += "C" + " ".join(map(_number, (x, middle, next_x, middle, next_x, next_y)))
        x, y = next_x, next_y
    return path


def _text_width(text: str) -> float:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return (len(text) + 0.8 * wide) * _SIZE * 0.56


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _clean(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
