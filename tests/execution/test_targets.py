"""How compute targets are found, and how their options are read."""

from importlib.metadata import EntryPoint

import msgspec
import pytest
from process_target import ProcessTarget

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec
from airflow_ml_pipelines.execution.targets import registry
from airflow_ml_pipelines.execution.targets.registry import check_target, open_target, read_options


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    image: str = ""
    cpus: float | None = None
    mounts: list[str] = []


@pytest.fixture
def third_party(monkeypatch):
    def register(value):
        point = EntryPoint("rocket", value, registry.GROUP)
        monkeypatch.setattr(registry, "_entry_points", lambda: {"rocket": point})

    return register


def test_a_type_that_there_is_not_names_those_that_there_are():
    with pytest.raises(
        ComputeTargetException,
        match=r"'gpu' is of type 'locall', .*Did you mean 'local'\? There are: .*local",
    ):
        open_target(ComputeTargetSpec("gpu", "locall"))


def test_another_project_registers_a_type_by_an_entry_point(third_party):
    third_party("process_target:ProcessTarget")
    target = open_target(ComputeTargetSpec("moon", "rocket"))
    assert isinstance(target, ProcessTarget)
    assert target.name == "moon"


def test_a_type_that_can_not_be_loaded_says_where_it_comes_from(third_party):
    third_party("no_such_module:Target")
    with pytest.raises(ComputeTargetException, match="'rocket' can't be loaded from no_such_module:Target"):
        open_target(ComputeTargetSpec("moon", "rocket"))


def test_a_type_of_another_machine_is_no_mistake_of_the_file():
    check_target(ComputeTargetSpec("moon", "rocket"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"imag": "x"}, r"unknown option 'imag'\. Did you mean 'image'\?"),
        ({"cpus": "two"}, "cpus: expected float | null, got str"),
        ({"mounts": ["/a", 3]}, r"mounts\[1\]: expected str, got int"),
    ],
)
def test_wrong_options_are_named(options, text):
    with pytest.raises(ComputeTargetException, match=text) as caught:
        read_options(ComputeTargetSpec("box", "docker", options), Options)
    assert str(caught.value).startswith("compute target 'box' of type 'docker': ")
