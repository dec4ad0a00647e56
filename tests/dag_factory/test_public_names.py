from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dag_factory

_ROOT = Path(dag_factory.__file__).parent


def test_every_public_name_can_be_had():
    missing = [name for name in dag_factory.__all__ if getattr(dag_factory, name, None) is None]
    assert missing == []


def test_public_names_are_in_order_and_once():
    assert list(dag_factory.__all__) == sorted(set(dag_factory.__all__))


def test_dir_has_every_public_name():
    assert set(dag_factory.__all__) <= set(dir(dag_factory))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Pipelin'"):
        _ = dag_factory.Pipelin


def test_each_name_is_public_where_it_is_defined():
    for name, home in dag_factory._HOMES.items():
        module = __import__(home, fromlist=["__all__"])
        assert name in module.__all__, f"{home} does not list {name}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import dag_factory",
            ["airflow", "pydantic", "msgspec", "yaml", "fsspec", "pandas", "dag_factory.steps.step"],
        ),
        (
            "from dag_factory import Pipeline, PythonScriptStep, OutputFileDatasetConfig, Experiment, PipelineRun",
            ["airflow", "pydantic", "yaml", "fsspec", "pandas"],
        ),
        (
            "import dag_factory as d; d.PipelineParameter('images', d.DataPath('lake', 'images')).to_spec()",
            ["airflow", "pydantic", "yaml", "fsspec", "pandas"],
        ),
        ("import dag_factory.cli", ["airflow", "pydantic", "msgspec", "yaml", "fsspec", "pandas"]),
    ],
)
def test_importing_takes_only_what_is_needed(statement, absent):
    code = f"{statement}\nimport sys\nprint(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
