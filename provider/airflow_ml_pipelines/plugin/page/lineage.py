"""Draws which steps make and read datasets, as far as a user may see the runs of these steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from airflow_ml_pipelines.core.run_index import Flow
from airflow_ml_pipelines.plugin.page.run_graph import draw_graph
from dag_factory.graphs.graph import Edge, Graph, Node

__all__ = ["draw_lineage"]


def draw_lineage(
    flows: Sequence[Flow], dataset: Callable[[str], str], run: Callable[[Flow], str], title: str
) -> tuple[Markup, list[Flow]]:
    """Return the picture, and what is left out of it since it would lead back to where it came from.

    :param dataset: gives the address of a dataset's page.
    :param run: gives the address of the latest run of a step.
    """
    datasets = {
        name: f"d{number}" for number, name in enumerate(dict.fromkeys(flow.dataset for flow in flows))
    }
    steps: dict[tuple[str, str], str] = {}
    notes: dict[str, tuple[str, str, str]] = {
        node: ("dataset", "dataset", dataset(name)) for name, node in datasets.items()
    }
    nodes = [Node(node, "dataset", name) for name, node in datasets.items()]
    edges: list[Edge] = []
    left_out = []
    for flow in flows:
        key = (flow.pipeline, flow.step)
        if key not in steps:
            steps[key] = f"s{len(steps)}"
            nodes.append(Node(steps[key], "step", f"{flow.pipeline}: {flow.step}"))
            plural = "" if flow.runs == 1 else "s"
            notes[steps[key]] = ("step", f"{flow.runs} run{plural}", run(flow))
        ends = (datasets[flow.dataset], steps[key])
        edge = Edge(*(ends if flow.direction == "reads" else ends[::-1]), flow.direction)
        if _leads(edges, edge.target, edge.source):
            left_out.append(flow)
        else:
            edges.append(edge)
    return draw_graph(Graph(tuple(nodes), tuple(edges)), notes, title), left_out


def _leads(edges: Sequence[Edge], start: str, end: str) -> bool:
    """Return whether one gets from a node to another."""
    reached = [start]
    for node in reached:  # grows while it is read
        if node == end:
            return True
        reached += [edge.target for edge in edges if edge.source == node and edge.target not in reached]
    return False
