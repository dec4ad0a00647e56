"""Images in the reuse key: by what their names stand for when a run is planned."""

from __future__ import annotations

import pytest

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import EnvironmentSpec, PipelineSpec, StepSpec
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.testing import FakeComputeTarget

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")


class Project:
    """A pipeline of one step, and what the names of images stand for."""

    def __init__(self, folder):
        (folder / "step.py").write_text("pass\n")
        self.folder = folder
        self.images = {}
        self.asked = []
        self.workspace = Workspace("images", folder / "workspace", identify_image=self._identify)

    def _identify(self, target, image):
        self.asked.append((target.name, image))
        found = self.images.get(image)
        if found is None:
            raise ComputeTargetException("the engine is away")
        return found

    def run(self, image, versions=("1",)):
        """Run a step for each version; return how the first one went."""
        steps = [
            StepSpec(
                id=f"step{version}",
                name=f"step{version}",
                script="step.py",
                source_directory=str(self.folder),
                ignore=("workspace",),
                environment=EnvironmentSpec(image=image),
                version=version,
            )
            for version in versions
        ]
        with FakeComputeTarget() as fake:
            outcome = run_pipeline(self.workspace, new_run(PipelineSpec(name="images", steps=tuple(steps))))
        self.environments = fake.environments
        return outcome.steps["step1"]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_a_tag_that_stays_is_reused_and_one_that_moved_is_not(project):
    project.images["team/base:1"] = f"team/base@{ONE}"
    assert project.run("team/base:1").status == "finished"
    assert project.run("team/base:1").status == "reused"
    project.images["team/base:1"] = f"team/base@{TWO}"
    moved = project.run("team/base:1")
    assert moved.status == "finished"
    assert moved.reasons == (f"environment image: {ONE} → {TWO}",)


def test_an_image_is_the_same_by_whatever_name(project):
    project.images |= {"team/base:1": f"team/base@{ONE}", "mirror.example/base:latest": f"mirror/base@{ONE}"}
    assert project.run("team/base:1").status == "finished"
    for name in ("mirror.example/base:latest", f"else/where@{ONE}", ONE):
        assert project.run(name).status == "reused"


def test_the_step_runs_with_the_image_that_its_key_has(project):
    project.images["team/base:1"] = f"team/base@{ONE}"
    project.run("team/base:1")
    assert [item.image for item in project.environments] == [f"team/base@{ONE}"]


def test_a_digest_is_not_asked_for(project):
    assert project.run(f"team/base@{ONE}").status == "finished"
    assert project.asked == []


def test_each_image_is_asked_for_once_in_a_plan(project):
    project.images["team/base:1"] = f"team/base@{ONE}"
    project.run("team/base:1", versions=("1", "2"))
    assert project.asked == [("local", "team/base:1")]


def test_where_nobody_can_tell_the_step_runs_and_nothing_is_recorded(project):
    for _ in range(2):
        document = project.run("team/base:1")
        assert document.status == "finished"
        text = "image 'team/base:1' can't be told from another of that name (the engine is away): name it by digest"
        assert document.reasons == (text, f"not recorded: {text}")
    assert list(project.workspace.store.walk("reuse")) == []
