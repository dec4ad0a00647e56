"""What holds for the project as a whole."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import airflow_ml_pipelines

PROJECT = Path(__file__).parent.parent
PACKAGES = (PROJECT / "dag_factory", PROJECT / "provider/airflow_ml_pipelines")
RUNTIME = PROJECT / "provider/airflow_ml_pipelines/runtime"
STARTED = ("standin", "bootstrap")  # run, or found under other names, in the process of a step's script
FACTORY, CORE = PACKAGES[0], PACKAGES[1] / "core"
ROOMS = (
    *("files", "stores", "databases", "keys", "runs", "keeping", "workspaces", "databricks"),
    *("reuse", "steps", "plans", "publishing", "transfer", "gc", "check", "run_index"),
)
"""The rooms of the core: each imports from those before it, and the modules beside them from no room."""
FLOORS = (
    *("calls", "_check", "terminal", "compute", "models", "resolve", "definitions", "graphs", "dags"),
    *("ports", "datastores", "datasets", "steps", "runs", "publishing", "pipelines", "workspace"),
    *("convert", "migrate", "commands", "cli", "airflow_cli"),
)
"""The rooms of dag_factory, and the modules beside them: each imports from those before it."""
LAYERS = (
    *("core", "runtime", "execution", "written", "workspace_model", "workspace_file", "definition_files"),
    *(
        "get_provider_info",
        "timetables",
        "openlineage",
        "_airflow",
        "links",
        "hooks",
        "connections",
        "_tasks",
    ),
    *(
        "triggers",
        "sensors",
        "operators",
        "bundles",
        "doctor",
        "dag_factory",
        "plugin",
        "testing",
        "pytest_plugin",
    ),
)
"""The parts of the provider, and where dag_factory stands between them: each imports from those before it."""
MODULES = sorted(
    path
    for package in PACKAGES
    for path in package.rglob("*.py")
    if path.name != "__main__.py" and not any(path.is_relative_to(RUNTIME / name) for name in STARTED)
)


def relative(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def project_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [path for name in listed.stdout.splitlines() if (path := PROJECT / name).is_file()]


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["version"] == airflow_ml_pipelines.__version__
    first = next(
        line for line in (PROJECT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")
    )
    assert first.split()[1] == project["version"]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_all_lists_what_a_module_has(path):
    tree = ast.parse(path.read_text("utf-8"))
    listed: list[str] | None = None
    defined: set[str] = set()
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            if names == {"__all__"}:
                listed = ast.literal_eval(node.value)
            defined |= names
    public = {name for name in defined if not name.startswith("_")}
    if listed is None:
        assert not public, f"no __all__, but {sorted(public)}"
        return
    assert len(listed) == len(set(listed))
    assert set(listed) <= defined | imported, "it lists what is not there"


def test_core_runtime_and_execution_need_neither_airflow_nor_pydantic():
    rooms = [PACKAGES[1] / name for name in ("core", "runtime", "execution")]
    names = [
        ".".join(path.relative_to(PACKAGES[1].parent).with_suffix("").parts)
        for path in MODULES
        if any(path.is_relative_to(room) for room in rooms)
    ]
    code = (
        "import importlib, sys\n"
        "for name in ('airflow', 'pydantic', 'fsspec', 'pandas', 'yaml', 'docker'):\n"
        "    sys.modules[name] = None\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module", ["runtime.launcher", "core.stores.obstore_store", "core.stores.fsspec_store"]
)
def test_the_launcher_needs_the_standard_library_and_what_opens_its_stores(module):
    code = (
        "import importlib, sys\n"
        "for name in ('msgspec', 'pathspec', 'pydantic', 'yaml', 'airflow'):\n"
        "    sys.modules[name] = None\n"
        f"importlib.import_module('airflow_ml_pipelines.{module}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_room_has_its_place_in_the_order():
    found = {path.name for path in CORE.iterdir() if (path / "__init__.py").is_file()}
    assert found == set(ROOMS)
    assert {layer(module_of(path)) for path in MODULES} == {"", *LAYERS}


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_a_room_of_the_core_imports_from_those_before_it(room):
    allowed = {"", *ROOMS[: ROOMS.index(room) + 1]} if room else {""}
    wrong = [
        f"{relative(path)} imports {name}"
        for path in ((CORE / room).rglob("*.py") if room else CORE.glob("*.py"))
        for name in imported(path)
        if name.startswith("airflow_ml_pipelines.core.") and core_room(name) not in allowed
    ]
    assert not wrong


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_imports_from_those_before_it(name):
    allowed = {"", *LAYERS[: LAYERS.index(name) + 1]}
    wrong = [
        f"{relative(path)} imports {found}"
        for path in MODULES
        if layer(module_of(path)) == name
        for found in imported(path)
        if layer(found) not in allowed
    ]
    assert not wrong


def test_every_room_of_dag_factory_has_its_place_in_the_order():
    found = {
        path.stem for path in FACTORY.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert found == {"__init__", *FLOORS}


@pytest.mark.parametrize("name", FLOORS)
def test_a_room_of_dag_factory_imports_from_those_before_it(name):
    allowed = FLOORS[: FLOORS.index(name) + 1]
    wrong = [
        f"{relative(path)} imports {found}"
        for path in (
            [FACTORY / f"{name}.py"] if (FACTORY / f"{name}.py").is_file() else (FACTORY / name).rglob("*.py")
        )
        for found in imported_at_run_time(path)
        if found.startswith("dag_factory.") and found.split(".")[1] not in allowed
    ]
    assert not wrong


def test_modules_import_each_other_in_no_circle():
    paths = {module_of(path): path for path in MODULES}
    needs = {
        name: {found if found in paths else found.rpartition(".")[0] for found in imported_at_run_time(path)}
        - {name}
        for name, path in paths.items()
    }
    graphlib.TopologicalSorter(needs).prepare()


def module_of(path: Path) -> str:
    """Return the name that a module is imported by."""
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(part for part in parts if part not in ("provider", "__init__"))


def layer(name: str) -> str:
    """Return which layer a module, or a name in it, belongs to: "" for the provider's own face."""
    package, _, rest = name.partition(".")
    if package == "dag_factory":
        return package
    found = rest.partition(".")[0]
    return "" if found == "__version__" else found


