"""Keeps the keys of a pipeline's steps in a file, so that a test notices when they change.

A key that changes makes its step run again. That is right after an edit of its script, and a surprise after a change
that was to change nothing: a file that came into the snapshot, a default that moved, a package that is spelled
another way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.core.files.manifest import encode_files
from airflow_ml_pipelines.core.keys.diff_keys import Files, diff_keys
from airflow_ml_pipelines.core.keys.fingerprint import PENDING
from airflow_ml_pipelines.core.keys.key import digest_key, environment_document, key_document
from airflow_ml_pipelines.core.parameters import check_parameters, read_data
from airflow_ml_pipelines.core.spec import (
    Data,
    DataParameter,
    EnvironmentSpec,
    InputSpec,
    PipelineSpec,
    RegisteredDataset,
    StepOutput,
)
from airflow_ml_pipelines.core.steps.sources import Sources
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

if TYPE_CHECKING:
    import dag_factory

__all__ = ["KeyDocuments", "assert_key_stable", "key_documents"]

SCHEMA = 1

_ANY_PYTHON = "any"


class KeyDocuments(NamedTuple):
    """What the keys of a pipeline's steps are made of.

    :param steps: the key document of each step, by its id.
    :param sources: the files of each source directory as manifests have them, by its digest.
    """

    steps: dict[str, dict[str, Any]]
    sources: dict[str, list[Any]]


def assert_key_stable(
    pipeline: dag_factory.Pipeline | PipelineSpec | str | Path,
    golden: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    source: bool = True,
    update: bool = False,
) -> None:
    """Fail where the key of a step is not the one that a file has; the message says in what they differ.

    The file is made where it is missing.

    :param pipeline: an object, or what a command line would name.
    :param golden: the file.
    :param source: whether the files of the source directories count.
    :param update: write the file anew instead.
    :raises AssertionError: naming each step whose key changed, and why.
    """
    found = key_documents(pipeline, parameters=parameters, source=source)
    file = Path(golden)
    if update or not file.exists():
        document = {"schema": SCHEMA, "steps": found.steps, "sources": found.sources}
        text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
        return
    problems = _differences(_read(file), found)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise AssertionError(
            f"keys differ from those in {file}:\n{lines}\n"
            "These steps would run again. If that is meant, update the file (pytest --update-keys)."
        )


def key_documents(
    pipeline: dag_factory.Pipeline | PipelineSpec | str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    source: bool = True,
) -> KeyDocuments:
    """Return the key document of each step, with data by its place instead of its content.

    No data is looked at and nothing runs, so an output of another step is told by its name alone. Where an environment
    asks for no version of Python, the document has none.

    :param source: whether the files of the source directories count.
    """
    from airflow_ml_pipelines.testing.memory import add_names, memory_workspace, spec_of

    spec = spec_of(pipeline)
    values = check_parameters(spec.parameters, parameters or {})
    with memory_workspace() as workspace:
        core = workspace.core
        add_names(core, spec)
        sources = Sources(core, spec.base_directory)
        snapshots = {step.id: sources.snapshot(step) for step in spec.steps} if source else {}
        steps = {
            step.id: key_document(
                step,
                source=snapshots[step.id].digest if source else "",
                hash_paths=sources.hash_paths(step) if source else {},
                values=values,
                environment=environment_document(_environment(core, step.environment), _ANY_PYTHON),
                fingerprints={item.name: _fingerprint(item, values) for item in step.inputs},
                formats={item.name: ("auto", None) for item in step.inputs},
            )
            for step in spec.steps
        }
        manifests = {snapshot.digest: snapshot.manifest for snapshot in snapshots.values()}
    files = {digest: manifest.to_dict()["files"] for digest, manifest in manifests.items()}
    return KeyDocuments(steps, files)


def _environment(core: Workspace, environment: EnvironmentSpec | str) -> EnvironmentSpec:
    if isinstance(environment, EnvironmentSpec):
        return environment
    name, _, version = environment.partition(":")
    return core.environment(name, version or None)


def _fingerprint(item: InputSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    source = item.source
    if isinstance(source, StepOutput):
        return {"kind": PENDING, "step": source.step, "output": source.output}
    if isinstance(source, DataParameter):
        source = read_data(values[source.parameter])
    if isinstance(source, RegisteredDataset):
        return {"kind": "path", "locations": [["dataset", source.dataset, source.version]]}
    assert isinstance(source, Data)
    return {"kind": "path", "locations": [[place.datastore, place.path] for place in source.locations]}


def _read(file: Path) -> KeyDocuments:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] > SCHEMA:
            raise DocumentError(f"{file} has schema {document['schema']}; this version reads up to {SCHEMA}")
        return KeyDocuments(dict(document["steps"]), dict(document["sources"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DocumentError(
            f"{file} has no keys of a pipeline ({error!r}): remove it and run the test again"
        ) from None


def _differences(old: KeyDocuments, new: KeyDocuments) -> list[str]:
    found = [f"step {step} is new" for step in new.steps if step not in old.steps]
    found += [f"step {step} is gone" for step in old.steps if step not in new.steps]
    rows = {**old.sources, **new.sources}
    files = Files(manifests={digest: partial(encode_files, items, digest) for digest, items in rows.items()})
    for step, document in new.steps.items():
        before = old.steps.get(step)
        if before is not None and digest_key(before) != digest_key(document):
            differences = files.fill_in(diff_keys(before, document), before, document)
            found += [f"step {step}: {item.text}" for item in differences]
    return found
