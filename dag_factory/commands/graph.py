"""``ml-pipelines graph``: draws a pipeline."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dag_factory.commands.options import Commands, add_file

__all__ = ["add"]

_FORMATS = ("mermaid", "svg")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("graph", _run, "draw a pipeline, as Mermaid text or as a picture")
    add_file(parser)
    parser.add_argument(
        "--format", choices=_FORMATS, help="what to make (svg where OUT ends so, otherwise mermaid)"
    )
    parser.add_argument("-o", "--output", metavar="OUT", help="the file to write (standard output)")


def _run(options: argparse.Namespace) -> int:
    from dag_factory.graphs.graph import graph_of
    from dag_factory.pipelines.open import open_target

    spec = open_target(options.file).spec
    graph = graph_of(spec)
    if (options.format or _format_of(options.output)) == "svg":
        from dag_factory.graphs.svg import svg

        text = svg(graph, spec.name)
    else:
        from dag_factory.graphs.mermaid import mermaid

        text = mermaid(graph)
    if options.output is None:
        sys.stdout.write(text)
    else:
        Path(options.output).write_text(text, encoding="utf-8")
    return 0


def _format_of(output: str | None) -> str:
    return "svg" if output is not None and output.lower().endswith(".svg") else "mermaid"
