"""Draws the steps of a run, each in the colour of how it went and leading to its page."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup, escape

from airflow_ml_pipelines.core.spec import PipelineSpec
from airflow_ml_pipelines.plugin.page.steps import StepView
from dag_factory.graphs.graph import Edge, Graph, Node, graph_of
from dag_factory.graphs.layout import place

__all__ = ["draw_graph", "draw_run"]

_HEIGHT, _MARGIN, _LONGEST = 52.0, 12.0, 32


def draw_run(
    spec: PipelineSpec, steps: Sequence[StepView], path: Callable[[str], str], *, is_over: bool = False
) -> Markup:
    """Return the graph of a run's steps.

    :param path: gives the address of a step's page.
    :param is_over: whether a step of which nothing is known will not begin any more.
    """
    known = {item.id: item for item in steps}
    graph = graph_of(spec)
    ids = {f"s{number}": step.id for number, step in enumerate(spec.steps, 1)}
    notes: dict[str, tuple[str, str, str]] = {}
    for node in graph.nodes:
        if node.kind == "step":
            step = known.get(ids[node.id])
            if step is None:  # there is no plan, so it has no page
                notes[node.id] = ("skipped", "did not begin", "") if is_over else ("waiting", "waiting", "")
            else:
                notes[node.id] = (step.state, step.summary, path(step.id))
    return draw_graph(graph, notes, f"The steps of {spec.name}")


def draw_graph(graph: Graph, notes: Mapping[str, tuple[str, str, str]], title: str) -> Markup:
    """Return a graph.

    :param notes: for a node: its class in the style, what stands below its label, and where it leads.
    """
    widths = {
        node.id: max(132.0, 28 + 7.4 * max(_width(_cut(node.label)), _width(_note(notes, node)[1])))
        for node in graph.nodes
    }
    layout = place(graph, widths, _HEIGHT)
    edges = "".join(
        _edge(edge, [(x + _MARGIN, y + _MARGIN) for x, y in route])
        for edge, route in zip(graph.edges, layout.routes, strict=True)
    )
    nodes = "".join(
        _node(node, _note(notes, node), layout.centers[node.id], widths[node.id]) for node in graph.nodes
    )
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
    return Markup(  # noqa: S704 - its parts are numbers, and texts that are escaped
        f'<svg class="graph" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="group" aria-label="{escape(title)}">'
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L8 4L0 8z"/></marker></defs>{edges}{nodes}</svg>'
    )


def _note(notes: Mapping[str, tuple[str, str, str]], node: Node) -> tuple[str, str, str]:
    return notes.get(
        node.id, (node.kind, {"data": "data", "dataset": "dataset"}.get(node.kind, node.kind), "")
    )


def _node(node: Node, note: tuple[str, str, str], center: tuple[float, float], width: float) -> str:
    kind, text, href = note
    x, y = center[0] + _MARGIN, center[1] + _MARGIN
    body = (
        f'<rect x="{x - width / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{width:.1f}" height="{_HEIGHT:g}" rx="6"/>'
        f'<text class="name" x="{x:.1f}" y="{y - 4:.1f}">{escape(_cut(node.label))}</text>\n'
        f'<text class="note" x="{x:.1f}" y="{y + 15:.1f}">{escape(text)}</text>'
    )
    title = escape(f"{node.label[:200]}: {text}")
    label = escape(f"{_cut(node.label)} {text}")  # which says what can be read, as voice control needs it
    if not href:
        return f'<g class="node {escape(kind)}"><title>{title}</title>{body}</g>'
    return f'<a href="{escape(href)}" class="node {escape(kind)}" aria-label="{label}"><title>{title}</title>{body}</a>'


def _edge(edge: Edge, route: Sequence[tuple[float, float]]) -> str:
    (x0, y0), *between, (x1, y1) = route
    points = [(x0, y0 + _HEIGHT / 2), *between, (x1, y1 - _HEIGHT / 2)]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x, y), (next_x, next_y) in itertools.pairwise(points):
        middle = (y + next_y) / 2
        path += f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}"
    waits = "" if edge.label else " waits"
    title = f"<title>{escape(edge.label[:200])}</title>" if edge.label else ""
    return f'<path class="edge{waits}" d="{path}" marker-end="url(#end)">{title}</path>'


def _width(text: str) -> float:
    return len(text) + 0.8 * sum(unicodedata.east_asian_width(character) in "WF" for character in text)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
