"""The launcher as containers get it: an archive, and what starts it with modules that were compiled before."""

import json
import subprocess
import sys

import pytest

from airflow_ml_pipelines.execution.targets.payload import launcher_digest, launcher_files

# a Python without packages, that has compiled nothing, as many images have it
BARE = [sys.executable, "-I", "-S", "-X", "pycache_prefix=/nowhere", "-B"]
# runs start.py as a program and tells how many modules were compiled
COUNT = """
import runpy, sys
compiled = []
sys.addaudithook(lambda event, given: compiled.append(given[1]) if event == "compile" else None)
path, sys.argv = sys.argv[1], sys.argv[1:]
try:
    runpy.run_path(path, run_name="__main__")
finally:
    print("compiled", len(set(compiled) - {path}), "and", "airflow_ml_pipelines.runtime.launcher" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "put"
    folder.mkdir()
    for name, data in launcher_files(tmp_path / "cache").items():
        (folder / name).write_bytes(data)
    return folder


def start(folder, *arguments, **options):
    return subprocess.run(
        [*BARE, str(folder / "start.py"), *arguments], capture_output=True, text=True, check=False, **options
    )


def compiled(folder, file):
    """How many modules were compiled until the launcher said that there is no job."""
    command = [*BARE, "-c", COUNT, str(folder / "start.py"), str(file), str(folder / "none.json")]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    word, count, *rest = said.stdout.split()
    assert (word, rest) == ("compiled", ["and", "True"]), said.stderr
    return int(count)


def test_a_job_runs_from_the_archive_with_the_standard_library_alone(bench, folder):
    script = """
        from azureml.core import Run, Dataset
        from airflow_ml_pipelines.runtime import Run as same
        run = Run.get_context()
        run.log("loss", 1.5)
        print(run.id, Run is same)
        try:
            import azureml.train
        except ModuleNotFoundError as error:
            print(error)
        """
    (folder / "job.json").write_text(json.dumps(bench.job(script).to_dict()))
    (folder / "stores.json").write_text("{}")
    run = start(folder, "", str(folder / "job.json"), str(folder / "stores.json"))
    assert run.returncode == 0, run.stderr
    first, second = run.stdout.splitlines()
    assert first == "pipe.run-1.step.1 True"
    assert second.startswith("there is no azureml.train here: azureml-core is not installed")
    assert bench.result["status"] == "finished"
    assert "loss" in (bench.attempt / "metrics.jsonl").read_text()


def test_the_archive_has_all_that_the_runtime_imports(folder):
    from zipfile import ZipFile

    names = {name for name in ZipFile(folder / "lib.zip").namelist() if name.endswith(".py")}
    modules = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names]
    program = "import importlib, sys; sys.path.insert(0, sys.argv[1])\nfor name in sys.argv[2:]: importlib.import_module(name)"
    wanted = [name for name in modules if ".standin" not in name and ".bootstrap" not in name]
    # with the packages of this environment, but without the project's own folder
    run = subprocess.run(
        [sys.executable, "-c", program, str(folder / "lib.zip"), *sorted(wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert not any(".execution." in name or ".gc." in name for name in modules)


def test_what_was_compiled_once_is_not_compiled_again(folder):
    file = folder / "compiled"
    before = compiled(folder, folder / "none")
    made = start(folder, "--compile", str(file))
    assert made.returncode == 0, made.stderr
    assert compiled(folder, file) < before / 3  # the rest is what Python imports before


def test_what_another_python_compiled_is_left_alone(folder):
    file = folder / "compiled"
    assert start(folder, "--compile", str(file)).returncode == 0
    file.write_bytes(b"3.10" + file.read_bytes())
    assert compiled(folder, file) == compiled(folder, folder / "none")


def test_a_file_that_changed_since_is_compiled(folder, tmp_path):
    for text in ("A = 1", "A = 23"):
        (tmp_path / "extra.py").write_text(text)
        program = f"""
import sys; sys.path[:0] = [{str(folder)!r}, {str(tmp_path)!r}]
import start
sys.modules["airflow_ml_pipelines.runtime.launcher"] = sys.modules["airflow_ml_pipelines"] = sys
sys.modules["airflow_ml_pipelines.runtime"] = sys
start.use_compiled({str(folder / "compiled")!r})
if {text!r} == "A = 1":
    import builtins
    real = builtins.__import__
    builtins.__import__ = lambda name, *rest: real("extra" if name.endswith("launcher") else name, *rest)
    start.compile_launcher({str(folder / "compiled")!r})
    builtins.__import__ = real
import extra
print(extra.A)
"""
        run = subprocess.run([*BARE, "-c", program], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == text.removeprefix("A = ")


def test_an_image_with_another_python_is_refused_in_words(folder):
    run = start(folder, "", "job.json", env={"ML_PIPELINES_PYTHON": "3.9."})
    assert run.returncode == 1
    assert f"has Python {sys.version_info[0]}.{sys.version_info[1]}, and 3.9 is wanted" in run.stderr


def test_the_archive_is_made_once(tmp_path):
    first = launcher_files(tmp_path)
    [file] = tmp_path.iterdir()
    assert file.name.startswith(f"launcher-{launcher_digest()[:32]}")
    file.write_bytes(b"kept")
    assert launcher_files(tmp_path) == {**first, "lib.zip": b"kept"}
