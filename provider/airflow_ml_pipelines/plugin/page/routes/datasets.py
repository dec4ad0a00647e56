"""The pages of datasets: versions, what is in them, how they differ, and which steps make and read them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from airflow_ml_pipelines.core.errors import DataError, MlPipelinesError, WorkspaceError
from airflow_ml_pipelines.core.run_index import datasets_used, flows
from airflow_ml_pipelines.core.workspaces.registry import DatasetRecord
from airflow_ml_pipelines.plugin.access import MissingError
from airflow_ml_pipelines.plugin.page.lineage import draw_lineage
from airflow_ml_pipelines.plugin.page.render import base, render, run_path
from airflow_ml_pipelines.plugin.page.viewer import Viewer, ViewerDep
from dag_factory.datasets.dataset import Dataset, FileDataset, TabularDataset
from dag_factory.datasets.fetch import open_table
from dag_factory.datasets.preview import begin_of
from dag_factory.graphs.graph import source_text

__all__ = ["router"]

_VERSIONS = 100
_LARGEST = 256 << 20
_FILES = 200
_ROWS, _COLUMNS = 20, 40

router = APIRouter()

Version = Annotated[int | None, Query(ge=1)]


@router.get("/datasets")
def list_datasets(viewer: ViewerDep) -> HTMLResponse:
    """Show the latest version of each dataset that the user may see."""
    found = sorted(viewer.workspace.datasets().values(), key=lambda record: record.name)
    sees = _sight(viewer)
    shown = [record for record in found if sees(record)]
    return render(viewer.request, "datasets", found=[(record, _where(record)) for record in shown])


@router.get("/datasets/{name}")
def show_dataset(name: str, viewer: ViewerDep, old: Version = None, new: Version = None) -> HTMLResponse:
    """Show the versions of a dataset, the difference of two of them, and which steps make and read it."""
    viewer.refresh()
    sees = _sight(viewer)
    versions = [
        record
        for number in reversed(viewer.workspace.dataset_versions(name)[-_VERSIONS:])
        if sees(record := viewer.workspace.dataset(name, number))
    ]
    if not versions:
        raise MissingError(f"there is no dataset {name[:200]!r}")
    with viewer.index() as connection:
        found = flows(connection, viewer.dags(connection), name)
    at = base(viewer.request)
    graph, left_out = draw_lineage(
        found,
        lambda other: f"{at}/datasets/{quote(other, safe='')}",
        lambda flow: at + run_path(flow.pipeline, flow.run, flow.step),
        f"Which steps make and read {name}",
    )
    difference, wrong = None, ""
    if old is not None and new is not None:
        try:
            difference = _open(viewer, _pick(versions, new)).diff(_open(viewer, _pick(versions, old)))
        except (MlPipelinesError, ImportError) as error:
            wrong = str(error)
    return render(
        viewer.request,
        "dataset",
        name=name,
        versions=[(record, _where(record)) for record in versions],
        flows=found,
        left_out=left_out,
        graph=graph,
        old=old,
        new=new,
        difference=difference,
        wrong=wrong,
    )


@router.get("/datasets/{name}/{version}")
def show_version(name: str, version: int, viewer: ViewerDep) -> HTMLResponse:
    """Show what is in a version of a dataset: its files, how a table begins, and its profile."""
    try:
        record = viewer.workspace.dataset(name, version)
    except WorkspaceError:
        record = None
    if record is None or not _sight(viewer)(record):
        raise MissingError(f"there is no version {version} of dataset {name[:200]!r}")
    dataset, wrong, profile, files, begin = _open(viewer, record), "", [], [], None
    try:
        files = sorted(
            (path, file.store.info(file.path)) for path, file in list(dataset.files().items())[:_FILES]
        )
        size = sum(info.size for _, info in files if info)
        if isinstance(dataset, TabularDataset):
            if size > _LARGEST:
                raise DataError(
                    "The table is too large to be profiled here: use Dataset.profile() in a script."
                )
            with open_table(viewer.workspace, record.data) as table:
                begin, profile = begin_of(table, _ROWS, _COLUMNS), table.profile()
    except (MlPipelinesError, ImportError) as error:
        wrong = str(error)
    return render(
        viewer.request,
        "dataset_version",
        record=record,
        where=_where(record),
        files=[(path, info.size if info else None) for path, info in files],
        most=_FILES,
        profile=profile,
        begin=begin,
        wrong=wrong,
    )


def _sight(viewer: Viewer) -> Callable[[DatasetRecord], bool]:
    """Return what says whether the user may see a version.

    That which a step made belongs to the step's DAG. What somebody registered belongs to no DAG: whoever may see
    Airflow's assets may see it, and whoever may see a run that reads or makes a dataset of the name.
    """

    @functools.cache
    def registered() -> Container[str] | None:
        if viewer.access.may_read_assets():
            return None
        viewer.refresh()
        with viewer.index() as connection:
            return datasets_used(connection, viewer.dags(connection))

    def sees(record: DatasetRecord) -> bool:
        if record.origin is not None:
            return viewer.sees_run(record.origin.pipeline, record.origin.run)
        names = registered()
        return names is None or record.name in names

    return sees


def _pick(versions: list[DatasetRecord], number: int) -> DatasetRecord:
    for record in versions:
        if record.version == number:
            return record
    raise MissingError(f"there is no version {number}")


def _open(viewer: Viewer, record: DatasetRecord) -> Dataset:
    kind = FileDataset if record.data.tabular is None else TabularDataset
    return kind(record.data, viewer.workspace)


def _where(record: DatasetRecord) -> str:
    return source_text(record.data)[1]
