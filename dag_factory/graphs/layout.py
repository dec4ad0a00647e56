"""Places the nodes of a graph in layers, each below those that it follows.

The usual four steps: a layer for each node, points for edges to pass the layers between, an order in each layer with few
crossings, and places near the neighbours. There is nothing random in it, so equal graphs have equal pictures.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dag_factory.graphs.graph import Graph

__all__ = ["Layout", "place"]

GAP_X, GAP_Y = 28.0, 64.0
_POINT = 10.0
_ROUNDS = 8
_SWEEPS = 12


@dataclass
class Layout:
    """Where everything is.

    :param centers: the middle of each node, by its id.
    :param routes: the points of each edge, by its number, from the middle of one node to that of another.
    """

    centers: dict[str, tuple[float, float]]
    routes: list[list[tuple[float, float]]]
    width: float
    height: float


@dataclass
class _Layers:
    rows: list[list[str]]
    widths: dict[str, float]
    above: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    below: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def join(self, one: str, other: str) -> None:
        self.below[one].append(other)
        self.above[other].append(one)


def place(graph: Graph, widths: Mapping[str, float], height: float) -> Layout:
    """Place a graph without cycles.

    :param widths: of each node, by its id.
    :param height: of every node.
    """
    if not graph.nodes:
        return Layout({}, [], 0.0, 0.0)
    levels = _levels(graph)
    layers, chains = _with_points(graph, levels, widths)
    _order(layers)
    x = _spread(layers)
    y = {name: level * (height + GAP_Y) + height / 2 for level, row in enumerate(layers.rows) for name in row}
    left = min(x[name] - layers.widths[name] / 2 for name in x)
    centers = {name: (x[name] - left, y[name]) for name in x}
    return Layout(
        {node.id: centers[node.id] for node in graph.nodes},
        [[centers[name] for name in chain] for chain in chains],
        max(centers[name][0] + layers.widths[name] / 2 for name in x),
        len(layers.rows) * (height + GAP_Y) - GAP_Y,
    )


def _levels(graph: Graph) -> dict[str, int]:
    """Return the layer of each node: steps as high as can be, what is only read just above its first reader."""
    followers: dict[str, list[str]] = defaultdict(list)
    waiting = {node.id: 0 for node in graph.nodes}
    for edge in graph.edges:
        followers[edge.source].append(edge.target)
        waiting[edge.target] += 1
    free = [name for name, count in waiting.items() if not count]
    levels = dict.fromkeys(free, 0)
    for name in free:  # grows while it is read
        for other in followers[name]:
            levels[other] = max(levels.get(other, 0), levels[name] + 1)
            waiting[other] -= 1
            if not waiting[other]:
                free.append(other)
    for node in graph.nodes:
        if node.kind != "step" and followers[node.id]:
            levels[node.id] = min(levels[other] for other in followers[node.id]) - 1
    return levels


def _with_points(
    graph: Graph, levels: Mapping[str, int], widths: Mapping[str, float]
) -> tuple[_Layers, list[list[str]]]:
    """Return the layers with a point wherever an edge passes one, and what each edge leads along."""
    layers = _Layers([[] for _ in range(max(levels.values()) + 1)], dict(widths))
    for node in graph.nodes:
        layers.rows[levels[node.id]].append(node.id)
    chains = []
    for number, edge in enumerate(graph.edges):
        chain = [edge.source]
        for level in range(levels[edge.source] + 1, levels[edge.target]):
            point = f"{number}.{level}"
            layers.rows[level].append(point)
            layers.widths[point] = _POINT
            chain.append(point)
        chain.append(edge.target)
        for one, other in itertools.pairwise(chain):
            layers.join(one, other)
        chains.append(chain)
    return layers, chains


def _order(layers: _Layers) -> None:
    """Put each layer in an order with few crossings: again and again by the middle of the neighbours."""
    best, least = [list(row) for row in layers.rows], _crossings(layers)
    for number in range(_ROUNDS):
        if not least:
            break
        down = number % 2 == 0
        neighbours = layers.above if down else layers.below
        order = range(1, len(layers.rows)) if down else range(len(layers.rows) - 2, -1, -1)
        for level in order:
            other = layers.rows[level - 1 if down else level + 1]
            places = {name: place for place, name in enumerate(other)}
            row = layers.rows[level]
            own = {name: place * len(other) / len(row) for place, name in enumerate(row)}
            row.sort(key=lambda name: _mean([places[n] for n in neighbours[name]], own[name]))
        count = _crossings(layers)
        if count < least:
            best, least = [list(row) for row in layers.rows], count
    layers.rows[:] = best


def _crossings(layers: _Layers) -> int:
    total = 0
    for upper, lower in zip(layers.rows, layers.rows[1:], strict=False):
        places = {name: place for place, name in enumerate(lower)}
        seen: list[int] = []
        for name in upper:
            ends = sorted(places[other] for other in layers.below[name])
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _spread(layers: _Layers) -> dict[str, float]:
    """Return the middle of every node and point: near the neighbours, and none on another."""
    x: dict[str, float] = {}
    for row in layers.rows:
        x |= dict(zip(row, _apart(row, [0.0] * len(row), layers.widths), strict=True))
    for number in range(_SWEEPS):
        rows = layers.rows if number % 2 == 0 else layers.rows[::-1]
        for row in rows:
            wishes = [
                _mean([x[other] for other in (*layers.above[name], *layers.below[name])], x[name])
                for name in row
            ]
            x |= dict(zip(row, _apart(row, wishes, layers.widths), strict=True))
    return x


def _apart(row: Sequence[str], wishes: Sequence[float], widths: Mapping[str, float]) -> list[float]:
    """Return places as near to those that are wished as can be (least squares) without two that overlap.

    What is free of its wish to be further left is put together with what is before it, and shares its place.
    """
    offsets = [0.0]
    for one, other in itertools.pairwise(row):
        offsets.append(offsets[-1] + (widths[one] + widths[other]) / 2 + GAP_X)
    blocks: list[tuple[float, int]] = []  # the sum of the wishes, and how many share it
    for wish, offset in zip(wishes, offsets, strict=True):
        total, count = wish - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    places = [total / count for total, count in blocks for _ in range(count)]
    return [place + offset for place, offset in zip(places, offsets, strict=True)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
