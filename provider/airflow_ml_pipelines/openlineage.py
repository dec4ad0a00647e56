"""What the operators tell OpenLineage, where Airflow's provider of that name is installed.

Names of datasets and facets: https://openlineage.io/docs/spec/naming, https://openlineage.io/docs/spec/facets/.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_ml_pipelines.core.errors import MlPipelinesError
from airflow_ml_pipelines.core.keys.fingerprint import find_location
from airflow_ml_pipelines.core.spec import TabularFormat
from airflow_ml_pipelines.core.steps.lineage import StepLineage, Trace
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

__all__ = ["describe_lineage"]

_LOG = logging.getLogger(__name__)

_FORMATS = {".csv": "delimited", ".tsv": "delimited", ".parquet": "parquet", ".jsonl": "json_lines"}
_LARGEST = 64 << 20
"""How large a file may be, in bytes, that is fetched or read through for its columns."""


def describe_lineage(workspace: Workspace, steps: Iterable[StepLineage]) -> Any:
    """Return what steps read and wrote, as an ``OperatorLineage`` of Airflow's OpenLineage provider.

    The facet ``mlPipelines_reuse`` says of each step whether it was reused, from where, and why it ran.

    :raises ImportError: where that provider is not installed; nobody but itself calls this.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage
    from attrs import define
    from openlineage.client.facet_v2 import RunFacet

    @define
    class ReuseRunFacet(RunFacet):  # type: ignore[misc]
        steps: list[dict[str, Any]]

    steps = list(steps)
    inputs: dict[tuple[str, str], Any] = {}
    outputs: dict[tuple[str, str], Any] = {}
    for step in steps:
        for found, traces, is_output in ((inputs, step.inputs, False), (outputs, step.outputs, True)):
            for trace in traces:
                for url in trace.urls:
                    found.setdefault(_name(url), _dataset(workspace, trace, url, is_output=is_output))
    return OperatorLineage(
        inputs=list(inputs.values()),
        outputs=list(outputs.values()),
        run_facets={"mlPipelines_reuse": ReuseRunFacet(steps=[_reuse(step) for step in steps])},
        job_facets=_source(steps[0]) if len(steps) == 1 else {},
    )


def _reuse(step: StepLineage) -> dict[str, Any]:
    document = step.document
    origin = document.reused_from
    told: dict[str, Any] = {
        "step": document.step,
        "status": document.status,
        "reasons": list(document.reasons),
        "key": document.key,
    }
    if origin is not None:
        told["reusedFrom"] = {"pipeline": origin.pipeline, "run": origin.run, "step": origin.step}
        told["secondsSaved"] = round(document.saved, 3)
    return told


def _source(step: StepLineage) -> dict[str, Any]:
    from openlineage.client.facet_v2 import source_code_location_job

    repository = step.git.get("repository", "")
    if "://" not in repository:  # the facet refuses what is no URL
        return {}
    return {
        "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet(
            type="git",
            url=repository,
            repoUrl=repository,
            path=step.script,
            version=step.git.get("commit"),
            branch=step.git.get("branch"),
        )
    }


def _dataset(workspace: Workspace, trace: Trace, url: str, *, is_output: bool) -> Any:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import (
        dataset_version_dataset,
        input_statistics_input_dataset,
        output_statistics_output_dataset,
        schema_dataset,
        symlinks_dataset,
    )

    namespace, name = _name(url)
    facets: dict[str, Any] = {}
    output = trace.output
    version = output.digest if output is not None else None if trace.version is None else str(trace.version)
    if version is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version)
    if trace.dataset is not None:
        known = symlinks_dataset.Identifier(
            namespace=f"ml-pipelines://{workspace.name}", name=trace.dataset, type="DATASET"
        )
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(identifiers=[known])
    columns = _columns(workspace, trace)
    if columns:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=column, type=kind, ordinal_position=number)
            for number, (column, kind) in enumerate(columns.items(), 1)
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    counted = {} if output is None else {"size": output.size, "fileCount": output.files}
    if is_output:
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(**counted)
        return OutputDataset(
            namespace=namespace,
            name=name,
            facets=facets,
            outputFacets={"outputStatistics": statistics} if counted else {},
        )
    read = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(**counted)
    return InputDataset(
        namespace=namespace,
        name=name,
        facets=facets,
        inputFacets={"inputStatistics": read} if counted else {},
    )


def _name(url: str) -> tuple[str, str]:
    """Return the namespace and the name of a dataset, by OpenLineage's rules for where it lies."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return "file", parts.path or "/"
    host = parts.netloc.rpartition("@")[2] if parts.password else parts.netloc
    return f"{parts.scheme}://{host}", parts.path.strip("/") or "/"


def _columns(workspace: Workspace, trace: Trace) -> dict[str, str]:
    """Return the columns of a table with their types, by its first file; none where it is no table, or too large."""
    try:
        return _read_columns(workspace, trace)
    except (MlPipelinesError, ImportError, OSError) as error:
        _LOG.info("The columns of %s can't be told to OpenLineage: %s", trace.port, error)
        return {}


def _read_columns(workspace: Workspace, trace: Trace) -> dict[str, str]:
    from airflow_ml_pipelines.runtime.places import DataFile
    from airflow_ml_pipelines.runtime.table_engine import Table

    found = find_location(trace.data.locations[0], workspace.datastore, workspace.open_url)
    table = trace.data.tabular
    for info in found.objects:
        kind = _FORMATS.get(Path(info.path).suffix.lower())
        if table is None and kind is None:
            continue
        form = table or TabularFormat(format=kind, separator="\t" if info.path.endswith(".tsv") else ",")  # type: ignore[arg-type]
        options = {name: getattr(form, name) for name in form.__struct_fields__}
        local = found.store.local_path(info.path)
        if info.size > _LARGEST and (local is None or form.format != "parquet"):
            return {}
        with tempfile.TemporaryDirectory(prefix="columns-") as folder:
            if local is None:
                local = Path(folder, "file")
                local.write_bytes(found.store.get(info.path))
            with Table([DataFile(str(local), found.relative(info.path), f"/{info.path}")], options) as opened:
                return opened.columns
    return {}
