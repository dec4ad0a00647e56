from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag_factory.resolve.bindings import (
    Binding,
    BindingError,
    escape,
    format_segments,
    parse,
)

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,8}", fullmatch=True)
TEXTS = st.text(st.sampled_from("$${{}} ab.é\n"), max_size=12)
BINDINGS = st.one_of(
    st.tuples(st.sampled_from(["inputs", "outputs", "parameters"]), NAMES, st.just("")),
    st.tuples(st.just("steps"), NAMES, NAMES),
).map(lambda parts: Binding(*parts))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("$HOME {{ x }} $", ("$HOME {{ x }} $",)),
        ("${{inputs.a}}", (Binding("inputs", "a"),)),
        ("${{  outputs.b_1  }}", (Binding("outputs", "b_1"),)),
        ("${{ parameters.x-y }}", (Binding("parameters", "x-y"),)),
        ("${{ steps.prep.outputs.data }}", (Binding("steps", "data", "prep"),)),
        ("--a=${{ inputs.a }}/x", ("--a=", Binding("inputs", "a"), "/x")),
        ("${{ inputs.a }}${{ inputs.b }}", (Binding("inputs", "a"), Binding("inputs", "b"))),
        ("$${{ inputs.a }}", ("${{ inputs.a }}",)),
        ("$$${{ inputs.a }}", ("$", Binding("inputs", "a"))),
        ("a $${{ b ${{ inputs.a }}", ("a ${{ b ", Binding("inputs", "a"))),
        ("${{ inputs.a }}}}", (Binding("inputs", "a"), "}}")),
    ],
)
def test_text_is_cut_into_literals_and_bindings(text, expected):
    assert [item if isinstance(item, str) else item._replace(position=0) for item in parse(text)] == list(
        expected
    )


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("${{ inputs.a", 0),
        ("ab ${{ }}", 3),
        ("ab ${{ inputs }}", 3),
        ("${{ inputs.a.b }}", 0),
        ("${{ steps.a.b }}", 0),
        ("${{ steps.a.inputs.b }}", 0),
        ("${{ inputs.a b }}", 0),
        ("${{ inputs.a + 1 }}", 0),
        ("$$ ${{ secrets.x }}", 3),
        ("$$${{ secrets.x }}", 2),
    ],
)
def test_what_can_not_be_read_is_an_error_with_its_position(text, position):
    with pytest.raises(BindingError) as caught:
        parse(text)
    assert caught.value.position == position


def test_a_binding_knows_where_it_begins():
    assert [
        item.position for item in parse("a=${{ inputs.a }} ${{ inputs.b }}") if isinstance(item, Binding)
    ] == [2, 18]


@given(TEXTS)
def test_escaped_text_is_read_as_it_is(text):
    assert "".join(parse(escape(text))) == text


@given(st.lists(st.one_of(TEXTS.filter(bool), BINDINGS), max_size=6))
def test_segments_that_are_written_are_read_again(segments):
    joined: list[str | Binding] = []
    for item in segments:
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        else:
            joined.append(item)
    read = [
        item if isinstance(item, str) else item._replace(position=0)
        for item in parse(format_segments(joined))
    ]
    assert read == joined


def test_names_are_written_as_bindings():
    assert str(Binding("inputs", "a")) == "${{inputs.a}}"
    assert str(Binding("steps", "a", "s")) == "${{steps.s.outputs.a}}"
