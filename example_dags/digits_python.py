"""The pipeline of ``digits.pipeline.yaml``, written in Python; each takes the other's results.

``python example_dags/digits_python.py`` runs it in this process; where Airflow imports the file it finds a DAG.
"""

import os
from pathlib import Path

from dag_factory import (
    Dataset,
    Experiment,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    Workspace,
)

HERE = Path(__file__).parent
ws = Workspace.from_config(os.environ.get("ML_PIPELINES_WORKSPACE", HERE))

test_share = PipelineParameter("test_share", 0.25, minimum=0.05, maximum=0.5)
regularisation = PipelineParameter("regularisation", 1.0, minimum=0.0001, maximum=10000)
max_depth = PipelineParameter("max_depth", 8, minimum=1, maximum=64)
criterion = PipelineParameter("criterion", "gini", enum=["gini", "entropy"])

images = Dataset.File.from_files([(ws.get_default_datastore(), "train-images")])
prepared = OutputFileDatasetConfig("prepared")
prepare = PythonScriptStep(
    name="prepare",
    source_directory=HERE / "digits/prepare",
    script_name="prepare.py",
    arguments=[
        *("--images", images.as_named_input("images").as_mount()),
        *("--test-share", test_share),
        *("--prepared", prepared),
    ],
)


def train(kind: str, *options: str | PipelineParameter) -> OutputFileDatasetConfig:
    """Return the model that a step of its own trains."""
    model = OutputFileDatasetConfig("model")
    PythonScriptStep(
        name=f"train_{kind}",
        source_directory=HERE / "digits/train",
        script_name="train.py",
        arguments=["--kind", kind, "--prepared", prepared.as_input("prepared"), *options, "--model", model],
    )
    return model


logistic = train("logistic", "--regularisation", regularisation)
forest = train("forest", "--max-depth", max_depth, "--criterion", criterion)
report = OutputFileDatasetConfig("report").register_on_complete("digits-report")
compare = PythonScriptStep(
    name="compare",
    source_directory=HERE / "digits/compare",
    script_name="compare.py",
    arguments=[
        *("--prepared", prepared.as_input("prepared")),
        *("--model", logistic.as_input("logistic")),
        *("--model", forest.as_input("forest")),
        *("--report", report),
    ],
)

pipeline = Pipeline(
    ws, steps=[compare], name="digits_python"
)  # it brings along the steps whose outputs it reads
if __name__ == "__main__":
    Experiment(ws, "digits").submit(pipeline).wait_for_completion()
else:
    dag = pipeline.to_dag(tags=["example"])
