"""Importing generated pipelines as DAGs, against plain Python DAG files and dag-factory; and `import dag_factory`."""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from pathlib import Path

from common import Result, pair, peer, run, seconds

STEPS = 10

LOAD = """
import logging, os, sys, time, warnings
warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
os.chdir(sys.argv[1])
import airflow.sdk
sys.path.insert(0, sys.argv[1])
{prepare}
start = time.perf_counter()
{work}
print(time.perf_counter() - start)
assert len(dags) == int(sys.argv[2]), len(dags)
"""

OURS = {
    "prepare": "from dag_factory import load_pipelines\nimport dag_factory.dags.compile\n"
    "import airflow_ml_pipelines.operators.plan, airflow_ml_pipelines.operators.python_script\n"
    "import airflow_ml_pipelines.sensors.reuse",
    "work": "dags = load_pipelines(sys.argv[1])",
}
PLAIN = {
    "prepare": "import runpy\nimport airflow_ml_pipelines.operators.plan, airflow_ml_pipelines.sensors.reuse\n"
    "import airflow_ml_pipelines.operators.python_script",
    "work": "dags = [runpy.run_path(f)['dag'] for f in sorted(os.listdir('.')) if f.endswith('.py')]",
}
FACTORY = {
    "prepare": "from dagfactory import load_yaml_dags",
    "work": "found = {}\nload_yaml_dags(globals_dict=found, dags_folder=sys.argv[1])\n"
    "dags = [d for d in found.values() if hasattr(d, 'dag_id')]",
}


def our_files(folder: Path, count: int) -> None:
    (folder / "src").mkdir(parents=True)
    (folder / "src/run.py").touch()
    for number in range(count):
        steps = [
            f"  s{n}:\n    script: run.py\n    source_directory: src\n    outputs: {{out: {{}}}}\n"
            f"    arguments: [--n, '{n}', '${{{{outputs.out}}}}']\n"
            + (f"    after: [s{n - 1}]\n" if n else "")
            for n in range(STEPS)
        ]
        (folder / f"p{number}.pipeline.yaml").write_text(f"name: p{number}\nsteps:\n" + "".join(steps))
    (folder / "workspace.yaml").write_text("name: bench\n")


def plain_files(folder: Path, count: int) -> None:
    """The same tasks, with the same operators, written by hand."""
    folder.mkdir(parents=True)
    (folder / "src").mkdir()
    (folder / "src/run.py").touch()
    for number in range(count):
        text = f"""
        from airflow.sdk import DAG, Param, TaskGroup
        from airflow_ml_pipelines.core.spec import OutputPath, OutputSpec, PipelineSpec, StepSpec, Text
        from airflow_ml_pipelines.operators.plan import PlanOperator
        from airflow_ml_pipelines.operators.python_script import PythonScriptOperator
        from airflow_ml_pipelines.sensors.reuse import ReuseSensor

        steps = []
        for n in range({STEPS}):
            steps.append(StepSpec(id=f"s{{n}}", name=f"s{{n}}", script="run.py", source_directory="src",
                arguments=((Text(text="--n"),), (Text(text=str(n)),), (OutputPath(output="out"),)),
                outputs=(OutputSpec(name="out"),), after=(f"s{{n - 1}}",) if n else ()))
        pipeline = PipelineSpec(name="p{number}", steps=tuple(steps), base_directory={str(folder)!r})
        with DAG("p{number}", schedule=None, params={{"regenerate_outputs": Param(False, type="boolean")}}) as dag:
            last = PlanOperator(task_id="plan", pipeline=pipeline,
                step_tasks={{s.id: [f"{{s.id}}.reuse", f"{{s.id}}.run"] for s in steps}})
            for step in steps:
                with TaskGroup(step.id):
                    reuse = ReuseSensor(task_id="reuse", pipeline=pipeline, step=step, run_task_id=f"{{step.id}}.run")
                    run = PythonScriptOperator(task_id="run", pipeline=pipeline, step=step, trigger_rule="none_failed")
                    last >> reuse >> run
                    last = run
        """
        (folder / f"p{number}.py").write_text(textwrap.dedent(text))


def factory_files(folder: Path, count: int) -> None:
    """As many tasks, of the cheapest operator that dag-factory's users have."""
    folder.mkdir(parents=True)
    for number in range(count):
        tasks = [
            f"    - task_id: t{n}\n      operator: airflow.providers.standard.operators.empty.EmptyOperator\n"
            + (f"      dependencies: [t{n - 1}]\n" if n else "")
            for n in range(2 * STEPS + 1)
        ]
        head = f"p{number}:\n  default_args: {{start_date: 2025-01-01}}\n  tasks:\n"
        (folder / f"p{number}.yml").write_text(head + "".join(tasks))


def load(python: Path, folder: Path, count: int, what: dict[str, str], home: Path) -> float:
    environment = {**os.environ, "AIRFLOW_HOME": str(home), "ML_PIPELINES_CACHE": str(home / "cache")}
    code = LOAD.format(**what)
    times = [
        float(run([str(python), "-c", code, str(folder), str(count)], env=environment).stdout.split()[-1])
        for _ in range(3 if count <= 100 else 1)
    ]
    return sorted(times)[len(times) // 2]


def measure() -> list[Result]:
    results = []
    factory = peer("dag-factory", "apache-airflow-providers-standard")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        top = Path(name)
        for count in (100, 1000):
            our_files(top / f"ours{count}", count)
            plain_files(top / f"plain{count}", count)
            mine = load(Path(sys.executable), top / f"ours{count}", count, OURS, top)
            plain = load(Path(sys.executable), top / f"plain{count}", count, PLAIN, top)
            title = f"import of {count} pipelines of {STEPS} steps"
            results.append(Result(title, mine, "plain Python, same operators", plain, 1.3))
            if factory is not None and count == 100:
                factory_files(top / f"factory{count}", count)
                theirs = load(
                    factory / "python", top / f"factory{count}", count, FACTORY, top / "factory-home"
                )
                results.append(Result(title, mine, "dag-factory, as many tasks", theirs, 1.0))
    mine, sdk = pair(
        lambda: run([sys.executable, "-c", "import dag_factory"]),
        lambda: run([sys.executable, "-c", "import airflow.sdk"]),
        3,
    )
    results.append(Result("import dag_factory, whole process", mine, "import airflow.sdk", sdk))
    bare = seconds(lambda: run([sys.executable, "-c", "pass"]), 3)
    results.append(Result("import dag_factory, whole process", mine, "python -c pass", bare))
    return results


if __name__ == "__main__":
    for result in measure():
        print(result)