def core_room(name: str) -> str:
    room = name.split(".")[2]
    return room if room in ROOMS else ""


def imported(path: Path) -> Iterator[str]:
    """Yield what a module imports of ours, wherever in it: modules, or names in them."""
    yield from _imports(ast.walk(ast.parse(path.read_text("utf-8"))))


def imported_at_run_time(path: Path) -> Iterator[str]:
    """Yield what :func:`imported` does, without what only a type checker imports.

    A workspace has datasets, and a dataset its workspace: their classes name each other, and import each other one way.
    """
    nodes: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    for node in nodes:
        checked = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        nodes += node.orelse if checked else ast.iter_child_nodes(node)
    yield from _imports(nodes)


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.startswith(("airflow_ml_", "dag_factory")))


def test_no_file_has_a_path_of_this_machine():
    places = [place for place in (PROJECT, Path.home()) if len(place.parts) > 2]
    found = [
        relative(path)
        for path in project_files()
        for place in places
        if f"{place}/".encode() in path.read_bytes()
    ]
    assert not found


def test_extras_of_pyproject_name_packages_of_the_documentation():
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (PROJECT / "docs/dependencies.md").read_text()
    assert [name for name in extras if f"`{name}`" not in text] == []


def test_files_that_need_a_docker_engine_are_run_by_one_process():
    tests = PROJECT / "tests"
    needing = {
        file.stem for file in (tests / "system").rglob("test_*.py") if "docker_url" in file.read_text("utf-8")
    }
    together = (tests / "conftest.py").read_text("utf-8")
    assert [name for name in sorted(needing) if f'"{name}": "engine"' not in together] == []
