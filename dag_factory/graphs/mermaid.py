"""The graph of a pipeline as Mermaid text, which Markdown viewers draw."""

from __future__ import annotations

import re

from dag_factory.graphs.graph import Graph, Kind

__all__ = ["mermaid"]

_SHAPES: dict[Kind, tuple[str, str]] = {
    "step": ("[", "]"),
    "data": ("[(", ")]"),
    "dataset": ("[(", ")]"),
    "parameter": ("([", "])"),
}
_HARMLESS = " _-.,:/…"
_LIST = re.compile(r"^(\d*)([-.])(?= )")
"""What Mermaid takes for the beginning of a list."""

_LONGEST = 60


def mermaid(graph: Graph) -> str:
    """Return a graph as Mermaid text, ending with a line break."""
    lines = ["flowchart TD"]
    for node in graph.nodes:
        begin, end = _SHAPES[node.kind]
        lines.append(f"  {node.id}{begin}{_quote(node.label)}{end}")
    for edge in graph.edges:
        arrow = f"-->|{_quote(edge.label)}|" if edge.label else "-.->"
        lines.append(f"  {edge.source} {arrow} {edge.target}")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """Return text as a label that can mean nothing else: all but letters, digits and harmless signs as numbers."""
    text = " ".join(text.split())
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    text = "".join(sign if sign.isalnum() or sign in _HARMLESS else f"#{ord(sign)};" for sign in text)
    return f'"{_LIST.sub(lambda found: f"{found[1]}#{ord(found[2])};", text)}"'
