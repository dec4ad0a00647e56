import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.canonical import canonical_json, digest_document, pretty_json
from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError
from airflow_ml_pipelines.core.files.digest import digest_bytes
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest

DIGEST = digest_bytes(b"x")
NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1)
ENTRIES = st.lists(
    st.builds(Entry, NAMES, st.integers(0, 2**60), st.just(DIGEST), st.booleans(), st.text()),
    unique_by=lambda entry: entry.path,
)


@given(ENTRIES, st.booleans())
def test_the_digest_is_that_of_a_canonical_document(entries, single):
    manifest = Manifest.of(entries, single=single)
    files = [[e.path, e.size, e.digest, 1] if e.executable else [e.path, e.size, e.digest] for e in manifest]
    expected = digest_document("ml-pipelines/manifest/1", {"files": files, "single": single})
    assert manifest.digest == expected


@given(ENTRIES)
def test_a_manifest_can_be_stored(entries):
    manifest = Manifest.of(entries)
    again = Manifest.from_dict(json.loads(canonical_json(manifest.to_dict())))
    assert again == manifest
    assert [entry.version for entry in again] == [entry.version for entry in manifest]


@given(ENTRIES, st.randoms())
def test_the_order_of_files_does_not_matter(entries, random):
    shuffled = entries[:]
    random.shuffle(shuffled)
    assert Manifest.of(shuffled).digest == Manifest.of(entries).digest


BASE = Entry("a/b", 3, DIGEST)


@pytest.mark.parametrize(
    "other",
    [
        Entry("a/c", 3, DIGEST),
        Entry("a/b", 4, DIGEST),
        Entry("a/b", 3, digest_bytes(b"y")),
        Entry("a/b", 3, DIGEST, executable=True),
    ],
)
def test_the_digest_varies_on_what_a_file_is(other):
    assert Manifest((other,)).digest != Manifest((BASE,)).digest


def test_the_digest_varies_on_whether_the_whole_is_one_file():
    assert Manifest((BASE,), single=True).digest != Manifest((BASE,)).digest


def test_the_digest_does_not_vary_on_the_stores_version():
    assert Manifest((Entry("a/b", 3, DIGEST, version="7"),)).digest == Manifest((BASE,)).digest


def test_names_can_not_pass_for_two_files():
    two = Manifest.of([Entry("a", 1, DIGEST), Entry("b", 1, DIGEST)])
    one = Manifest.of([Entry(f'a",1,"{DIGEST}"],["b', 1, DIGEST)])
    assert one.digest != two.digest


def test_the_size_is_that_of_all_files():
    manifest = Manifest.of([Entry("a", 1, DIGEST), Entry("b", 41, DIGEST)])
    assert (manifest.size, len(manifest)) == (42, 2)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"schema": 1}, {"schema": 1, "single": False, "files": [["a"]], "digest": ""}]
)
def test_what_is_no_manifest_is_refused(document):
    with pytest.raises(DocumentError, match="not a manifest"):
        Manifest.from_dict(document)


def test_a_damaged_manifest_is_refused():
    document = Manifest((BASE,)).to_dict()
    document["files"][0][1] = 4
    with pytest.raises(DocumentError, match="damaged"):
        Manifest.from_dict(document)


def test_a_manifest_of_a_newer_version_is_refused():
    with pytest.raises(NewerDocumentError, match="schema 2"):
        Manifest.from_dict({**Manifest((BASE,)).to_dict(), "schema": 2})


class TestCanonicalJson:
    def test_equal_documents_have_equal_bytes(self):
        assert canonical_json({"b": 1, "a": [True, None, "ö"]}) == '{"a":[true,null,"ö"],"b":1}'.encode()

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
    def test_numbers_that_json_does_not_have_are_refused(self, number):
        with pytest.raises(ValueError, match="JSON"):
            canonical_json([number])

    def test_the_tag_keeps_documents_apart(self):
        assert digest_document("a", {}) != digest_document("b", {})

    def test_names_that_are_not_utf8_can_be_written(self):
        assert json.loads(canonical_json(["\udcff"])) == json.loads(pretty_json(["\udcff"])) == ["\udcff"]
