"""The graph of a pipeline: what its steps read, in which order they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from airflow_ml_pipelines.core.spec import (
    Data,
    DataParameter,
    Location,
    PipelineSpec,
    RegisteredDataset,
    StepOutput,
    StepSpec,
)
from airflow_ml_pipelines.core.stores.credentials import mask_url

__all__ = ["Edge", "Graph", "Kind", "Node", "graph_of", "source_text"]

Kind = Literal["step", "data", "dataset", "parameter"]


@dataclass(frozen=True)
class Node:
    """A step, or something that steps read.

    :param id: letters and digits; unique in the graph.
    """

    id: str
    kind: Kind
    label: str


@dataclass(frozen=True)
class Edge:
    """What leads from one node to another.

    :param source: the id of a node.
    :param label: the names of the inputs or outputs; "" where a step only waits for another.
    """

    source: str
    target: str
    label: str


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of the definition, what is read before the steps; edges in the order of their targets."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph_of(spec: PipelineSpec) -> Graph:
    """Return the graph of a pipeline."""
    steps = {step.id: Node(f"s{number}", "step", step.name) for number, step in enumerate(spec.steps, 1)}
    read: dict[tuple[Kind, str], Node] = {}
    labels: dict[tuple[str, str], dict[str, None]] = {}
    for step in spec.steps:
        for origin, label in _origins(step):
            if isinstance(origin, str):
                source = steps[origin]
            else:
                source = read.setdefault(origin, Node(f"d{len(read) + 1}", *origin))
            names = labels.setdefault((source.id, steps[step.id].id), {})
            if label:
                names[label] = None
    edges = (Edge(source, target, ", ".join(names)) for (source, target), names in labels.items())
    return Graph((*read.values(), *steps.values()), tuple(edges))


def source_text(source: Data | RegisteredDataset | DataParameter) -> tuple[Kind, str]:
    """Return what data from outside of the pipeline is, and what it is called; without secrets."""
    match source:
        case DataParameter():
            return "parameter", source.parameter
        case RegisteredDataset():
            version = "" if source.version is None else f":{source.version}"
            return "dataset", f"{source.dataset}{version}"
    first, *others = source.locations or (Location(path=""),)
    if source.query is not None:
        return "data", f"query of {first.datastore}"
    text = mask_url(first.path) if first.datastore is None else f"{first.datastore}:{first.path}"
    return "data", f"{text} and {len(others)} more" if others else text


def _origins(step: StepSpec) -> Iterator[tuple[str | tuple[Kind, str], str]]:
    """Yield what a step reads or waits for (the id of a step, or data), and what the edge is called."""
    for item in step.inputs:
        if isinstance(item.source, StepOutput):
            yield item.source.step, item.source.output
        else:
            yield source_text(item.source), item.name
    for other in step.after:
        yield other, ""
