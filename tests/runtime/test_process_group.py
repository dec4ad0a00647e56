import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from airflow_ml_pipelines.runtime import process
from airflow_ml_pipelines.runtime.launcher import launch

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="the tests look at /proc")

GRANDCHILD = """
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import subprocess, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"], stdout=subprocess.PIPE, text=True)
    print(os.getpid(), child.pid, child.stdout.readline().strip())
    {then}
"""


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(process, "_LINGER_SECONDS", 0.05)


def test_a_time_out_ends_the_script(bench):
    result = bench.launch(bench.job("import time; print('on'); time.sleep(60)", timeout=0.3))
    assert result.status == "failed"
    assert "longer than its timeout of 0.3 seconds" in result.error
    assert bench.result["status"] == "failed"


def test_a_cancel_ends_a_script_that_ignores_the_polite_signal(bench, quick, gone):
    script = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid()); time.sleep(60)"
    result = bench.launch(bench.job(script), canceled=lambda: "enough" if bench.lines else None)
    assert (result.status, result.error, result.exit_code) == ("canceled", "enough", -signal.SIGKILL)
    assert gone(int(bench.stdout[0]))
    assert bench.result["status"] == "canceled"


def test_a_script_may_tidy_up_when_it_is_canceled(bench):
    script = """
        import signal, sys, time
        def end(*_):
            open("outputs/saved", "w").write("x"); sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("on"); time.sleep(60)
    """
    result = bench.launch(bench.job(script), canceled=lambda: "enough" if bench.lines else None)
    assert (result.status, result.exit_code) == ("canceled", 0)
    assert (bench.attempt / "outputs/saved").exists()


def test_a_job_that_is_canceled_before_its_script_starts_does_not_start_it(bench):
    result = bench.launch(bench.job("print('ran')"), canceled=lambda: "too late")
    assert (result.status, result.exit_code, bench.lines) == ("canceled", None, [])


def test_a_cancel_ends_grandchildren_too(bench, gone, quick):
    result = bench.launch(
        bench.job(GRANDCHILD.format(then="time.sleep(600)")),
        canceled=lambda: "enough" if bench.lines else None,
    )
    assert result.status == "canceled"
    assert all(gone(int(pid)) for pid in bench.stdout[0].split())


def test_outputs_of_a_canceled_script_are_not_published(bench):
    script = "import sys, time; open(sys.argv[1] + '/x', 'w').write('1'); print('on'); time.sleep(60)"
    job = bench.job(script, arguments=(({"output": "o"},),), outputs={"o": bench.output("up", mode="upload")})
    result = bench.launch(job, canceled=lambda: "enough" if bench.lines else None)
    assert (result.status, result.outputs) == ("canceled", {})
    assert bench.data.info("up/x") is None


@pytest.mark.parametrize("own_session", [False, True])
def test_a_child_that_the_script_leaves_behind_is_ended_and_told_of(bench, gone, quick, own_session):
    script = (
        f"import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session={own_session}).pid)"
    )
    result = bench.launch(bench.job(script))  # the child has the pipes open, which does not keep the launcher
    assert result.status == "finished"
    assert gone(int(bench.stdout[0]), 0.5)
    assert any("left 1 process(es) behind" in line for stream, line in bench.lines if stream == "stderr")


def test_a_child_that_ends_a_moment_after_the_script_is_no_leftover(bench, monkeypatch):
    monkeypatch.setattr(process, "_LINGER_SECONDS", 30)
    bench.run("import subprocess; subprocess.Popen(['sh', '-c', 'sleep 0.1; echo late'])")
    assert bench.lines == [("stdout", "late")]


def worker(bench, script, tmp_path):
    """Start a process that runs launch(); return it once the script has printed, and what it printed."""
    file = tmp_path / "job.json"
    file.write_text(json.dumps(bench.job(script).to_dict()))
    command = [sys.executable, "-m", "airflow_ml_pipelines.runtime.launcher", str(file)]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    return started, started.stdout.readline().split()


@pytest.mark.parametrize(
    "then", ["time.sleep(600)", "import re; re.match('(a*)*b', 'a' * 40)"], ids=["sleeps", "computes"]
)
def test_when_the_worker_is_killed_the_script_and_its_grandchildren_die(bench, tmp_path, gone, then):
    started, pids = worker(bench, GRANDCHILD.format(then=then), tmp_path)
    started.kill()
    started.wait()
    assert len(pids) == 3
    assert all(gone(int(pid)) for pid in pids)
    started.stdout.close()


