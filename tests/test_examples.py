"""The examples say the same in YAML and in Python."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from airflow_ml_pipelines.core.spec import PipelineSpec
from dag_factory import PipelineDefinition

EXAMPLES = Path(__file__).parent.parent / "example_dags"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    shutil.copy(EXAMPLES / "workspace.yaml", tmp_path)
    monkeypatch.setenv("ML_PIPELINES_WORKSPACE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.pipeline.yaml")), ids=lambda path: path.name)
def test_definition_has_no_error_and_survives_being_written(path, tmp_path):
    definition = PipelineDefinition.from_yaml(path)
    again = PipelineDefinition.from_yaml(definition.to_yaml())
    assert again == definition
    assert again.to_spec(EXAMPLES).digest == definition.to_spec().digest


def test_digits_in_python_has_the_steps_and_parameters_of_digits_in_yaml(workspace, monkeypatch):
    written = PipelineDefinition.from_yaml(EXAMPLES / "digits.pipeline.yaml").to_spec()
    monkeypatch.setattr("dag_factory.Pipeline.to_dag", lambda *_, **__: None)  # which would import Airflow
    made = runpy.run_path(str(EXAMPLES / "digits_python.py"))["pipeline"].to_spec()
    assert compared(made) == compared(written)


def compared(spec: PipelineSpec) -> dict:
    """What makes the keys of the steps, and the bounds of the parameters; not what is for people alone."""
    document = msgspec.to_builtins(spec)
    for parameter in document["parameters"]:
        for label in ("description", "section"):
            parameter.pop(label, None)
    for step in document["steps"]:
        step["source_directory"] = str((Path(spec.base_directory) / step["source_directory"]).resolve())
        for data in step["inputs"]:
            for location in data["source"].get("locations", ()):
                location.pop("datastore", None)  # the default one, by its name or without
    return {
        "steps": {step["id"]: step for step in document["steps"]},
        "parameters": {item["name"]: item for item in document["parameters"]},
    }


def test_images_of_the_data_maker_can_be_read_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.syspath_prepend(EXAMPLES / "digits/prepare")
    import make_data
    import prepare

    try:
        count = make_data.write_digits(tmp_path)
        files = sorted(tmp_path.glob("*/*.pgm"))
        assert len(files) == count == 1797
        assert {file.parent.name for file in files} == set("0123456789")
        from sklearn.datasets import load_digits

        image = load_digits().images[104] / 16
        (file,) = tmp_path.glob("*/0104.pgm")
        assert prepare.read_image(file) == pytest.approx(image.ravel())
    finally:
        del sys.modules["make_data"], sys.modules["prepare"]
