import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airflow_ml_pipelines import runtime

RUNTIME = Path(runtime.__file__).parent
IN_THE_SCRIPT = [
    RUNTIME.parent / "__init__.py",
    *(RUNTIME.parent / "core" / f"{name}.py" for name in ("__init__", "errors", "globs", "layout", "metrics")),
    *(
        RUNTIME / f"{name}.py"
        for name in (
            "__init__", "__main__", "artifacts", "children", "context", "datasets", "journal",
            "places", "run", "surroundings", "tables", "values",
        )
    ),
    *(RUNTIME / "standin").rglob("*.py"),
    *(RUNTIME / "bootstrap").rglob("*.py"),
]  # fmt: skip

SEED = """
    from azureml.core import Run, Dataset

    run_context = Run.get_context()
    iris_dataset = run_context.input_datasets['iris_data']
    dataframe = iris_dataset.to_pandas_dataframe()
    ws = Run.get_context().experiment.workspace
    print(len(dataframe), ws.name)
"""


def plain(code, *arguments, env=None, cwd=None):
    """Run code with the stand-in, and with no launcher."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    variables = {"PYTHONPATH": str(RUNTIME / "bootstrap"), "PATH": "/usr/bin:/bin", **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables, cwd=cwd)


def test_the_script_of_the_documentation_runs_unchanged(bench):
    bench.data.put("iris.csv", b"a,b\n1,2\n3,4\n")
    inputs = {"iris_data": bench.input("iris.csv", mode="direct", tabular={})}
    assert bench.run(SEED, inputs=inputs) == ["2 ws"]


@pytest.mark.parametrize(
    "line",
    [
        "from azureml.core import Run, Dataset, Workspace, Experiment, Datastore, Model",
        "from azureml.core.run import Run, _OfflineRun",
        "import azureml.core; azureml.core.Run",
        "from azureml.core.dataset import Dataset; from azureml.core.workspace import Workspace",
        "from azureml.core.experiment import Experiment; from azureml.core.datastore import Datastore",
        "from azureml.core.model import Model",
        "from azureml.data import FileDataset, TabularDataset",
        "from azureml.data.file_dataset import FileDataset; from azureml.data.datapath import DataPath",
        "from azureml.exceptions import RunEnvironmentException",
        "import airflow_ml_pipelines.runtime.run",
    ],
)
def test_names_that_scripts_use_can_be_imported(line):
    done = plain(line)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "name", "has"),
    [
        ("from azureml.core import Webservice", "azureml.core.Webservice", "Datastore"),
        ("from azureml.core.run import Fun", "azureml.core.run.Fun", "Run"),
        ("import azureml.train.hyperdrive", "azureml.train", "core, data"),
        ("from azureml.pipeline.core import Pipeline", "azureml.pipeline", "core, data"),
        ("import azureml.core.authentication", "azureml.core.authentication", "Workspace"),
    ],
)
def test_what_the_stand_in_lacks_is_said_with_what_it_has(line, name, has):
    last = plain(line).stderr.splitlines()[-1]
    assert last.startswith(f"ModuleNotFoundError: there is no {name} here")
    assert has in last
    assert "azureml-core" in last


def test_a_script_can_try_for_what_the_stand_in_lacks():
    code = """
        import azureml.core
        try:
            from azureml.core import Webservice
        except ImportError:
            print(hasattr(azureml.core, "Webservice"))
    """
    assert plain(code).stdout == "False\n"


def test_an_installed_package_wins_over_its_stand_in(tmp_path):
    (tmp_path / "azureml/core").mkdir(parents=True)
    (tmp_path / "azureml/__init__.py").write_text("")
    (tmp_path / "azureml/core/__init__.py").write_text("Run = 'the real one'")
    code = "import sys; sys.path.append(sys.argv[1])\nfrom azureml.core import Run; print(Run)\nfrom azureml import data\n"
    done = plain(code, str(tmp_path))
    assert done.stdout == "the real one\n"
    assert "cannot import name 'data'" in done.stderr or done.stderr == ""


def test_a_namespace_that_another_package_brings_is_filled_up(tmp_path):
    (tmp_path / "azureml/mlflow").mkdir(parents=True)
    (tmp_path / "azureml/mlflow/__init__.py").write_text("x = 1")
    code = "import sys; sys.path.append(sys.argv[1])\nimport azureml.mlflow\nfrom azureml.core import Run; print(Run.__name__)"
    assert plain(code, str(tmp_path)).stdout == "Run\n"


def test_another_sitecustomize_still_takes_effect(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.other = __file__")
    search = f"{RUNTIME / 'bootstrap'}:{tmp_path}"
    done = plain("print(other); import azureml.core", env={"PYTHONPATH": search})
    assert (done.stdout, done.stderr) == (f"{tmp_path}/sitecustomize.py\n", "")


def test_a_sitecustomize_that_fails_fails_as_without_us(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("raise ValueError('broken')")
    done = plain(
        "import azureml.core; print('fine')", env={"PYTHONPATH": f"{RUNTIME / 'bootstrap'}:{tmp_path}"}
    )
    assert done.stdout == "fine\n"
    assert "ValueError: broken" in done.stderr


def test_the_search_path_of_a_script_is_the_usual_one():
    usual = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys.path)"],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    assert plain("import sys; print(sys.path)").stdout == usual.stdout


def test_nothing_is_imported_for_a_script_that_asks_for_nothing():
    code = "import sys; print(sorted(set(sys.modules) - set(sys.argv[1].split())))"
    usual = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env={},
    )
    assert plain(code, usual.stdout).stdout == "['sitecustomize']\n"


def test_what_goes_along_with_a_script_needs_the_standard_library_alone():
    for path in IN_THE_SCRIPT:
        for node in ast.parse(path.read_text("utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                assert name.partition(".")[0] in {*sys.stdlib_module_names, "airflow_ml_pipelines"}, (
                    path,
                    name,
                )


@pytest.mark.parametrize("path", IN_THE_SCRIPT, ids=lambda path: path.relative_to(RUNTIME.parent).as_posix())
def test_what_goes_along_with_a_script_is_written_for_old_interpreters(path):
    ast.parse(path.read_text("utf-8"), feature_version=(3, 8))


def test_a_script_runs_on_a_laptop_without_anything_around_it(tmp_path):
    script = """
        import sys
        from azureml.core import Run
        run = Run.get_context()
        run.log("acc", 0.5); run.parent.log("all", 1)
        open("f.txt", "w").write("x"); run.upload_file("f.txt", "f.txt")
        print(sys.argv, run.get_metrics(), run.experiment.workspace.name)
        sys.exit(4)
    """
    (tmp_path / "train.py").write_text(textwrap.dedent(script))
    command = [sys.executable, "-m", "airflow_ml_pipelines.runtime", "train.py", "--a b"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stdout == "['train.py', '--a b'] {'acc': 0.5} offline\n"
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "warning",
        "metric acc = 0.5",
        "metric all = 1",
    ]
    assert (tmp_path / "outputs/f.txt").read_text() == "x"


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0), (["no.py"], 2)])
def test_how_a_script_is_run_on_a_laptop_is_told(arguments, code):
    command = [sys.executable, "-m", "airflow_ml_pipelines.runtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(("usage:", "error: there is no script 'no.py'"))


# --- other interpreters ------------------------------------------------------------------------------------------

EVERYTHING = """
    import json, sys
    from azureml.core import Run, Dataset
    from airflow_ml_pipelines.runtime import Run as Same
    import airflow_ml_pipelines.runtime.surroundings
    assert Run is Same
    run = Run.get_context(allow_offline=False)
    run.log("x", 1)
    run.log_row("rows", a=1)
    run.parent.log("all", 2)
    run.tag("t", "v")
    run.upload_file("m.txt", "main.py")
    workspace = run.experiment.workspace
    assert workspace.get_default_datastore().path("a").url.endswith("/a")
    assert list(run.parent.get_children()) == []
    files = run.input_datasets["files"]
    with files.mount() as mount:
        assert files.to_path() == ["/a.csv"], files.to_path()
    try:
        run.input_datasets["table"].to_pandas_dataframe()
    except ImportError as error:
        assert "needs pandas" in str(error)
    print(json.dumps([sys.version_info[:2], run.get_metrics(), run.parent.get_metrics(), run.get_file_names()]))
