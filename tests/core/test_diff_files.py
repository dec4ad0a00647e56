"""Manifests compared as they are stored."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.canonical import canonical_json, compact_json
from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.keys.diff_files import SHOWN, FileChange, diff_files

CONTENT = ["0" * 64, "1" * 64]

# names with all that JSON and our own marks are made of
NAMES = st.text(st.sampled_from('ab"\\],[{}/ \n\t\x00é漢😀\udc80'), min_size=1, max_size=8)
ENTRIES = st.builds(
    Entry,
    NAMES,
    st.integers(0, 3),
    st.sampled_from(CONTENT),
    st.booleans(),
    st.sampled_from(["", "v", '"\\']),
)
MANIFESTS = st.lists(ENTRIES, max_size=12, unique_by=lambda entry: entry.path).map(Manifest.of)


def expected(old: Manifest, new: Manifest) -> list[tuple]:
    """The plain way."""
    before, after = ({entry.path: entry for entry in side} for side in (old, new))
    added = [(path, "added") for path in sorted(after.keys() - before.keys())]
    removed = [(path, "removed") for path in sorted(before.keys() - after.keys())]
    changed = [
        (path, "changed") for path in sorted(after.keys() & before.keys()) if after[path] != before[path]
    ]
    return added + removed + changed


@given(MANIFESTS, MANIFESTS)
def test_it_finds_what_the_plain_way_finds(old, new):
    for encode in (compact_json, canonical_json):
        found = diff_files(encode(old.to_dict()), encode(new.to_dict()))
        assert [(item.path, item.change) for item in found.files] == expected(old, new)
        assert found[:3] == tuple(
            sum(kind == name for _, kind in expected(old, new)) for name in ("added", "removed", "changed")
        )


@given(MANIFESTS, ENTRIES)
def test_one_other_file_among_equal_ones_is_found(manifest, entry):
    others = [Entry(f"{prefix}{n:04}", 1, CONTENT[0]) for prefix in ("A", "m", "\uffff") for n in range(300)]
    old = Manifest.of([*manifest, *others])
    new = Manifest.of([*(e for e in old if e.path != entry.path), entry])
    found = diff_files(old.encode(), new.encode())
    assert [(item.path, item.change) for item in found.files] == expected(old, new)


@given(MANIFESTS)
def test_a_manifest_is_encoded_as_its_document(manifest):
    assert manifest.encode() == compact_json(manifest.to_dict())


def test_sizes_are_told():
    old = Manifest.of([Entry("a", 1, CONTENT[0]), Entry("b", 2, CONTENT[0])])
    new = Manifest.of([Entry("b", 3, CONTENT[1]), Entry("c", 4, CONTENT[0])])
    assert diff_files(old.encode(), new.encode()).files == (
        FileChange(path="c", change="added", new_size=4),
        FileChange(path="a", change="removed", old_size=1),
        FileChange(path="b", change="changed", old_size=2, new_size=3),
    )


def test_an_executable_bit_is_named():
    old = Manifest.of([Entry("a", 1, CONTENT[0]), Entry("b", 1, CONTENT[0], executable=True)])
    new = Manifest.of([Entry("a", 1, CONTENT[0], executable=True), Entry("b", 1, CONTENT[0])])
    texts = [item.text for item in diff_files(old.encode(), new.encode()).files]
    assert texts == ["a is now executable", "b is no longer executable"]


def test_the_version_of_a_store_counts_where_the_content_was_not_read():
    def encoded(digest: str, version: str) -> bytes:
        return Manifest.of([Entry("a", 1, digest, version=version)]).encode()

    assert diff_files(encoded(CONTENT[0], "v1"), encoded(CONTENT[0], "v2")).changed == 0
    assert diff_files(encoded("", "v1"), encoded("", "v2")).changed == 1
    assert diff_files(encoded("", "v1"), encoded("", "v1")).changed == 0


def test_all_are_counted_and_the_first_of_each_kind_named():
    old = Manifest.of([Entry(f"old{n:03}", 1, CONTENT[0]) for n in range(70)])
    new = Manifest.of([Entry(f"new{n:03}", 1, CONTENT[0]) for n in range(90)])
    found = diff_files(old.encode(), new.encode())
    assert (found.added, found.removed, found.changed, len(found.files)) == (90, 70, 0, 2 * SHOWN)
    assert found.files[0].path == "new000"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"files":',
        b'{"files":[',
        b'{"files":[["a",1,"0",0,""]',
        b'{"files":[["a","b"]]}',
        b'{"files":{}}',
        json.dumps({"files": [["a", 1, "0", 0, ""]]}).encode(),  # with spaces, as nobody here writes it
    ],
)
def test_what_is_no_manifest_is_an_error(data):
    good = Manifest.of([Entry("a", 1, CONTENT[0])]).encode()
    for pair in ((data, good), (good, data)):
        with pytest.raises(DocumentError):
            diff_files(*pair)
