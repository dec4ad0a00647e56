"""What is fuzzed: every function takes bytes that anybody may have written, and lets only errors in words through.

``run.py`` runs them under atheris, ``test_targets.py`` with the seeds alone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from airflow_ml_pipelines.core.documents import read_document, write_document
from airflow_ml_pipelines.core.errors import DefinitionError, DocumentError, MlPipelinesError, SnapshotError
from airflow_ml_pipelines.core.files.archive import unpack_archive
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.core.files.statcache import Table
from airflow_ml_pipelines.core.keeping.pins import Pin
from airflow_ml_pipelines.core.publishing.drafts import DraftDocument
from airflow_ml_pipelines.core.publishing.endpoints import EndpointDocument
from airflow_ml_pipelines.core.reuse.history import History
from airflow_ml_pipelines.core.reuse.lease import LeaseDocument
from airflow_ml_pipelines.core.reuse.records import Record
from airflow_ml_pipelines.core.runs.folder import PlanDocument, ResultDocument, RunDocument, StepDocument
from airflow_ml_pipelines.core.workspaces.registry import DatasetRecord, PublishedDocument
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.operations import check_operation
from airflow_ml_pipelines.runtime.result import JobResult
from airflow_ml_pipelines.workspace_file import load_workspace
from dag_factory.convert import convert_file
from dag_factory.convert.commands import CommandError, read_command
from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.resolve.bindings import format_segments, parse

__all__ = ["KINDS", "TARGETS"]

KINDS = (
    RunDocument, PlanDocument, StepDocument, ResultDocument, Record, History, LeaseDocument, Pin, DatasetRecord,
    PublishedDocument, EndpointDocument, DraftDocument, Manifest, Job, JobResult, Table,
)  # fmt: skip
"""What a stored document may be; the first byte of a seed says which."""

_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def definition(data: bytes) -> None:
    """The text of a definition, which is written as it was read where nothing is wrong with it."""
    text = data.decode(errors="replace") + "\n"
    try:
        found = PipelineDefinition.from_yaml(text)
        found.to_spec(check_files=False)
    except DefinitionError as error:
        assert str(error)
        assert len(error.findings) >= 1
        return
    written = found.to_yaml()
    assert PipelineDefinition.from_yaml(written) == found
    for step in found.steps.values():
        for argument in step.arguments:
            assert parse(format_segments(parse(argument))) == parse(argument)


def workspace(data: bytes) -> None:
    """The text of a workspace file."""
    file = _FOLDER / "workspace.yaml"
    file.write_bytes(data)
    try:
        load_workspace(file)
    except MlPipelinesError as error:
        assert str(file) in str(error)


def convert(data: bytes) -> None:
    """A pipeline of Azure ML, which becomes a definition where it can be read."""
    file = _FOLDER / "job.yml"
    file.write_bytes(data)
    try:
        text = convert_file(file).text
    except DefinitionError as error:
        assert str(error)
        return
    (_FOLDER / "job.pipeline.yaml").write_text(text)
    PipelineDefinition.from_yaml(_FOLDER / "job.pipeline.yaml")


def command(data: bytes) -> None:
    """The command of a job of Azure ML."""
    try:
        found = read_command(data.decode(errors="replace"), lambda name: len(name) % 2 == 0)
    except CommandError as error:
        assert str(error)
    else:
        assert found.script.endswith(".py")


def document(data: bytes) -> None:
    """A stored document, which is written as it was read."""
    kind, data = KINDS[data[0] % len(KINDS)] if data else RunDocument, data[1:]
    if kind is Table:
        table = Table.decode(data)
        assert table is None or table.rows() is not None
        return
    try:
        if kind in (Manifest, Job, JobResult):
            kind.from_dict(json.loads(data))
            return
        found = read_document(data, kind, what="it", schema=1)
        assert read_document(write_document(found), kind, what="it", schema=1) == found
        if isinstance(found, RunDocument):
            assert found.spec.digest
            PipelineDefinition.from_spec(found.spec)
    except (DocumentError, DefinitionError) as error:
        assert str(error)
    except (ValueError, RecursionError):  # of json
        assert kind in (Manifest, Job, JobResult)


def operation(data: bytes) -> None:
    """An operation on a table that somebody wrote down."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        try:
            check_operation(value)
        except ValueError as error:
            assert str(error)


def archive(data: bytes) -> None:
    """An archive with a snapshot, of which nothing lands beside its folder."""
    file, target = _FOLDER / "a.zip", _FOLDER / "deep/out"
    file.write_bytes(data)
    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir()
    try:
        unpack_archive(file, target, limit=1 << 20)
    except SnapshotError as error:
        assert str(error)
    assert list(target.parent.iterdir()) in ([], [target])


TARGETS = {
    function.__name__: function
    for function in (definition, workspace, convert, command, document, operation, archive)
}
