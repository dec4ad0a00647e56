"""The fixtures, in a test run of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
from pathlib import Path

HERE = Path(__file__).parent


def test_reuse(run_in_memory):
    first = run_in_memory(HERE / "shop.pipeline.yaml", data={"rows/a.txt": "one"})
    second = run_in_memory(HERE / "shop.pipeline.yaml")
    assert (first.ran, second.reused) == (["use"], ["use"])


def test_another_test_has_another_workspace(run_in_memory, memory_workspace):
    assert not list(memory_workspace.core.store.walk())
    run = run_in_memory(HERE / "shop.pipeline.yaml", data={"rows/a.txt": "one"})
    assert run.workspace is memory_workspace
    assert run.ran == ["use"]


def test_fake(run_in_memory, fake_compute_target):
    run = run_in_memory(HERE / "shop.pipeline.yaml", data={"rows/a.txt": "one"})
    assert fake_compute_target.ran == ["use"]
    assert run.files("use", "made") == {}


def test_keys(assert_key_stable):
    assert_key_stable(HERE / "shop.pipeline.yaml")
"""
YAML = """
data: {rows: {path: rows}}
steps:
  use:
    script: use.py
    source_directory: src
    inputs: {rows: rows}
    outputs: {made: }
    arguments: ["${{ inputs.rows }}", "${{ outputs.made }}"]
"""


@pytest.fixture
def shop(tmp_path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/use.py").write_text("import sys; open(sys.argv[2] + '/made.txt', 'w').write('made')\n")
    (tmp_path / "shop.pipeline.yaml").write_text(YAML)
    (tmp_path / "test_shop.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_every_fixture_is_there_without_an_import(shop):
    done = run(shop)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    assert (shop / "golden/test_keys.json").is_file()
    assert {path.name for path in shop.iterdir()} == {
        "golden",
        "pytest.ini",
        "shop.pipeline.yaml",
        "src",
        "test_shop.py",
    }


def test_keys_that_changed_fail_until_they_are_updated(shop):
    assert run(shop, "-k", "keys").returncode == 0
    (shop / "src/use.py").write_text("print(1)\n")
    done = run(shop, "-k", "keys")
    assert done.returncode == 1
    assert "step use: source: use.py changed" in done.stdout
    assert run(shop, "-k", "keys", "--update-keys").returncode == 0
    assert run(shop, "-k", "keys").returncode == 0


def test_pytest_starts_without_importing_anything_for_it():
    code = """
import sys, pytest
pytest.main(["--version", "-q"])
import importlib.metadata as m
assert any(e.value == "airflow_ml_pipelines.pytest_plugin" for e in m.entry_points(group="pytest11"))
print("loaded:", *sorted(n for n in sys.modules if n.split(".")[0] in ("airflow", "dag_factory", "msgspec", "airflow_ml_pipelines")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] in (
        "loaded:",  # pytest only says its version
        "loaded: airflow_ml_pipelines airflow_ml_pipelines.pytest_plugin",
    )
