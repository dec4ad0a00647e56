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
