from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dag_factory.dags.markdown import closed, code, fence, plain, table

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NASTY = [
    "# head",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "12) item",
    "> quote",
    "***",
    "---",
    "===",
    "`code`",
    "``",
    "\\",
    "\\|",
    "\\\\|",
    "a|b|c",
    "`a\\|b`",
    "*bold* _em_ __b__ ~~gone~~",
    "[x](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "[x]: http://example.org",
    "[x][y]",
    "<script>alert(1)</script>",
    "<!-- x",
    "<b>",
    "</td></table>",
    "&lt;b&gt; &amp; &#35;",
    "<http://example.org>",
    "snake_case and _x_",
    "```\nmermaid\n```",
    "line\n\n# another",
    "    indented",
    "\t",
    ": x",
    "größe 数据 😀",
]
TEXTS = st.text(
    st.one_of(
        st.sampled_from("\\`*_{}[]()#+-.!|~<>&=:^$@\"' \n\t1a"), st.characters(exclude_categories=["C", "Z"])
    )
)


def flat(text: str) -> str:
    return " ".join(text.split())


def render(text: str) -> ET.Element:
    return ET.fromstring(f"<page>{MARKDOWN.render(text)}</page>")


def nasty(test):
    for text in NASTY:
        test = example(text=text)(test)
    return given(text=TEXTS)(test)


@nasty
def test_plain_text_stays_text_in_a_paragraph(text):
    page = render(plain(text))
    assert flat("".join(page.itertext())) == flat(text)
    assert {element.tag for element in page.iter()} <= {"page", "p"}


@nasty
def test_text_stays_in_its_cell(text):
    page = render(table(("a", "b", "c"), [(plain(text), code(text), "end")]))
    rows = page.findall("table/tbody/tr")
    assert [[flat("".join(cell.itertext())) for cell in row] for row in rows] == [
        [flat(text), flat(text), "end"]
    ]
    assert {element.tag for element in rows[0].iter()} <= {"tr", "td", "code"}


@nasty
def test_text_stays_in_its_block(text):
    page = render(f"{fence(text, 'text')}\n\n# after")
    assert [element.tag for element in page] == ["pre", "h1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# title\n\nwords\n", "# title\n\nwords"),
        ("```\nopen", "```\nopen\n```"),
        ("~~~~ python\n```\n~~~\n", "~~~~ python\n```\n~~~\n~~~~"),
        ("```\ndone\n```\n", "```\ndone\n```"),
        ("```\ndone\n````\n", "```\ndone\n````"),
        ("words <!-- open", "words <!-- open -->"),
        ("words <!-- closed --> words", "words <!-- closed --> words"),
    ],
)
def test_what_somebody_leaves_open_is_closed(text, expected):
    assert closed(text) == expected
