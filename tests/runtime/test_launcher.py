import fcntl
import json
import os
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import (
    DefinitionError,
    EnvironmentBuildError,
    MlPipelinesError,
    SnapshotError,
    StoreError,
)
from airflow_ml_pipelines.runtime.job import JobSource
from airflow_ml_pipelines.runtime.result import JobResult

ECHO = "import json, sys; print(json.dumps(sys.argv[1:]))"
ODD = [
    "",
    "a b",
    "it's",
    'say "x"',
    "two\nlines",
    "żółw 🐢",
    "--flag",
    "-",
    "$HOME",
    "`id`",
    "{{ x }}",
    "a;b",
    "*",
    "\\",
]


def text(*items):
    return tuple(({"text": item},) for item in items)


def test_arguments_reach_the_script_as_they_are(bench):
    assert json.loads(bench.run(ECHO, arguments=text(*ODD))[0]) == ODD


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_any_text_without_a_zero_is_an_argument(bench, items):
    assert json.loads(bench.run(ECHO, arguments=text(*items))[0]) == items


def test_an_argument_with_a_zero_is_refused_in_words(bench):
    with pytest.raises(MlPipelinesError, match="can't be handed over"):
        bench.run(ECHO, arguments=text("a\0b"))


def test_segments_are_put_together_into_one_argument(bench):
    bench.data.put("in/a.txt", b"x")
    found = bench.run(
        ECHO,
        arguments=(({"text": "--in="}, {"input": "data"}, {"text": "/a.txt"}), ({"output": "made"},)),
        inputs={"data": bench.input("in")},
        outputs={"made": bench.output("out")},
    )
    assert json.loads(found[0]) == [f"--in={bench.folder}/data/in/a.txt", f"{bench.folder}/data/out"]


def test_the_script_runs_as_python_would_run_it(bench):
    script = """
        import os, sys
        print(__name__, __file__ == os.path.join(os.getcwd(), "sub", "main.py"), __spec__, sys.argv[0])
        print(sys.path[0] == os.path.join(os.getcwd(), "sub"), any("bootstrap" in entry for entry in sys.path))
        import helper
        print(helper.X, sys.modules["__main__"].__file__ == __file__)
    """
    found = bench.run(
        "",
        files={"sub/main.py": __import__("textwrap").dedent(script), "sub/helper.py": "X = 7"},
        source=JobSource(archive=f"{bench.store.url}/snapshots/s.zip", digest="0", script="sub/main.py"),
    )
    assert found == ["__main__ True None sub/main.py", "True False", "7 True"]


def test_a_script_may_have_a_name_with_a_dash_in_front(bench):
    source = JobSource(archive=f"{bench.store.url}/snapshots/s.zip", digest="0", script="-c.py")
    assert bench.run("", files={"-c.py": "print('ran')"}, source=source) == ["ran"]


@pytest.mark.parametrize(
    ("script", "code", "last"),
    [
        ("import sys; sys.exit(3)", 3, None),
        ("raise SystemExit('in words')", 1, "in words"),
        ("import os; os._exit(200)", 200, None),
        ("def f():\n    raise ValueError('boom')\nf()", 1, "ValueError: boom"),
        ("x = = 1", 1, "SyntaxError: invalid syntax"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -11, None),
    ],
)
def test_how_a_script_failed_is_told(bench, script, code, last):
    result = bench.launch(bench.job(script))
    assert (result.status, result.exit_code) == ("failed", code)
    assert (f"exit code {code}" if code > 0 else "signal 11 (SIGSEGV)") in result.error
    assert "'main.py'" in result.error
    assert result.error.endswith(last or "it wrote nothing to its standard error")


def test_a_traceback_shows_the_script_alone(bench):
    bench.launch(bench.job("def f():\n    raise ValueError('boom')\nf()"))
    shown = [line for stream, line in bench.lines if stream == "stderr" and line.startswith("  File")]
    assert [line.split(",", 1)[1] for line in shown] == [" line 3, in <module>", " line 2, in f"]


