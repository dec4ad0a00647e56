"""Why a step runs, said in words and as data."""

from __future__ import annotations

import msgspec
import pytest

from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.core.keys.diff_keys import Files, diff_keys
from airflow_ml_pipelines.core.keys.differences import (
    ArgumentChange,
    Cause,
    Difference,
    Earlier,
    Explanation,
    FilesChange,
    PackageChange,
    ValueChange,
    VariableChange,
)
from airflow_ml_pipelines.core.keys.key import digest_key
from airflow_ml_pipelines.core.layout import manifest_path
from airflow_ml_pipelines.core.reuse.explain import explain_against, explain_miss, root_causes
from airflow_ml_pipelines.core.reuse.history import add_key
from airflow_ml_pipelines.core.reuse.records import Record, write_record
from airflow_ml_pipelines.core.runs.folder import Origin
from airflow_ml_pipelines.core.stores.local_store import LocalStore

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
        "pip": ["pandas==2.2.3", "numpy"],
        "variables": {"A": "1f"},
    },
    "inputs": {"images": {"mode": "mount", "form": "auto", "data": {"kind": "content", "digest": "7" * 64}}},
    "outputs": {"model": {"mode": "mount", "create": True}},
    "version": None,
}
IMAGES = OLD["inputs"]["images"]
ENVIRONMENT = OLD["environment"]


def value(field: str, name: str = "", **fields) -> ValueChange:
    return ValueChange(field=field, name=name, **fields)


def package(name: str, old: str | None, new: str | None, group: str = "pip") -> PackageChange:
    return PackageChange(group=group, name=name, old=old, new=new)


CASES: list[tuple[dict, list[tuple[str, Difference]]]] = [
    ({"script": "fit.py"}, [("script: train.py → fit.py", value("script", old="train.py", new="fit.py"))]),
    ({"version": "2"}, [("version: none → 2", value("version", old=None, new="2"))]),
    ({"source": "0" * 64}, [("source: its files changed", FilesChange(field="source"))]),
    (
        {"hash_paths": [["lib", "0" * 64], ["more", "1" * 64]]},
        [
            ("hash_paths lib: its files changed", FilesChange(field="hash_paths", name="lib")),
            ("hash_paths more: its files changed", FilesChange(field="hash_paths", name="more")),
        ],
    ),
    (
        {"arguments": [OLD["arguments"][0], [{"text": "0.5"}], *OLD["arguments"][2:]]},
        [
            (
                "argument --lr: 0.1 → 0.5",
                ArgumentChange(place=2, option="--lr", old=("0.1",), new=("0.5",)),
            )
        ],
    ),
    (
        {"arguments": [*OLD["arguments"], [{"text": "--more"}, {"text": "=x"}]]},
        [("argument 5: none → --more=x", ArgumentChange(place=5, new=("--more=x",)))],
    ),
    (
        {"arguments": OLD["arguments"][:3]},
        [("argument 4: <output model> → none", ArgumentChange(place=4, old=("<output model>",)))],
    ),
    (
        {"parameters": {"epochs": "4", "new": "x"}},
        [
            ("parameter epochs: 3 → 4", value("parameters", "epochs", old="3", new="4")),
            ("parameter new is new", value("parameters", "new", new="x")),
        ],
    ),
    (
        {"environment": {**ENVIRONMENT, "python": "3.13", "pip": ["Pandas == 3.0.1", "scipy>=1.1"]}},
        [
            ("pip package numpy is gone", package("numpy", "", None)),
            ("pip package pandas: 2.2.3 → 3.0.1", package("pandas", "2.2.3", "3.0.1")),
            ("pip package scipy is new (>=1.1)", package("scipy", None, ">=1.1")),
            ("environment python: 3.12 → 3.13", value("environment", "python", old="3.12", new="3.13")),
        ],
    ),
    (
        {"environment": {**ENVIRONMENT, "conda": ["python=3.12"], "pip": ["pandas==2.2.3", "numpy==2.1"]}},
        [
            ("conda package python is new (3.12)", package("python", None, "3.12", "conda")),
            ("pip package numpy: any version → 2.1", package("numpy", "", "2.1")),
        ],
    ),
    (
        {"environment": {**ENVIRONMENT, "pip": ["numpy", "pandas==2.2.3"]}},
        [
            (
                'environment pip: ["pandas==2.2.3", "numpy"] → ["numpy", "pandas==2.2.3"]',
                value("environment", "pip", old=ENVIRONMENT["pip"], new=["numpy", "pandas==2.2.3"]),
            )
        ],
    ),
    (
        {"environment": {**ENVIRONMENT, "variables": {"A": "2f", "B": "1f"}}},
        [
            ("environment variable A changed", VariableChange(name="A", change="changed")),
            ("environment variable B is new", VariableChange(name="B", change="added")),
        ],
    ),
    (
        {"environment": {**ENVIRONMENT, "image": "python:3.12"}},
        [("environment image is new", value("environment", "image", new="python:3.12"))],
    ),
    (
        {"inputs": {"images": {**IMAGES, "mode": "download"}, "b": IMAGES}},
        [
            ("input b is new", value("inputs", "b", new=IMAGES)),
            (
                "input images: mode mount → download",
                value("inputs", "images", part="mode", old="mount", new="download"),
            ),
        ],
    ),
    ({"inputs": {}}, [("input images is gone", value("inputs", "images", old=IMAGES))]),
    (
        {"inputs": {"images": {**IMAGES, "data": {"kind": "etag", "digest": "1"}}}},
        [
            (
                "input images: fingerprint content → etag",
                value("inputs", "images", part="fingerprint", old="content", new="etag"),
            )
        ],
    ),
    (
        {"inputs": {"images": {**IMAGES, "data": {"kind": "content", "digest": "1"}}}},
        [("input images: its data changed", FilesChange(field="inputs", name="images"))],
    ),
    (
        {"inputs": {"images": {"mode": "mount", "form": "x", "data": {"kind": "pending", "step": "a"}}}},
        [
            (
                "input images: step  runs before it",
                FilesChange(field="inputs", name="images", pending=True),
            )
        ],
    ),
    (
        {"outputs": {"other": OLD["outputs"]["model"]}},
        [
            ("output model is gone", value("outputs", "model", old=OLD["outputs"]["model"])),
            ("output other is new", value("outputs", "other", new=OLD["outputs"]["model"])),
        ],
    ),
    (
        {"outputs": {"model": {"mode": "upload", "create": True, "globs": ["*.pt"]}}},
        [
            ('output model: globs none → ["*.pt"]', value("outputs", "model", part="globs", new=["*.pt"])),
            (
                "output model: mode mount → upload",
                value("outputs", "model", part="mode", old="mount", new="upload"),
            ),
        ],
    ),
]


