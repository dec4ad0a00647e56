import pytest

from airflow_ml_pipelines.core.canonical import compact_json
from airflow_ml_pipelines.core.explain import diff_keys
from airflow_ml_pipelines.core.layout import manifest_path
from airflow_ml_pipelines.core.manifest import Entry, Manifest
from airflow_ml_pipelines.core.store import LocalStore

OLD = {
    "schema": 1,
    "kind": "python_script",
    "script": "train.py",
    "source": "5" * 64,
    "hash_paths": [["lib", "6" * 64]],
    "arguments": [[{"text": "--lr"}], [{"text": "0.1"}], [{"input": "images"}], [{"output": "model"}]],
    "parameters": {"epochs": "3"},
    "environment": {
        "user_managed": False,
        "python": "3.12",
        "pip": ["pandas", "numpy"],
        "variables": {"A": "1f"},
    },
    "inputs": {"images": {"mode": "mount", "form": "auto", "data": {"kind": "content", "digest": "7" * 64}}},
    "outputs": {"model": {"mode": "mount", "create": True}},
    "version": None,
}
IMAGES = OLD["inputs"]["images"]

CASES = [
    ({"script": "fit.py"}, ["script: train.py → fit.py"]),
    ({"version": "2"}, ["version: none → 2"]),
    ({"source": "0" * 64}, ["source: its files changed"]),
    ({"hash_paths": [["lib", "0" * 64]]}, ["hash_paths: lib changed"]),
    (
        {"arguments": [OLD["arguments"][0], [{"text": "0.5"}], *OLD["arguments"][2:]]},
        ["argument --lr: 0.1 → 0.5"],
    ),
    (
        {"arguments": [*OLD["arguments"], [{"text": "--more"}]]},
        ["argument 5: none → --more"],
    ),
    ({"arguments": OLD["arguments"][:3]}, ["argument 4: <output model> → none"]),
    ({"parameters": {"epochs": "4", "new": "x"}}, ["parameter epochs: 3 → 4", "parameter new is new"]),
    (
        {"environment": {**OLD["environment"], "python": "3.13", "pip": ["pandas", "scipy"]}},
        ["environment pip: -numpy +scipy", "environment python: 3.12 → 3.13"],
    ),
    ({"environment": {**OLD["environment"], "variables": {"A": "2f"}}}, ["environment variables: A changed"]),
    (
        {"inputs": {"images": {**IMAGES, "mode": "download"}, "b": IMAGES}},
        ["input b is new", "input images: mode mount → download"],
    ),
    ({"inputs": {}}, ["input images is gone"]),
    (
        {"inputs": {"images": {**IMAGES, "data": {"kind": "etag", "digest": "1"}}}},
        ["input images: its data changed"],
    ),
    ({"outputs": {"other": OLD["outputs"]["model"]}}, ["output model is gone", "output other is new"]),
]


@pytest.mark.parametrize(("change", "texts"), CASES)
def test_a_difference_is_said_in_words(change, texts):
    assert [difference.text for difference in diff_keys(OLD, {**OLD, **change})] == texts


def test_equal_documents_have_no_difference():
    assert diff_keys(OLD, dict(OLD)) == ()


def test_the_files_that_differ_are_named_where_the_manifests_are_kept(tmp_path):
    store = LocalStore(tmp_path)
    before = Manifest.of([Entry("a", 1, "1" * 64), Entry("b", 1, "2" * 64), Entry("c", 1, "3" * 64)])
    after = Manifest.of([Entry("a", 1, "1" * 64), Entry("b", 1, "9" * 64), Entry("d", 1, "3" * 64)])
    store.put(manifest_path(before.digest), compact_json(before.to_dict()))
    old = {**OLD, "inputs": {"i": {"data": {"kind": "content", "digest": before.digest}}}}
    new = {**OLD, "inputs": {"i": {"data": {"kind": "content", "digest": after.digest}}}}
    assert [d.text for d in diff_keys(old, new, store)] == ["input i: its files changed"]
    (difference,) = diff_keys(old, new, store, {after.digest: lambda: after})
    assert difference.text == "input i: d is new, c is gone, b changed"


def test_many_files_are_counted(tmp_path):
    after = Manifest.of([Entry(f"f{n}", 1, "1" * 64) for n in range(100)])
    empty = Manifest.of([])
    known = {after.digest: lambda: after, empty.digest: lambda: empty}
    old, new = {**OLD, "source": empty.digest}, {**OLD, "source": after.digest}
    (difference,) = diff_keys(old, new, LocalStore(tmp_path), known)
    assert difference.text.endswith("and 95 more")
