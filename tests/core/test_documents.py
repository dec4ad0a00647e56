from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.documents import PRETTY_SIZE, read_document, write_document
from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError
from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec


class Step(msgspec.Struct, frozen=True):
    script: str


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    schema: int = 1
    text: str = ""
    steps: tuple[Step, ...] = ()
    spec: PipelineSpec | None = None


@given(st.text(), st.lists(st.text()))
def test_what_was_written_is_read_again(text, scripts):
    note = Note(text=text, steps=tuple(Step(script) for script in scripts))
    assert read_document(write_document(note), Note, what="note", schema=1) == note


def test_specs_survive():
    spec = PipelineSpec(name="p", steps=(StepSpec(id="a", name="a", script="a.py"),))
    note = Note(spec=spec)
    assert read_document(write_document(note), Note, what="note", schema=1).spec == spec


def test_the_schema_is_written_even_where_it_is_a_default_that_is_left_out():
    assert json.loads(write_document(Note(text="x"))) == {"schema": 1, "text": "x"}


def test_a_dict_with_a_schema_is_a_document():
    assert json.loads(write_document({"schema": 2, "a": [1]})) == {"schema": 2, "a": [1]}


@pytest.mark.parametrize("value", [Step("a"), {"a": 1}, [1], "x"])
def test_what_has_no_schema_is_not_written(value):
    with pytest.raises(TypeError, match="schema"):
        write_document(value)


def test_small_documents_are_indented_and_large_ones_are_not():
    assert b'\n  "text": "x"\n' in write_document(Note(text="x"))
    assert b"\n" not in write_document(Note(text="x" * PRETTY_SIZE))


def test_a_newer_document_is_named_before_its_fields_are_looked_at():
    with pytest.raises(NewerDocumentError, match=r"note n has schema 2, .* reads up to 1: .*upgrade"):
        read_document(b'{"text": ["of another type now"], "schema": 2}', Note, what="note n", schema=1)


def test_an_older_document_is_read():
    assert read_document(b'{"schema": 0, "text": "x"}', Note, what="note", schema=1).text == "x"


def test_the_place_of_a_mistake_is_named():
    with pytest.raises(
        DocumentError, match=r"note n is not .*: expected `str`, got `int` - at `\$\.steps\[0\]\.script`"
    ):
        read_document(b'{"schema": 1, "steps": [{"script": 3}]}', Note, what="note n", schema=1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"schema": "1"}',
        b'{"schema": 1, "text": "\xff"}',
        b"\x00",
        b"[" * 100_000,
    ],
)
def test_whatever_else_is_there_is_a_document_error_that_names_the_document(data):
    with pytest.raises(DocumentError, match=r"^note n ") as caught:
        read_document(data, Note, what="note n", schema=1)
    assert not isinstance(caught.value, NewerDocumentError)


@given(st.binary())
def test_no_bytes_raise_anything_else(data):
    with pytest.raises(DocumentError):
        read_document(data, Note, what="note", schema=1)


def test_many_threads_may_read_a_kind_of_document_for_the_first_time_at_once():
    """In a process of its own: what goes wrong there is a crash."""
    code = """
import sys, threading
import msgspec
from airflow_ml_pipelines.core.documents import read_document
sys.setswitchinterval(1e-6)

def read(together, kind):
    together.wait()
    read_document(b'{"schema": 1, "a": {"a": {"a": 1}}}', kind, what="it", schema=1)

for _ in range(200):
    inner = msgspec.defstruct("Inner", [("a", int), ("b", "int | None", None)])
    middle = msgspec.defstruct("Middle", [("a", inner), ("b", dict[str, inner] | None, None)])
    kind = msgspec.defstruct("Outer", [("schema", int), ("a", middle), ("b", list[middle] | None, None)])
    together = threading.Barrier(6)
    threads = [threading.Thread(target=read, args=(together, kind)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
