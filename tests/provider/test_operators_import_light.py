import json
import subprocess
import sys

CODE = """
import json, sys
import airflow.sdk, airflow.triggers.base
from airflow.configuration import conf
from airflow.sdk import Asset, BaseOperator, BaseOperatorLink, BaseSensorOperator, PokeReturnValue
before = set(sys.modules)
import airflow_ml_pipelines.operators.plan
import airflow_ml_pipelines.operators.python_script
import airflow_ml_pipelines.sensors.reuse
import airflow_ml_pipelines.triggers.reuse
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print("RESULT" + json.dumps(sorted(new - set(sys.stdlib_module_names))))
"""


def test_operators_import_nothing_of_others_but_airflow_and_msgspec(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=True,
        env={"AIRFLOW_HOME": str(tmp_path)},
    )
    new = json.loads(done.stdout.rpartition("RESULT")[2])
    assert set(new) <= {"airflow_ml_pipelines", "msgspec"}


BUNDLES = """
import json, sys
import airflow.sdk
from airflow.dag_processing.bundles.local import LocalDagBundle
before = set(sys.modules)
import airflow_ml_pipelines.bundles.published as made
made.PublishedPipelinesBundle(name="published", version="0" * 40).get_current_version()
print("RESULT" + json.dumps(sorted(name for name in set(sys.modules) - before if "ml_pipelines" in name)))
"""

PUBLISHED = """
import json, os, sys
import airflow.sdk
from airflow.sdk.execution_time.task_runner import _airflow_parsing_context_manager
from airflow_ml_pipelines.core.publishing.pinned import pin_pipeline
from airflow_ml_pipelines.core.publishing.published import publish
from airflow_ml_pipelines.core.spec import PipelineSpec, StepSpec
from airflow_ml_pipelines.workspace_file import create_workspace_file
workspace = create_workspace_file("ws", "test")
os.makedirs("source")
open("source/step.py", "w").close()
step = StepSpec(id="one", name="one", script="step.py", source_directory="source")
publish(workspace, pin_pipeline(workspace, PipelineSpec(name="p", steps=(step,), base_directory=os.getcwd())))
before = set(sys.modules)
from dag_factory.dags.published_dag import load_published
found = {}
with _airflow_parsing_context_manager(dag_id="p.1", task_id="plan"):
    load_published(found, "p.1", {"pipeline": "p.1"}, workspace="ws")
assert list(found["p.1"].task_dict) == ["plan"]
print("RESULT" + json.dumps(sorted(name for name in set(sys.modules) - before if name.startswith("dag_factory"))))
"""


def new_modules(code, folder):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"AIRFLOW_HOME": str(folder), "ML_PIPELINES_CACHE": str(folder / "cache")},
    )
    return json.loads(done.stdout.rpartition("RESULT")[2])


def test_the_bundle_of_published_pipelines_costs_tasks_of_other_bundles_nothing(tmp_path):
    bundles = "airflow_ml_pipelines.bundles"
    found = new_modules(BUNDLES, tmp_path)
    # Airflow 3.1 has not imported the package itself before
    assert [name for name in found if name != "airflow_ml_pipelines"] == [bundles, f"{bundles}.published"]


def test_a_task_of_a_published_pipeline_imports_nothing_that_definitions_are_read_with(tmp_path):
    assert new_modules(PUBLISHED, tmp_path) == [
        "dag_factory",
        "dag_factory.dags",
        "dag_factory.dags.airflow_schedule",
        "dag_factory.dags.compile",
        "dag_factory.dags.operators",
        "dag_factory.dags.parameters",
        "dag_factory.dags.published_dag",
        "dag_factory.dags.spec_settings",
    ]