"""


@pytest.fixture
def bare(tmp_path, other_interpreter):
    subprocess.run([other_interpreter, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    return tmp_path / "bare/bin/python"


def test_a_bare_environment_of_another_version_is_enough(bench, bare):
    bench.data.put("in/a.csv", b"x\n1\n")
    inputs = {
        "files": bench.input("in", mode="direct"),
        "table": bench.input("in", mode="direct", tabular={}),
    }
    found = bench.run(EVERYTHING, interpreter=bare, inputs=inputs)
    import json

    version, metrics, parent, files = json.loads(found[0])
    assert tuple(version) != sys.version_info[:2]
    assert metrics == {"x": 1, "rows": {"a": 1}}
    assert parent == {"all": 2}
    assert files == ["outputs/m.txt"]


def test_pools_work_in_another_interpreter(bench, bare):
    script = """
        import multiprocessing
        from azureml.core import Run

        def square(x):
            return x * x

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(square, [1, 2, 3]))
    """
    assert bench.run(script, interpreter=bare) == ["[1, 4, 9]"]


# --- what the launcher needs -------------------------------------------------------------------------------------


def test_the_launcher_needs_the_standard_library_alone(bench, tmp_path):
    import json

    bench.data.put("in/a", b"1")
    job = bench.job(
        "print('ran')", inputs={"i": bench.input("in", mode="download")}, outputs={"o": bench.output("out")}
    )
    (tmp_path / "job.json").write_text(json.dumps(job.to_dict()))
    code = """
        import sys
        for name in ("airflow", "pydantic", "msgspec", "fsspec", "pathspec", "yaml", "pandas", "obstore"):
            sys.modules[name] = None
        from airflow_ml_pipelines.runtime.launcher import main
        code = main([sys.argv[1]])
        kept = set(sys.stdlib_module_names) | {"airflow_ml_pipelines", "sitecustomize", "__main__"}
        found = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
        print([name for name in found - kept if not name.startswith("_")])
        sys.exit(code)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["ran", "[]"]
