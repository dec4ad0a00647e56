"""Two workspaces that share a datastore, with pipelines and runs of equal names."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from project import Project
from test_gc import Shop, counts

from airflow_ml_pipelines.core.gc import Policy, collect
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace

MONTH = Policy(older_than=30 * 24 * 3600.0)


class Tenant(Shop):
    """A project whose outputs go to a datastore that others use too."""

    def __init__(self, folder, shared):
        folder.mkdir()
        stores = [DatastoreSpec("shared", str(shared))]
        Project.__init__(self, folder, Workspace("tenant", folder / "ws", datastores=stores))
        self.spec = msgspec.structs.replace(self.spec, default_datastore="shared")
        self.workspace.datastore("shared").put("in/a.txt", b"data ")

    def path(self, run):
        (output,) = RunFolder(self.workspace.store, "pipe", run).read_step("train").outputs.values()
        return output.path

    def clean(self):
        """Let all that is old go, at last."""
        self.wait(40)
        self.gc()
        self.wait(8)
        return self.gc()


@pytest.fixture
def tenants(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    return [Tenant(tmp_path / name, tmp_path / "shared") for name in ("one", "two")]


def test_runs_of_equal_names_do_not_meet(tenants):
    one, two = tenants
    one.run(run_id="daily", parameters={"word": "one"})
    two.run(run_id="daily", parameters={"word": "two"})
    assert one.output("daily", "train") == "data one"
    assert two.output("daily", "train") == "data two"
    assert {one.run(parameters={"word": "one"}).steps["train"].status} == {"reused"}


def test_a_clean_up_removes_what_its_own_workspace_made_and_nothing_else(tenants):
    one, two = tenants
    for tenant in tenants:
        tenant.run(run_id="daily")
    assert one.clean()[("remove", "result")] == 3
    left = one.workspace.datastore("shared")
    assert not list(left.walk(one.path("daily"))) if one.root.joinpath("runs/pipe/daily").exists() else True
    assert two.output("daily", "train") == "data one"
    assert {path.split("/")[1] for path in (info.path for info in left.walk("outputs"))} == {
        f"workspace-{two.workspace.identity}"
    }
    assert two.clean()[("remove", "result")] == 3
    assert list(left.walk("outputs")) == []


def test_data_without_an_id_above_it_stays_and_is_reused(tenants, monkeypatch):
    """As it was written before there were ids: it may be anybody's."""
    one, two = tenants
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "outputs_folder", lambda *_: "outputs")
        one.run(run_id="daily")
    assert one.path("daily") == "outputs/pipe/daily/train/1/out"
    two.run(run_id="daily")
    assert {step.status for step in one.run().steps.values()} == {"reused"}
    items = []
    one.wait(40)
    collect(one.workspace, MONTH, on_item=items.append)
    assert {item.size for item in items if item.kind == "result"} == {0}
    one.gc()
    one.wait(8)
    one.gc()
    assert one.workspace.datastore("shared").get("outputs/pipe/daily/train/1/out/out.txt") == b"data one"


def test_data_of_an_attempt_that_failed_goes_from_a_shared_datastore_too(tenants):
    one, two = tenants
    for tenant in tenants:
        tenant.script(
            "train", "import sys; open(sys.argv[2] + '/half', 'w').write('half'); sys.exit('it broke')"
        )
        assert tenant.run(run_id="bad").status == "Failed"
    assert one.gc(Policy()) == {("mark", "result"): 1}
    one.wait(8)
    assert one.gc(Policy())[("remove", "result")] == 1
    left = [info.path for info in one.workspace.datastore("shared").walk("outputs")]
    halves = [path for path in left if path.endswith("half")]
    assert halves == [f"outputs/workspace-{two.workspace.identity}/pipe/bad/train/1/out/half"]


def test_a_dataset_keeps_data_on_a_shared_datastore(tenants):
    one = tenants[0]
    one.run(run_id="daily")
    location = Location(datastore="shared", path=f"/{one.path('daily')}/*.txt")
    one.workspace.register_dataset("rows", Data(locations=(location,)))
    one.wait(40)
    assert counts(collect(one.workspace, MONTH))[("mark", "result")] == 2
    assert collect(one.workspace, MONTH).kept["a registered dataset has its data"].count == 1


def test_a_dataset_that_a_marked_result_becomes_takes_the_tombstone_back(tenants):
    one = tenants[0]
    one.run(run_id="daily")
    one.wait(40)
    one.gc()
    location = Location(datastore="shared", path=one.path("daily"))
    one.workspace.register_dataset("rows", Data(locations=(location,)))
    assert not (one.root / "runs/pipe/daily/steps/train/1/tombstone.json").exists()


def test_the_id_is_made_once_and_only_where_it_is_needed(tenants, tmp_path):
    one, _ = tenants
    assert one.workspace.find_identity() is None
    collect(one.workspace, MONTH)
    assert not (one.root / "workspace.json").exists()
    found = {Workspace.local(one.root).identity for _ in range(3)}
    assert found == {one.workspace.identity}
    assert re.fullmatch("[0-9a-f]{12}", found.pop())
    assert json.loads((one.root / "workspace.json").read_text())["schema"] == 1
    plain = Project(tmp_path)
    plain.run()
    assert plain.workspace.find_identity() is None


@pytest.mark.parametrize(
    ("name", "url", "own"),
    [
        ("workspaceblobstore", None, True),
        ("workspaceblobstore", "elsewhere", False),
        ("mine", "elsewhere", False),
        ("mine", "ws/data/workspaceblobstore", False),
        ("mine", "ws", False),
    ],
)
def test_only_what_lies_under_the_root_from_the_start_is_a_workspaces_own(name, url, own, tmp_path):
    stores = [] if url is None else [DatastoreSpec(name, str(tmp_path / url))]
    workspace = Workspace("w", tmp_path / "ws", datastores=stores)
    assert workspace.is_own(name) is own
    assert workspace.outputs_folder(name) == ("outputs" if own else f"outputs/workspace-{workspace.identity}")