@pytest.mark.parametrize(("change", "expected"), CASES)
def test_a_difference_is_said_in_words_and_as_data(change, expected):
    found = diff_keys(OLD, {**OLD, **change})
    assert [(item.text, item) for item in found] == expected


def test_equal_documents_have_no_difference():
    assert diff_keys(OLD, dict(OLD)) == ()


def test_what_is_stored_differs_from_what_was_just_made_in_nothing_but_its_values():
    made = {**OLD, "environment": {**ENVIRONMENT, "pip": tuple(ENVIRONMENT["pip"])}}
    assert diff_keys(msgspec.json.decode(msgspec.json.encode(made)), made) == ()


def test_a_difference_can_be_stored():
    found = Explanation(differences=diff_keys(OLD, {**OLD, "parameters": {}, "source": "", "script": "x"}))
    data = msgspec.json.encode(found)
    assert msgspec.json.decode(data, type=Explanation) == found
    kinds = [item["type"] for item in msgspec.json.decode(data)["differences"]]
    assert kinds == ["value", "files", "value"]


def test_what_was_not_there_is_told_from_none():
    data = msgspec.json.encode(diff_keys(OLD, {**OLD, "version": "2", "parameters": {}}))
    version, parameter = msgspec.json.decode(data)
    assert version == {"type": "value", "field": "version", "old": None, "new": "2"}
    assert parameter == {"type": "value", "field": "parameters", "name": "epochs", "old": "3"}


def test_a_long_value_is_cut():
    (found,) = diff_keys(OLD, {**OLD, "parameters": {"epochs": "x" * 100_000}})
    assert len(found.text) < 200
    assert len(msgspec.json.encode(found)) < 2000


# --- files -------------------------------------------------------------------------------------------------------

BEFORE = Manifest.of([Entry("a", 1, "1" * 64), Entry("b", 1, "2" * 64), Entry("c", 3, "3" * 64)])
AFTER = Manifest.of([Entry("a", 1, "1" * 64), Entry("b", 2, "9" * 64), Entry("d", 4, "3" * 64)])


def reading(manifest: Manifest) -> dict:
    return {**OLD, "inputs": {"i": {"data": {"kind": "content", "digest": manifest.digest}}}}


def differences(store, old, new, **more):
    return Files(store, **more).fill_in(diff_keys(old, new), old, new)


def test_the_files_that_differ_are_named_where_the_manifests_are_kept(tmp_path):
    store = LocalStore(tmp_path)
    store.put(manifest_path(BEFORE.digest), BEFORE.encode())
    old, new = reading(BEFORE), reading(AFTER)
    (difference,) = differences(store, old, new)
    assert difference.text == "input i: its data changed"
    (difference,) = differences(store, old, new, manifests={AFTER.digest: AFTER.encode})
    assert difference.text == "input i: d is new, c is gone, b changed"
    assert (difference.added, difference.removed, difference.changed) == (1, 1, 1)
    assert [(f.path, f.change, f.old_size, f.new_size) for f in difference.files] == [
        ("d", "added", None, 4),
        ("c", "removed", 3, None),
        ("b", "changed", 1, 2),
    ]


def test_a_damaged_manifest_costs_the_names_only(tmp_path):
    store = LocalStore(tmp_path)
    store.put(manifest_path(BEFORE.digest), b'{"files":[["a",1')
    (difference,) = differences(
        store, reading(BEFORE), reading(AFTER), manifests={AFTER.digest: AFTER.encode}
    )
    assert difference.text == "input i: its data changed"


