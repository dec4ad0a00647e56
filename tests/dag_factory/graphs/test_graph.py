from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.spec import Data, Location
from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.graphs.graph import Edge, Graph, Node, graph_of, source_text
from dag_factory.graphs.layout import place
from dag_factory.graphs.mermaid import mermaid
from dag_factory.graphs.svg import svg

TEXT = """\
name: p
parameters: {rows: {type: data, default: {path: rows}}}
data:
  raw: {path: raw, datastore: store}
  web: {url: "https://example.org/x.csv?a=b"}
  known: {dataset: known, version: 3}
steps:
  prepare: {script: a.py, inputs: {raw: raw, web: web, more: raw}, outputs: {train: , test: }}
  fit: {script: a.py, name: Fit it, inputs: {train: "${{ steps.prepare.outputs.train }}",
        test: "${{ steps.prepare.outputs.test }}", known: known, rows: "${{ parameters.rows }}"}}
  tidy: {script: a.py, after: [fit]}
"""


def graph(text: str = TEXT) -> Graph:
    return graph_of(PipelineDefinition.from_yaml(text).to_spec(check_files=False))


def test_a_graph_has_the_steps_what_they_read_and_what_they_wait_for():
    found = graph()
    labels = {node.id: (node.kind, node.label) for node in found.nodes}
    assert list(labels.values()) == [
        ("data", "store:raw"),
        ("data", "https://example.org/x.csv?a=b"),
        ("dataset", "known:3"),
        ("parameter", "rows"),
        ("step", "prepare"),
        ("step", "Fit it"),
        ("step", "tidy"),
    ]
    assert {(labels[edge.source][1], labels[edge.target][1], edge.label) for edge in found.edges} == {
        ("store:raw", "prepare", "raw, more"),
        ("https://example.org/x.csv?a=b", "prepare", "web"),
        ("prepare", "Fit it", "train, test"),
        ("known:3", "Fit it", "known"),
        ("rows", "Fit it", "rows"),
        ("Fit it", "tidy", ""),
    }


def test_data_from_a_database_is_called_after_it_without_the_query():
    source = Data(locations=(Location(datastore="db", path=""),), query="select 'secret'")
    assert source_text(source) == ("data", "query of db")


def test_mermaid_has_every_node_and_edge():
    assert (
        mermaid(graph())
        == """\
flowchart TD
  d1[("store:raw")]
  d2[("https://example.org/x.csv#63;a#61;b")]
  d3[("known:3")]
  d4(["rows"])
  s1["prepare"]
  s2["Fit it"]
  s3["tidy"]
  d1 -->|"raw, more"| s1
  d2 -->|"web"| s1
  s1 -->|"train, test"| s2
  d3 -->|"known"| s2
  d4 -->|"rows"| s2
  s2 -.-> s3
"""
    )


NASTY = [
    'a"] --> b["c',
    "end",
    "`**x**`",
    "#quot;",
    "1. x",
    "- x",
    "<img src=x onerror=alert(1)>",
    "```",
    "%%{init: {}}%%",
    "\x00\x1b[31m\ud800\u202e",
    "]]>",
    "&amp;",
    "x" * 300,
    "",
]


def one(label: str) -> Graph:
    return Graph((Node("s1", "step", label), Node("s2", "data", label)), (Edge("s2", "s1", label),))


def nasty(test):
    for label in NASTY:
        test = example(label=label)(test)
    return given(label=st.text())(test)


@nasty
def test_text_is_a_label_and_nothing_else_in_mermaid(label):
    lines = mermaid(one(label)).split("\n")
    label_text = r'"[^"`<>|{}\[\]()%&;\x00-\x1f]*(?:#\d+;[^"`<>|{}\[\]()%&;\x00-\x1f]*)*"'
    assert re.fullmatch(rf"  s1\[{label_text}\]", lines[1])
    assert re.fullmatch(rf"  s2\[\({label_text}\)\]", lines[2])
    assert re.fullmatch(rf"  s2 (-\.->|-->\|{label_text}\|) s1", lines[3])
    assert not re.search(r'"(\d+\.|-) ', lines[1])
    assert len(lines) == 5


@nasty
def test_text_is_text_and_nothing_else_in_a_picture(label):
    root = ET.fromstring(svg(one(label), label))
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "defs", "marker", "path", "rect", "g", "text"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name}


# --- the layout ---------------------------------------------------------------------------------------------------


@st.composite
def graphs(draw) -> Graph:
    count = draw(st.integers(1, 14))
    edges = []
    for target in range(1, count):
        sources = draw(st.sets(st.integers(0, target - 1), max_size=3))
        edges += [Edge(f"s{source}", f"s{target}", draw(st.sampled_from(["", "x"]))) for source in sources]
    nodes = [Node(f"s{number}", "step", "step" * draw(st.integers(0, 12))) for number in range(count)]
    for number in range(draw(st.integers(0, 3))):
        nodes.append(Node(f"d{number}", "data", "data"))
        targets = draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3))
        edges += [Edge(f"d{number}", f"s{target}", "data") for target in targets]
    return Graph(tuple(nodes), tuple(edges))


@given(graphs())
def test_nothing_lies_on_another_and_edges_lead_downwards(found):
    widths = {node.id: 40.0 + len(node.label) for node in found.nodes}
    layout = place(found, widths, 30.0)
    spots = [(*layout.centers[node.id], widths[node.id]) for node in found.nodes]
    for number, (x, y, width) in enumerate(spots):
        assert x - width / 2 >= -0.01
        assert x + width / 2 <= layout.width + 0.01
        assert y - 15 >= 0
        assert y + 15 <= layout.height + 0.01
        for other_x, other_y, other_width in spots[:number]:
            assert y != other_y or abs(x - other_x) >= (width + other_width) / 2
    for edge, route in zip(found.edges, layout.routes, strict=True):
        assert route[0] == layout.centers[edge.source]
        assert route[-1] == layout.centers[edge.target]
        heights = [y for _, y in route]
        assert heights == sorted(set(heights))


@given(graphs())
def test_equal_graphs_have_equal_pictures(found):
    assert svg(found, "x") == svg(Graph(tuple(found.nodes), tuple(found.edges)), "x")


def test_a_chain_is_a_straight_line():
    nodes = tuple(Node(f"s{number}", "step", "s") for number in range(5))
    edges = tuple(Edge(f"s{number}", f"s{number + 1}", "") for number in range(4))
    layout = place(Graph(nodes, edges), dict.fromkeys((node.id for node in nodes), 50.0), 30.0)
    assert {round(x, 3) for x, _ in layout.centers.values()} == {25.0}


def test_branches_do_not_cross_where_they_need_not():
    nodes = tuple(Node(name, "step", name) for name in "abcdefgh")
    edges = tuple(Edge(a, b, "") for a, b in ("ab", "ac", "bf", "ce", "fh", "eg"))
    layout = place(Graph(nodes, edges), dict.fromkeys("abcdefgh", 50.0), 30.0)
    x = {name: place[0] for name, place in layout.centers.items()}
    assert (x["b"] < x["c"]) == (x["f"] < x["e"]) == (x["h"] < x["g"])


@pytest.mark.parametrize("steps", [0, 1])
def test_small_graphs_can_be_drawn(steps):
    found = Graph(tuple(Node("s1", "step", "x") for _ in range(steps)), ())
    assert ET.fromstring(svg(found, "x")) is not None
    assert mermaid(found).startswith("flowchart TD\n")