def test_only_the_last_lines_of_stderr_are_in_the_error(bench):
    result = bench.launch(
        bench.job("import sys\nfor i in range(1000): print(i, file=sys.stderr)\nsys.exit(1)")
    )
    assert result.error.endswith("\n998\n999")
    assert "\n900\n" not in result.error
    assert len((bench.attempt / "logs/stderr.txt").read_text().splitlines()) == 1000


def test_stdout_and_stderr_are_kept_apart(bench):
    bench.run("import sys; print('out'); print('err', file=sys.stderr)")
    assert (bench.attempt / "logs/stdout.txt").read_text() == "out\n"
    assert (bench.attempt / "logs/stderr.txt").read_text() == "err\n"
    assert sorted(bench.lines) == [("stderr", "err"), ("stdout", "out")]


def test_a_line_is_handed_on_while_the_script_goes_on(bench):
    script = "import os, sys, time\nprint('first')\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.005)\nprint('second')"
    flag = bench.folder / "flag"
    seen = []

    def on_line(stream, line):
        seen.append(line)
        flag.touch()

    from airflow_ml_pipelines.runtime.launcher import launch

    result = launch(bench.job(script, arguments=text(str(flag)), timeout=60), on_line=on_line)
    assert (result.status, seen) == ("finished", ["first", "second"])


def test_an_error_of_whoever_takes_the_lines_ends_the_script(bench):
    from airflow_ml_pipelines.runtime.launcher import launch

    def on_line(stream, line):
        raise BrokenPipeError("nobody listens")

    with pytest.raises(StoreError, match="nobody listens"):
        launch(bench.job("import time; print('x'); time.sleep(60)"), on_line=on_line)
    assert bench.result["status"] == "failed"


def test_the_folders_outputs_and_logs_are_kept(bench):
    script = """
        import os
        os.makedirs("outputs/model")
        open("outputs/model/m.bin", "w").write("m"); open("logs/l.txt", "w").write("l")
        open("outputs/old.txt", "a").write(" changed")
    """
    files = {"outputs/old.txt": "old", "outputs/same.txt": "same", "logs/before.txt": "x"}
    job = bench.job(script, files=files)
    result = bench.launch(job)
    assert result.files == (
        "logs/stdout.txt",
        "logs/stderr.txt",
        "outputs/old.txt",
        "outputs/model/m.bin",
        "logs/user/l.txt",
    )
    assert (bench.attempt / "outputs/old.txt").read_text() == "old changed"
    assert (bench.attempt / "logs/user/l.txt").read_text() == "l"


def test_outputs_of_a_script_that_failed_are_kept_too(bench):
    bench.launch(bench.job("open('outputs/half.bin', 'w').write('h'); raise SystemExit(1)"))
    assert (bench.attempt / "outputs/half.bin").read_text() == "h"


def test_a_script_may_delete_its_own_folder(bench):
    assert bench.run("import os, shutil; shutil.rmtree(os.getcwd()); print('done')") == ["done"]


def test_nothing_is_left_of_the_folder_that_the_script_worked_in(bench):
    bench.run("import os; os.makedirs('a/b'); os.chmod('a/b', 0o500)")
    assert list(bench.work.iterdir()) == []


def test_the_folder_of_a_launcher_that_was_killed_is_taken_away_by_the_next_one(bench):
    old = time.time() - 3600
    for name, locked in (("ml-pipelines-left", False), ("ml-pipelines-lives", True), ("other", False)):
        (bench.work / name).mkdir(parents=True)
        lock = open(bench.work / name / ".launcher", "w")  # noqa: SIM115 - one stays open, and so locked
        if locked:
            lives = lock
            fcntl.flock(lock, fcntl.LOCK_EX)
        else:
            lock.close()
        os.utime(bench.work / name, (old, old))
    (bench.work / "ml-pipelines-new").mkdir()
    bench.run("pass")
    assert sorted(os.listdir(bench.work)) == ["ml-pipelines-lives", "ml-pipelines-new", "other"]
    lives.close()