def test_many_files_are_counted(tmp_path):
    after = Manifest.of([Entry(f"f{n:03}", 1, "1" * 64) for n in range(100)])
    empty = Manifest.of([])
    known = {after.digest: after.encode, empty.digest: empty.encode}
    old, new = {**OLD, "source": empty.digest}, {**OLD, "source": after.digest}
    (difference,) = differences(LocalStore(tmp_path), old, new, manifests=known)
    assert difference.text.startswith("source: f000 is new, f001 is new, ")
    assert difference.text.endswith("and 95 more")
    assert (difference.count, len(difference.files)) == (100, 20)


# --- the nearest earlier result ----------------------------------------------------------------------------------


def remember(store, run: str, document: dict) -> Record:
    key = digest_key(document)
    origin = Origin(pipeline="p", run=run, step="s", attempt=1, id="p.s")
    record = Record(key=key, document=document, origin=origin, folder=f"f/{run}", started=1.0, finished=2.0)
    write_record(store, record)
    add_key(store, "p", "s", key)
    return record


def miss(store, document):
    return explain_miss(store, "p", "s", document, Files(store))


def test_the_nearest_is_the_one_with_the_fewest_differences(tmp_path):
    store = LocalStore(tmp_path)
    remember(store, "near", {**OLD, "script": "x.py"})
    remember(store, "far", {**OLD, "script": "x.py", "version": "7", "parameters": {}})
    found = miss(store, OLD)
    assert found.reasons == ("script: x.py → train.py",)
    assert found.explanation.against.text == "run near of p"


def test_of_equally_near_ones_it_is_the_latest(tmp_path):
    store = LocalStore(tmp_path)
    remember(store, "first", {**OLD, "script": "x.py"})
    remember(store, "second", {**OLD, "script": "y.py"})
    assert miss(store, OLD).reasons == ("script: y.py → train.py",)


def test_no_more_records_are_read_than_it_takes(tmp_path, monkeypatch):
    store = LocalStore(tmp_path)
    for number in range(5):
        remember(store, f"r{number}", {**OLD, "script": f"{number}.py"})
    read = []
    get = store.get
    monkeypatch.setattr(store, "get", lambda path: read.append(path) or get(path))
    miss(store, OLD)
    assert len([path for path in read if path.startswith("reuse/")]) == 1


def test_without_an_earlier_result_it_says_so(tmp_path):
    store = LocalStore(tmp_path)
    assert miss(store, OLD) == (("there is no earlier result of this step",), None)
    record = remember(store, "r", {**OLD, "script": "x.py"})
    store.delete(f"reuse/{record.key[:2]}/{record.key}.json")
    assert miss(store, OLD) == (("no earlier result of this step is left",), None)


def test_a_record_that_can_not_be_read_is_passed_over(tmp_path):
    store = LocalStore(tmp_path)
    remember(store, "good", {**OLD, "script": "x.py"})
    bad = remember(store, "bad", {**OLD, "script": "y.py"})
    store.put(f"reuse/{bad.key[:2]}/{bad.key}.json", b"{")
    assert miss(store, OLD).reasons == ("script: x.py → train.py",)


def test_one_may_be_compared_with_any_other(tmp_path):
    store = LocalStore(tmp_path)
    earlier = Earlier(pipeline="p", run="r", step="s", started=1.0)
    found = explain_against(earlier, {**OLD, "script": "x.py"}, OLD, Files(store))
    assert found.reasons == ("script: x.py → train.py",)
    assert found.against == earlier
    assert explain_against(earlier, OLD, OLD, Files(store)).differences == ()


# --- the chain to the root cause ---------------------------------------------------------------------------------


def test_a_cause_is_handed_down_from_step_to_step():
    first = Explanation(differences=diff_keys(OLD, {**OLD, "version": "2"}))
    causes = root_causes("a", "Prepare", (), first)
    assert causes == (Cause(step="a", name="Prepare", reason="version: none → 2"),)
    second = Explanation(differences=(FilesChange(field="inputs", name="i", step="a", causes=causes),))
    assert root_causes("b", "Train", (), second) == causes
    assert second.reasons == ("input i: its data changed (step Prepare: version: none → 2)",)


def test_a_step_with_a_reason_of_its_own_is_a_cause_too():
    causes = (Cause(step="a", name="a", reason="x"),)
    handed = FilesChange(field="inputs", name="i", step="a", causes=causes)
    own = ValueChange(field="script", old="x", new="y")
    found = root_causes("b", "b", (), Explanation(differences=(handed, own)))
    assert found == (*causes, Cause(step="b", name="b", reason="script: x → y"))


def test_without_an_explanation_a_steps_reasons_are_the_cause():
    (cause,) = root_causes("a", "a", ("allow_reuse is false",), None)
    assert cause.text == "step a: allow_reuse is false"


def test_many_causes_are_cut():
    handed = [Cause(step=f"s{n}", name=f"s{n}", reason="x") for n in range(10)]
    change = FilesChange(field="inputs", name="i", causes=tuple(handed))
    assert len(root_causes("b", "b", (), Explanation(differences=(change,)))) == 3
