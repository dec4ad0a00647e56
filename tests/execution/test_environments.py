from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import EnvironmentBuildError
from airflow_ml_pipelines.core.spec import DEFAULT_ENVIRONMENT, EnvironmentSpec
from airflow_ml_pipelines.execution import installers
from airflow_ml_pipelines.execution.environments import MARKER, ensure_environment

SPAWN = multiprocessing.get_context("spawn")
MINOR = ".".join(map(str, sys.version_info[:2]))
UV = shutil.which("uv")


def make_wheel(folder, name="tinything", version="1.0"):
    """Build a wheel with a module and a command."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"import sys\nVERSION = {version!r}\ndef main():\n    print(VERSION, sys.prefix)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return target


@pytest.fixture
def wheels(tmp_path):
    return make_wheel(tmp_path / "wheels").parent


@pytest.fixture
def spec(wheels):
    return EnvironmentSpec(
        name="tiny",
        user_managed=False,
        pip=("tinything",),
        pip_options=("--no-index", f"--find-links {wheels}"),
    )


@pytest.fixture
def ensure(tmp_path):
    lines = []

    def call(spec, **_):
        return ensure_environment(spec, tmp_path / "cache", log=lines.append)

    call.lines = lines
    call.folder = tmp_path / "cache" / "environments"
    return call


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Put a script of a name on the PATH, before all others."""

    def put(name, script):
        path = tmp_path / "tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
        return path

    return put


