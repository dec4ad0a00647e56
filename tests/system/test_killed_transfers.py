"""A transfer is killed, or its server stops: the next one completes it, every byte equal, and nothing else there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import (
    Data,
    InputSpec,
    Location,
    OutputSpec,
    PipelineSpec,
    StepSpec,
    TransferSpec,
)
from airflow_ml_pipelines.core.stores.open import open_store
from airflow_ml_pipelines.core.workspaces.workspace import DatastoreSpec, Workspace
from airflow_ml_pipelines.execution.runner import run_pipeline

KILLS = 10
FILES = {f"{number % 7}/{number}.bin": os.urandom(10_000) for number in range(400)}
FILES |= {"large-1.bin": os.urandom(30 << 20), "large-2.bin": os.urandom(20 << 20)}

RUN = """\
import sys
sys.path.insert(0, {tests!r})
from test_killed_transfers import transfer
outcome = transfer({folder!r}, {source!r}, {target!r})
print(outcome.errors)
sys.exit(outcome.status != "Finished")
"""


def store_spec(name, place):
    options = {"endpoint_url": os.environ["S3_ENDPOINT"]} if place.startswith("s3://") else {}
    credentials = {"key": "env:S3_KEY", "secret": "env:S3_SECRET"} if place.startswith("s3://") else {}
    if place.startswith("abfs://"):
        credentials = {"connection_string": "env:AZURE_CONNECTION"}
    return DatastoreSpec(name, place, options=options, credentials=credentials)


def transfer(folder, source, target):
    """Run a pipeline of one transfer, in this process."""
    workspace = Workspace(
        "killed",
        Path(folder, "root"),
        datastores=[store_spec("source", source), store_spec("target", target)],
        lease_seconds=1,
        cache_directory=Path(folder, "cache"),
    )
    step = StepSpec(
        id="copy",
        name="copy",
        kind="data_transfer",
        transfer=TransferSpec(),
        inputs=(InputSpec(name="source", source=Data(locations=(Location(datastore="source", path="in"),))),),
        outputs=(OutputSpec(name="destination", datastore="target", path="out"),),
    )
    return run_pipeline(workspace, new_run(PipelineSpec(name="killed", steps=(step,))))


@pytest.fixture
def places(request, tmp_path, monkeypatch):
    """Return URLs of a source with files and of a target, and how the target is opened."""
    kinds = request.param
    urls, opened = [], []
    for name, kind in zip(("source", "target"), kinds, strict=True):
        if kind == "local":
            urls.append(str(tmp_path / name))
            opened.append(open_store(urls[-1]))
            continue
        server = request.getfixturevalue(kind)
        urls.append(f"{server.bucket('killed')}/{tmp_path.name}-{name}")
        opened.append(open_store(urls[-1], **server.options))
        if kind == "s3":
            monkeypatch.setenv("S3_ENDPOINT", server.endpoint)
            monkeypatch.setenv("S3_KEY", server.options["key"])
            monkeypatch.setenv("S3_SECRET", server.options["secret"])
        else:
            monkeypatch.setenv("AZURE_CONNECTION", server.connection_string)
    for name, data in FILES.items():
        opened[0].put(f"in/{name}", data)
    return tmp_path, *urls, opened[1]


def start(folder, source, target):
    code = RUN.format(tests=str(Path(__file__).parent), folder=str(folder), source=source, target=target)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said


def is_there(store):
    found = {info.path.removeprefix("out/"): info for info in store.walk("out", unfinished=True)}
    assert found.keys() == FILES.keys()
    return all(store.get(f"out/{name}") == data for name, data in FILES.items())


@pytest.mark.parametrize("places", [("local", "s3"), ("s3", "local"), ("local", "local")], indirect=True)
def test_a_transfer_that_is_killed_ten_times_is_completed(places):
    folder, source, target, there = places
    seconds = random.Random()
    killed = 0
    for _ in range(KILLS):
        process = start(folder, source, target)
        while process.poll() is None and not (folder / "root/runs").exists():
            time.sleep(0.01)
        time.sleep(seconds.uniform(0, 1.5))
        killed += process.poll() is None
        process.kill()
        process.communicate()
        for info in there.walk("out"):  # what is shown of a killed transfer is whole
            assert there.get(info.path) == FILES[info.path.removeprefix("out/")]
    finish(start(folder, source, target))
    assert is_there(there)
    assert killed


@pytest.mark.parametrize("places", [("local", "azurite")], indirect=True)
def test_a_server_that_stops_and_starts_again_loses_nothing(places, azurite):
    folder, source, target, there = places
    process = start(folder, source, target)
    deadline = time.monotonic() + 60
    while not any(True for _ in there.walk("out")) and time.monotonic() < deadline:
        time.sleep(0.02)
    azurite.stop()
    time.sleep(1)
    azurite.start()
    process.communicate(timeout=300)  # it may have got over it, or not
    finish(start(folder, source, target))
    assert is_there(there)
