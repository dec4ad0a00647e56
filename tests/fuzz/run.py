"""Fuzzes the readers: ``python tests/fuzz/run.py [SECONDS [TARGET…]]``; one process for each target.

What is found lies in ``.fuzz/<target>``, and ``python tests/fuzz/run.py FILE`` reads it again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "tests"))
PLACE = PROJECT / ".fuzz"
LONGEST = 4096


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--target"]:
        return _fuzz(arguments[1], arguments[2:])
    if arguments and not arguments[0].isdecimal():
        return _again(Path(arguments[0]))
    from fuzz.targets import TARGETS

    seconds = int(arguments[0]) if arguments else 120
    running = {}
    for target in arguments[1:] or TARGETS:
        folder = PLACE / target
        (folder / "corpus").mkdir(parents=True, exist_ok=True)
        log = (folder / "log").open("w")
        command = [
            *(sys.executable, __file__, "--target", target, str(folder / "corpus")),
            *(f"-max_total_time={seconds}", f"-dict={folder / 'dictionary'}", f"-max_len={LONGEST}"),
            *("-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={folder}/", "-print_final_stats=1"),
        ]
        running[target] = subprocess.Popen(command, stdout=log, stderr=log)
    print(f"fuzzing {', '.join(running)} for {seconds} s")
    return max([_report(target, process.wait()) for target, process in running.items()])


def _report(target: str, code: int) -> int:
    lines = (PLACE / target / "log").read_text(errors="replace").splitlines()
    stats = dict(line.removeprefix("stat::").split(":", 1) for line in lines if line.startswith("stat::"))
    runs = stats.get("number_of_executed_units", "?").strip()
    if code == 0:
        print(f"{target}: nothing in {runs} runs")
        return 0
    print(f"{target}: found something; the end of {PLACE / target / 'log'}:")
    print("\n".join(f"   {line}" for line in lines[-40:]))
    return 1


def _fuzz(target: str, arguments: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=["airflow_ml_pipelines", "dag_factory"]):
        from fuzz.seeds import dictionary, seeds
        from fuzz.targets import TARGETS

    folder = PLACE / target
    (folder / "dictionary").write_text(dictionary())
    for number, seed in enumerate(seeds(target)):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed[:LONGEST])
    atheris.Setup([sys.argv[0], *arguments], TARGETS[target])
    atheris.Fuzz()
    return 0


def _again(file: Path) -> int:
    from fuzz.targets import TARGETS

    TARGETS[file.absolute().parent.name](file.read_bytes())
    print("nothing is wrong any more")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