def test_a_worker_that_is_told_to_end_cancels_the_script(bench, tmp_path, gone):
    started, pids = worker(bench, "import os, time; print(os.getpid()); time.sleep(600)", tmp_path)
    started.terminate()
    assert started.wait() == 1
    assert gone(int(pids[0]))
    assert (bench.result["status"], bench.result["error"]) == ("canceled", "the launcher got SIGTERM")
    started.stdout.close()


def test_where_the_kernel_does_not_watch_the_pipe_a_thread_does(bench, tmp_path, gone):
    program = tmp_path / "worker.py"
    file = tmp_path / "job.json"
    script = (
        "import os, threading, time; print(os.getpid(), 'ML_PIPELINES_WATCH' in os.environ); time.sleep(600)"
    )
    file.write_text(json.dumps(bench.job(script).to_dict()))
    program.write_text(
        "import sys\n"
        "from airflow_ml_pipelines.runtime import launcher, process\n"
        "process._arm = lambda _: False\n"
        f"launcher.main([{str(file)!r}])\n"
    )
    started = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    pid, in_environment = started.stdout.readline().split()
    started.kill()
    started.wait()
    assert in_environment == "False"
    assert gone(int(pid))
    started.stdout.close()


def test_a_fork_in_the_script_gives_no_warning_of_threads(bench):
    script = "import os, sys, warnings; warnings.simplefilter('error'); pid = os.fork()\nif pid: os.waitpid(pid, 0); print('fine')"
    assert bench.run(script) == ["fine"]


def test_an_interrupt_of_the_worker_ends_the_script(bench, gone):
    def on_line(stream, line):
        bench.lines.append((stream, line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(bench.job("import os, time; print(os.getpid()); time.sleep(60)"), on_line=on_line)
    assert gone(int(bench.stdout[0]))
    assert bench.result["status"] == "failed"


def test_two_jobs_in_two_threads_do_not_disturb_each_other(bench, tmp_path):
    long = "import time; print('on'); time.sleep(60)"
    other = type(bench)(tmp_path / "other")
    done = threading.Event()
    results = []
    thread = threading.Thread(
        target=lambda: results.append(
            other.launch(other.job(long), canceled=lambda: "stop" if done.is_set() else None)
        )
    )
    thread.start()
    assert bench.run("print('short')") == ["short"]
    time.sleep(0)
    assert thread.is_alive()
    done.set()
    thread.join(30)
    assert results[0].status == "canceled"


# --- what it writes ----------------------------------------------------------------------------------------------


def test_twenty_megabytes_of_garbage_without_a_line_break_are_kept(bench):
    bench.run("import sys\nfor i in range(20): sys.stdout.buffer.write(b'\\xff' * (1 << 20))\nprint()")
    assert (bench.attempt / "logs/stdout.txt").stat().st_size == 20 * (1 << 20) + 1
    assert max(len(line) for line in bench.stdout) <= process.LINE_BYTES
    assert sum(map(len, bench.stdout)) == 20 * (1 << 20)


def test_twenty_megabytes_of_lines_all_come(bench):
    count = 200_000
    found = bench.run(f"print('\\n'.join('%099d' % i for i in range({count})))")
    assert len(found) == count
    assert found[-1] == f"{count - 1:099d}"


def test_a_long_line_is_not_cut_within_a_character(bench):
    found = bench.run("print('x' + 'ż🐢' * 50_000)")
    assert len(found) > 1
    assert "".join(found) == "x" + "ż🐢" * 50_000


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (r"a\r\nb\n", ["a", "b"]),
        (r"  0%\r 50%\r100%\nend", ["100%", "end"]),
        (r"\n\nx\n", ["", "", "x"]),
        (r"no end", ["no end"]),
        (r"tab\tbell\a", ["tab\tbell\a"]),
    ],
)
def test_lines_are_what_one_would_see(bench, written, lines):
    assert bench.run(f"import sys; sys.stdout.write('{written}')") == lines


def test_memory_does_not_grow_with_what_is_written(bench, tmp_path):
    program = tmp_path / "measure.py"
    file = tmp_path / "job.json"
    script = "import os\nfor _ in range(100): os.write(1, b'\\0' * (1 << 20))"
    file.write_text(json.dumps(bench.job(script).to_dict()))
    program.write_text(
        "import json, resource, sys\n"
        "from airflow_ml_pipelines.runtime.launcher import launch\n"
        "from airflow_ml_pipelines.runtime.job import Job\n"
        f"job = Job.from_dict(json.load(open({str(file)!r})))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert launch(job).status == 'finished'\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20 << 10  # KiB
    assert (bench.attempt / "logs/stdout.txt").stat().st_size == 100 << 20