def test_what_else_was_left_is_taken_away_after_a_day(bench):
    for name, hours in (("ml-pipelines-packing", 2), ("ml-pipelines-left", 30), ("other", 30)):
        (bench.work / name).mkdir(parents=True)
        (bench.work / name / "snapshot.zip").touch()
        then = time.time() - hours * 3600
        os.utime(bench.work / name, (then, then))
    bench.run("pass")
    assert sorted(os.listdir(bench.work)) == ["ml-pipelines-packing", "other"]


def test_the_result_says_how_it_ended(bench):
    job = bench.job("open('x', 'w')", outputs={"o": bench.output("out")})
    result = bench.launch(job)
    assert JobResult.from_dict(bench.result) == result
    assert result.started <= result.finished
    assert (result.status, result.exit_code, result.error) == ("finished", 0, None)


def test_the_environment_is_a_clean_one(bench, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret-of-the-worker")
    monkeypatch.setenv("MY_PASSWORD", "secret-of-the-worker")
    monkeypatch.setenv("VIRTUAL_ENV", "secret-of-the-worker")
    monkeypatch.setenv("PYTHONPATH", "secret-of-the-worker")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("LC_TIME", "C")
    bench.data.put("in/a", b"")
    found = bench.run(
        "import json, os; print(json.dumps(dict(os.environ)))",
        variables={"MINE": "yes", "LC_TIME": "POSIX"},
        parameters={"learning-rate": "0.1"},
        inputs={"iris": bench.input("in")},
        outputs={"made": bench.output("out")},
    )
    variables = json.loads(found[0])
    assert "secret-of-the-worker" not in found[0]
    data, out = f"{bench.folder}/data/in", f"{bench.folder}/data/out"
    expected = {
        "MINE": "yes",
        "LC_TIME": "POSIX",
        "CUDA_VISIBLE_DEVICES": "1",
        "AML_PARAMETER_learning_rate": "0.1",
        "iris": data,
        "IRIS": data,
        "AZUREML_DATAREFERENCE_iris": data,
        "made": out,
        "AZUREML_DATAREFERENCE_made": out,
        "AZUREML_RUN_ID": "pipe.run-1.step.1",
        "AZUREML_DATASET_ENVIRONMENT_VARS": "iris:mount",
        "AZUREML_DATASET_FILE_OUTPUTS": "made",
        "HOME": os.environ["HOME"],
    }
    assert {name: variables.get(name) for name in expected} == expected


@pytest.mark.parametrize("name", ["path", "Path", "home", "ld_preload", "pythonpath", "pythonhome", "tz"])
def test_an_input_does_not_become_a_variable_that_says_how_programs_start(bench, name):
    bench.data.put("in/a", b"")
    script = "import os, sys; print(os.environ.get(sys.argv[1].upper(), '')); print(os.environ['AZUREML_DATAREFERENCE_' + sys.argv[1]])"
    upper, reference = bench.run(script, arguments=text(name), inputs={name: bench.input("in")})
    assert reference == f"{bench.folder}/data/in"
    assert reference not in upper


def test_programs_beside_the_interpreter_are_found(bench):
    path = bench.run("import os; print(os.environ['PATH'])")[0]
    assert path.split(os.pathsep)[0] == os.path.dirname(sys.executable)


def test_a_value_of_a_variable_is_written_nowhere(bench):
    bench.run("import os; assert os.environ['TOKEN'] == 'hush-hush'", variables={"TOKEN": "hush-hush"})
    bench.launch(bench.job("raise SystemExit(1)", variables={"TOKEN": "hush-hush"}))
    written = [
        path for path in bench.folder.rglob("*") if path.is_file() and b"hush-hush" in path.read_bytes()
    ]
    assert written == []


def test_an_interpreter_that_is_not_there_is_named(bench):
    with pytest.raises(EnvironmentBuildError, match="the interpreter '/no/python' can't be started"):
        bench.run("pass", interpreter="/no/python")
    assert bench.result["status"] == "failed"


def test_a_script_that_is_not_in_the_snapshot_is_named(bench):
    source = JobSource(archive=f"{bench.store.url}/snapshots/s.zip", digest="0", script="other.py")
    with pytest.raises(DefinitionError, match=r"the script 'other\.py' is not in the snapshot"):
        bench.run("pass", source=source)


def test_a_snapshot_that_is_gone_is_named(bench):
    job = bench.job("pass")
    bench.store.delete("snapshots/s.zip")
    with pytest.raises(StoreError, match=r"snapshots/s\.zip is not there"):
        bench.launch(job)


def test_an_archive_that_would_leave_its_folder_is_refused(bench):
    with pytest.raises(SnapshotError):
        bench.run("pass", files={"../../outside.py": "x"})
    assert not list(bench.folder.rglob("outside.py"))


def test_an_attempt_s_folder_that_can_t_be_written_is_named(bench):
    job = bench.job("pass")
    bench.store.put("runs", b"a file where the folder should be")
    with pytest.raises(StoreError, match="attempt's folder"):
        bench.launch(job)


def test_everything_is_kept_in_a_store_that_is_elsewhere(bench, memory):
    script = """
        from airflow_ml_pipelines.runtime import Run
        run = Run.get_context()
        run.log("x", 1)
        open("a.txt", "w").write("a"); run.upload_file("a.txt", "a.txt")
        open("outputs/b.txt", "w").write("b")
        print("out")
    """
    job = bench.job(script, root=memory.url)
    stores = {memory.url: memory, bench.data.url: bench.data}
    from airflow_ml_pipelines.core.stores.open import open_store

    result = bench.launch(job, open_store=lambda url: stores.get(url) or open_store(url))
    assert result.status == "finished", result.error
    folder = "runs/pipe/run-1/steps/step/1"
    assert memory.get(f"{folder}/logs/stdout.txt") == b"out\n"
    assert memory.get(f"{folder}/outputs/a.txt") == b"a"
    assert memory.get(f"{folder}/outputs/b.txt") == b"b"
    assert b'"name":"x"' in memory.get(f"{folder}/metrics.jsonl")
    assert JobResult.from_dict(json.loads(memory.get(f"{folder}/result.json"))) == result


def test_stores_are_opened_by_the_url_that_has_the_credentials(bench):
    from airflow_ml_pipelines.core.stores.open import open_store

    asked = []
    bench.data.put("in/a", b"")
    job = bench.job("pass", inputs={"i": bench.input("in")}, outputs={"o": bench.output("out")})
    bench.launch(job, open_store=lambda url: asked.append(url) or open_store(url))
    assert sorted(asked) == sorted({bench.store.url, bench.data.url})


def launcher(*arguments):
    command = [sys.executable, "-m", "airflow_ml_pipelines.runtime.launcher", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 7])
def test_the_launcher_is_a_program_too(bench, code):
    file = bench.folder / "job.json"
    job = bench.job(f"import sys; print('out'); print('err', file=sys.stderr); sys.exit({code})")
    file.write_text(json.dumps(job.to_dict()))
    done = launcher(file)
    assert done.returncode == (1 if code else 0)
    assert done.stdout == "out\n"
    assert done.stderr.startswith("err\n")
    assert ("failed: script 'main.py' ended with exit code 7" in done.stderr) is bool(code)


@pytest.mark.parametrize("content", ["{}", '{"schema": 1}', "[]", "no json", None])
def test_what_is_no_job_is_refused_in_one_line(bench, content):
    file = bench.folder / "job.json"
    if content is not None:
        file.write_text(content)
    done = launcher(file)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_the_launcher_says_how_it_is_used():
    done = launcher()
    assert (done.returncode, "usage:" in done.stderr) == (2, True)