@pytest.fixture
def without_uv(monkeypatch):
    folders = [f for f in os.environ["PATH"].split(os.pathsep) if not (Path(f) / "uv").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    monkeypatch.setattr(installers, "find_spec", lambda name: None)


@pytest.fixture
def few_pythons(monkeypatch, tmp_path):
    """Look for interpreters beside uv alone: asking all that a machine has takes its time."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(Path(UV).parent) if UV else "")


needs_uv = pytest.mark.skipif(UV is None and find_spec("uv") is None, reason="there is no uv")


def python(interpreter, code):
    return subprocess.run(
        [interpreter, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


# --- nothing to make ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        DEFAULT_ENVIRONMENT,
        EnvironmentSpec(user_managed=False),
        EnvironmentSpec(user_managed=False, variables={"A": "1"}, conda=("pip",), pip_options=("--pre",)),
        EnvironmentSpec(user_managed=False, pip=("azureml-defaults",)),
        EnvironmentSpec(user_managed=True, pip=("installed-by-the-user",)),
    ],
)
def test_where_nothing_is_to_be_installed_it_is_the_interpreter_that_runs_this(ensure, spec):
    assert ensure(spec) == Path(sys.executable)
    assert not ensure.folder.exists()


def test_an_interpreter_of_the_users_is_taken_as_it_is(ensure, tool):
    path = tool("my-python", "echo 3.9.1")
    assert ensure(EnvironmentSpec(interpreter="my-python")) == path
    assert ensure(EnvironmentSpec(interpreter=str(path))) == path
    with pytest.raises(
        EnvironmentBuildError, match=r"^environment 'e' can't be made: the interpreter 'no-such' is not"
    ):
        ensure(EnvironmentSpec(name="e", interpreter="no-such"))


# --- making ------------------------------------------------------------------------------------------------------


def check_tiny(ensure, spec, tool):
    interpreter = ensure(spec)
    folder = interpreter.parent.parent
    assert folder.parent == ensure.folder
    assert (
        python(interpreter, "import tinything, sys; print(tinything.VERSION, sys.prefix)") == f"1.0 {folder}"
    )
    command = subprocess.run([folder / "bin" / "tinything"], check=True, capture_output=True, text=True)
    assert command.stdout.split() == ["1.0", str(folder)]
    assert list(folder.glob(f"lib/python{MINOR}/site-packages/__pycache__/tinything.*.pyc"))
    assert ensure.lines[0] == f"making environment 'tiny' (1 package) with {tool} …"
    assert ensure.lines[1].startswith("… made in ")
    assert len(ensure.lines) == 2
    assert sorted(path.name for path in ensure.folder.iterdir()) == [folder.name, f"{folder.name}.lock"]
    marker = json.loads((folder / MARKER).read_bytes())
    assert (marker["tool"], marker["pip"]) == (tool, ["tinything"])


@needs_uv
def test_uv_makes_an_environment_that_can_be_used_where_it_was_moved_to(ensure, spec):
    check_tiny(ensure, spec, "uv")


def test_pip_makes_one_where_there_is_no_uv(ensure, spec, without_uv):
    check_tiny(ensure, spec, "pip")


@needs_uv
def test_what_is_there_is_not_made_again(ensure, spec, monkeypatch):
    first = ensure(spec)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(installers, "find_spec", lambda name: None)
    again = EnvironmentSpec(
        name="other", user_managed=False, variables={"A": "1"}, pip=spec.pip, pip_options=spec.pip_options
    )
    assert ensure(again) == first
    assert len(ensure.lines) == 2


@needs_uv
def test_other_packages_are_another_environment(ensure, spec, wheels):
    make_wheel(wheels, version="2.0")
    old = EnvironmentSpec(user_managed=False, pip=("tinything<2",), pip_options=spec.pip_options)
    assert python(ensure(old), "import tinything; print(tinything.VERSION)") == "1.0"
    assert python(ensure(spec), "import tinything; print(tinything.VERSION)") == "2.0"


@needs_uv
def test_a_wheel_that_changed_is_installed_anew(ensure, tmp_path):
    wheel = make_wheel(tmp_path / "wheels")
    spec = EnvironmentSpec(user_managed=False, pip=(f"tinything @ file://{wheel}",))
    first = ensure(spec)
    assert ensure(spec) == first
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    try:
        assert ensure(spec) != first
    except EnvironmentBuildError:
        assert len(ensure.lines) == 3  # it was tried


@needs_uv
def test_a_version_of_python_alone_makes_an_environment_without_what_is_installed_here(ensure):
    interpreter = ensure(EnvironmentSpec(user_managed=False, python=MINOR))
    assert python(interpreter, "import sys; print('%d.%d' % sys.version_info[:2])") == MINOR
    assert python(interpreter, "import importlib.util as u; print(u.find_spec('msgspec'))") == "None"
    assert ensure.lines[0] == "making the step's environment (0 packages) with uv …"


@needs_uv
def test_another_patch_of_python_is_taken_with_a_warning(ensure, few_pythons):
    ensure(EnvironmentSpec(user_managed=False, python=f"{MINOR}.99"))
    assert any(f"Python {MINOR}.99 is not on this machine, {MINOR}." in line for line in ensure.lines)


def test_a_version_of_python_that_is_not_there_is_an_error_that_lists_what_is(ensure, few_pythons):
    with pytest.raises(
        EnvironmentBuildError, match=r"environment 'old' can't be made: Python 3\.2 is not .*There are: .*"
    ):
        ensure(EnvironmentSpec(name="old", user_managed=False, python="3.2"))


@needs_uv
def test_warnings_are_told_when_it_is_made(ensure, spec):
    ensure(
        EnvironmentSpec(
            name="e", user_managed=False, pip=("azureml-sdk", "tinything"), pip_options=spec.pip_options
        )
    )
    assert [
        line for line in ensure.lines if line.startswith("warning: environment 'e': left out, ")
    ] == ensure.lines[:1]


def test_what_airflow_has_in_its_environment_does_not_reach_the_tools(ensure, tool, monkeypatch, tmp_path):
    tool("uv", f"env > {tmp_path}/seen; exit 1")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "hunter2")
    monkeypatch.setenv("AIRFLOW_CONN_X", "hunter2")
    monkeypatch.setenv("PIP_TARGET", "/")
    with pytest.raises(EnvironmentBuildError):
        ensure(EnvironmentSpec(user_managed=False, pip=("x",)))
    seen = (tmp_path / "seen").read_text()
    assert "hunter2" not in seen
    assert "PIP_TARGET" not in seen
    assert "UV_PYTHON_DOWNLOADS=never" in seen


@pytest.mark.system
@needs_uv
def test_a_package_of_the_index_is_installed(ensure):
    interpreter = ensure(EnvironmentSpec(user_managed=False, conda=("six=1.16",)))
    assert python(interpreter, "import six; print(six.__version__)") == "1.16.0"


# --- failing -----------------------------------------------------------------------------------------------------


@needs_uv
def test_a_package_that_is_not_there_is_an_error_with_what_the_tool_said_and_leaves_nothing(ensure, spec):
    missing = EnvironmentSpec(
        name="e", user_managed=False, pip=("no-such-thing",), pip_options=spec.pip_options
    )
    with pytest.raises(EnvironmentBuildError) as caught:
        ensure(missing)
    text = str(caught.value)
    assert text.startswith("environment 'e' can't be made: `uv pip install` failed (exit code 1):\n")
    assert "no-such-thing" in text.partition("\n")[2]
    assert [path.suffix for path in ensure.folder.iterdir()] == [".lock"]


FAKE_UV = """\
if [ "$1" = venv ]; then mkdir -p "$6/bin"; exit 0; fi
for last; do :; done
stat -c %a "$last"
cat "$last"
exit 2
"""


def test_passwords_are_in_no_argument_log_or_error(ensure, tool, monkeypatch):
    tool("uv", f'echo "$@" >&2\n{FAKE_UV}')
    monkeypatch.setenv("MY_TOKEN", "token+hunter3")
    spec = EnvironmentSpec(
        name="e",
        user_managed=False,
        pip=("x @ https://h/x.whl?sig=hunter4",),
        pip_options=(
            "--index-url https://me:hunter%32@host/simple",
            "--extra-index-url https://${MY_TOKEN}@other/simple",
        ),
    )
    with pytest.raises(EnvironmentBuildError) as caught:
        ensure(spec)
    said = str(caught.value) + "".join(ensure.lines)
    assert "hunter" not in said
    assert "https://***@host/simple" in said
    assert "https://***@other/simple" in said
    assert "\n600\n" in said
    assert [path.suffix for path in ensure.folder.iterdir()] == [".lock"]


def test_a_variable_with_a_line_break_adds_no_requirement(ensure, tool, monkeypatch):
    tool("uv", FAKE_UV)
    monkeypatch.setenv("MY_TOKEN", "a@host/\n--index-url https://evil")
    with pytest.raises(EnvironmentBuildError, match="line break"):
        ensure(
            EnvironmentSpec(
                user_managed=False, pip=("x",), pip_options=("--index-url https://${MY_TOKEN}@h",)
            )
        )


def test_only_the_last_lines_of_a_long_story_are_told(ensure, tool):
    tool("uv", "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; exit 1")
    with pytest.raises(EnvironmentBuildError) as caught:
        ensure(EnvironmentSpec(user_managed=False, pip=("x",)))
    assert "line 499" in str(caught.value)
    assert "line 100" not in str(caught.value)


def test_requirements_never_reach_a_shell(ensure, tool, tmp_path):
    tool("uv", FAKE_UV)
    evil = f"x; $(touch {tmp_path}/evil) `touch {tmp_path}/evil` && touch {tmp_path}/evil"
    with pytest.raises(EnvironmentBuildError):
        ensure(EnvironmentSpec(name=evil, user_managed=False, pip=(evil,), python=None))
    assert not (tmp_path / "evil").exists()


def test_a_cache_that_can_not_be_written_is_an_error_that_names_it(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(EnvironmentBuildError, match=rf"can't be made in {tmp_path}/cache"):
        ensure_environment(EnvironmentSpec(user_managed=False, pip=("x",)), tmp_path / "cache", log=print)


# --- at once, and killed -----------------------------------------------------------------------------------------


def build(spec, cache, start, results):
    lines = []
    start.wait()
    results.put((str(ensure_environment(spec, cache, log=lines.append)), lines))


@needs_uv
def test_of_processes_that_need_it_at_once_one_makes_it_and_all_get_it(spec, tmp_path):
    start, results = SPAWN.Barrier(3), SPAWN.Queue()
    processes = [
        SPAWN.Process(target=build, args=(spec, tmp_path / "cache", start, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert len({path for path, _ in found}) == 1
    assert sum(line.startswith("making") for _, lines in found for line in lines) == 1
    assert python(found[0][0], "import tinything; print(tinything.VERSION)") == "1.0"


@needs_uv
def test_of_threads_that_need_it_at_once_one_makes_it(ensure, spec):
    found = []
    threads = [threading.Thread(target=lambda: found.append(ensure(spec))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert sum(line.startswith("making") for line in ensure.lines) == 1


@needs_uv
def test_a_build_that_was_killed_leaves_nothing_that_counts(ensure, spec, tool, tmp_path, monkeypatch):
    path = os.environ["PATH"]
    tool(
        "uv",
        f'mkdir -p "$6/bin"; echo $$ > {tmp_path}/started.new; mv {tmp_path}/started.new {tmp_path}/started; exec sleep 60',
    )
    start, results = SPAWN.Barrier(1), SPAWN.Queue()
    process = SPAWN.Process(target=build, args=(spec, tmp_path / "cache", start, results))
    process.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    os.kill(int((tmp_path / "started").read_text()), signal.SIGKILL)
    assert list(ensure.folder.glob(".building-*"))
    monkeypatch.setenv("PATH", path)
    assert python(ensure(spec), "import tinything; print(tinything.VERSION)") == "1.0"
    assert not list(ensure.folder.glob(".building-*"))


def test_an_interrupted_build_stops_its_tool_and_leaves_nothing(ensure, spec, tool, tmp_path, monkeypatch):
    tool("uv", f'mkdir -p "$6/bin"; echo $$ > {tmp_path}/started; echo up; exec sleep 60')
    real = installers.deque

    class Interrupted(real):
        def extend(self, lines):
            next(iter(lines))
            raise KeyboardInterrupt

    monkeypatch.setattr(installers, "deque", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure(spec)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "started").read_text()), 0)
    assert [path.suffix for path in ensure.folder.iterdir()] == [".lock"]


@needs_uv
def test_an_environment_whose_interpreter_is_gone_is_made_again(ensure, spec):
    interpreter = ensure(spec)
    interpreter.unlink()
    interpreter.symlink_to("/no/such/python")
    assert ensure(spec) == interpreter
    assert python(interpreter, "import tinything; print(tinything.VERSION)") == "1.0"


@needs_uv
def test_an_environment_without_its_marker_does_not_count(ensure, spec):
    folder = ensure(spec).parent.parent
    (folder / MARKER).unlink()
    (folder / "left.txt").write_text("")
    ensure(spec)
    assert (folder / MARKER).exists()
    assert not (folder / "left.txt").exists()


# --- conda -------------------------------------------------------------------------------------------------------

FAKE_CONDA = """\
echo "$@" > {tmp_path}/arguments
while [ "$1" != --prefix ]; do shift; done
mkdir -p "$2/bin"
printf '#!/bin/sh\\necho "$@" > {tmp_path}/pip; cat "$5" >> {tmp_path}/pip\\n' > "$2/bin/python"
chmod +x "$2/bin/python"
"""


def test_conda_installs_its_packages_and_pip_the_others(ensure, tool, tmp_path):
    tool("conda", FAKE_CONDA.format(tmp_path=tmp_path))
    spec = EnvironmentSpec(
        name="e",
        user_managed=False,
        conda=("r-base", "python=3.10", "pandas>=2"),
        conda_channels=("conda-forge",),
        pip=("x",),
    )
    interpreter = ensure(spec)
    folder = interpreter.parent.parent
    expected = (
        f"create --yes --quiet --prefix {folder} --channel conda-forge python=3.10 pip r-base pandas>=2\n"
    )
    assert (tmp_path / "arguments").read_text() == expected
    pip, requirements = (tmp_path / "pip").read_text().splitlines()
    assert pip.startswith("-m pip install --requirement ")
    assert requirements == "x"
    assert ensure.lines[0] == "making environment 'e' (3 packages) with conda …"
    assert ensure(spec) == interpreter
    assert len(ensure.lines) == 2


def test_a_conda_environment_that_failed_is_removed(ensure, tool):
    tool(
        "conda", 'while [ "$1" != --prefix ]; do shift; done\nmkdir -p "$2/bin"; echo solving failed; exit 1'
    )
    with pytest.raises(EnvironmentBuildError, match=r"`conda create` failed .*\nsolving failed"):
        ensure(EnvironmentSpec(name="e", user_managed=False, conda=("r-base",)))
    assert [path.suffix for path in ensure.folder.iterdir()] == [".lock"]


def test_without_conda_what_only_it_has_is_an_error(ensure, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        EnvironmentBuildError, match=r"environment 'e' can't be made: r-base: only conda has this"
    ):
        ensure(EnvironmentSpec(name="e", user_managed=False, conda=("r-base",)))


def test_the_lock_and_the_requirements_are_not_for_others_to_write(ensure, tool):
    tool("uv", "exit 1")
    with pytest.raises(EnvironmentBuildError):
        ensure(EnvironmentSpec(user_managed=False, pip=("x",)))
    for path in ensure.folder.glob("*.lock"):
        assert not path.stat().st_mode & stat.S_IWOTH
