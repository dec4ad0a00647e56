"""What is done to a workspace besides running: each in a process of its own, and such that it can be done again."""

from __future__ import annotations

from pathlib import Path

from airflow_ml_pipelines.core.errors import WorkspaceError
from dag_factory import (
    Dataset,
    Datastore,
    Environment,
    Pipeline,
    PipelineEndpoint,
    PublishedPipeline,
    Schedule,
    ScheduleRecurrence,
    Workspace,
)

__all__ = ["publish", "register", "schedule", "upload"]


def publish(folder: Path) -> None:
    """Publish the pipeline as what an endpoint runs, under a name that the endpoint gets in the end."""
    ws = Workspace.from_config(folder)
    pipeline = Pipeline.load_yaml(ws, folder / "shop.pipeline.yaml")
    published = pipeline.publish(name="published")
    endpoints = {item.name: item for item in PipelineEndpoint.list(ws)}
    if "service" not in endpoints:
        endpoint = endpoints.get("draft") or PipelineEndpoint.publish(ws, "draft", None, published)
        endpoint.set_name("service")
    endpoint = PipelineEndpoint.get(ws, name="service")
    endpoint.add_default(published)
    assert endpoint.get_pipeline().id == published.id
    assert [item.name for item in PipelineEndpoint.list(ws)] == ["service"]
    assert published.id in [item.id for item in PublishedPipeline.list(ws)]


def schedule(folder: Path) -> None:
    """Make a schedule of a pipeline that is published, and disable it."""
    ws = Workspace.from_config(folder)
    published = PublishedPipeline.list(ws)[0]
    found = Schedule.list(ws, active_only=False)
    made = (
        found[0]
        if found
        else Schedule.create(ws, "hourly", published.id, "shop", ScheduleRecurrence("Hour", 1))
    )
    made.update(description="every hour")
    made.disable()
    (only,) = Schedule.list(ws, active_only=False)
    assert (only.name, only.description, only.status) == ("hourly", "every hour", "Disabled")


def register(folder: Path) -> None:
    """Register a datastore, a dataset on it and an environment."""
    ws = Workspace.from_config(folder)
    store = Datastore.register(ws, "more", str(folder / "more"))
    ws.set_default_datastore("workspaceblobstore")
    dataset = Dataset.File.from_files((store, "texts")).register(ws, "texts", create_new_version=True)
    environment = Environment("plain")
    environment.register(ws)
    assert Dataset.get_by_name(ws, "texts").version == dataset.version == 1
    assert Environment.get(ws, "plain").version == "1"
    assert Datastore.get(ws, "more").name == "more"


def upload(folder: Path) -> None:
    """Upload a folder, and download it again."""
    ws = Workspace.from_config(folder)
    store = ws.get_default_datastore()
    store.upload(folder / "split", "uploaded", overwrite=True, show_progress=False)
    store.download(folder / "downloaded", "uploaded", overwrite=True, show_progress=False)
    wanted = (folder / "split/make.py").read_bytes()
    found = [path.read_bytes() for path in (folder / "downloaded").rglob("*") if path.is_file()]
    if found != [wanted]:
        raise WorkspaceError(f"{len(found)} files")
