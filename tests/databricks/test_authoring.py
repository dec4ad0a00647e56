"""Steps on Spark as people write them: Python, YAML, compute targets in code."""

import pytest

from dag_factory import (
    AdlaCompute,
    AdlaStep,
    ComputeTarget,
    DatabricksCompute,
    DatabricksStep,
    DefinitionError,
    Experiment,
    MavenLibrary,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineDefinition,
    PipelineParameter,
    PythonScriptStep,
    StepFailedError,
    Workspace,
)

YAML = """\
name: bricks
parameters: {since: "2026"}
data: {raw: {path: in}}
steps:
  clean:
    compute_target: bricks
    inputs: {raw: raw}
    outputs: {cleaned: }
    parameters: {since: "${{ parameters.since }}", "a-b": 3}
    databricks:
      notebook_path: /Shared/clean
      min_workers: 1
      max_workers: 4
      spark_conf: {spark.x: true}
      maven_libraries: ["g:a:1", {coordinates: "g:b:1", exclusions: ["x:y"]}]
      pypi_libraries: [pandas==2]
      jar_libraries: ["dbfs:/x.jar"]
"""


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    (tmp_path / "workspace.yaml").write_text("name: w\n")
    return Workspace.from_config()


def written(ws):
    cleaned = OutputFileDatasetConfig("cleaned")
    raw = PipelineData("raw")
    make = PythonScriptStep("make.py", name="make", outputs=[raw], arguments=[raw], source_directory="src")
    step = DatabricksStep(
        "clean",
        inputs=[raw],
        outputs=[cleaned],
        notebook_path="/Shared/clean",
        notebook_params={"since": PipelineParameter("since", "2026"), "a-b": 3},
        min_workers=1,
        max_workers=4,
        spark_conf={"spark.x": True},
        maven_libraries=["g:a:1", MavenLibrary("g:b:1", exclusions=["x:y"])],
        pypi_libraries=["pandas==2"],
        jar_libraries=["dbfs:/x.jar"],
        compute_target="bricks",
    )
    return Pipeline(ws, [make, step], name="bricks")


def test_yaml_and_python_say_the_same(ws, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/make.py").write_text("")
    ours = written(ws).to_spec().step("clean")
    theirs = PipelineDefinition.from_yaml(YAML).to_spec().step("clean")
    assert ours.databricks == theirs.databricks
    assert ours.parameters == theirs.parameters
    assert ours.kind == theirs.kind == "databricks"
    assert [item.mode for item in (*ours.inputs, *theirs.inputs)] == ["direct", "direct"]


def test_a_step_in_python_can_be_written_down(ws, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/make.py").write_text("")
    spec = written(ws).to_spec()
    text = PipelineDefinition.from_spec(spec).to_yaml()
    assert "script: ''" not in text
    assert PipelineDefinition.from_yaml(text).to_spec(tmp_path).step("clean") == spec.step("clean")


@pytest.mark.parametrize(
    ("databricks", "more", "text"),
    [
        ("{}", "", "steps.clean.databricks: expected one of"),
        ("{notebook_path: /n, num_workers: 1, existing_cluster_id: c}", "", "leave out one of the two"),
        (
            "{notebook_path: /n, num_workers: 1, min_workers: 1, max_workers: 2}",
            "",
            "min_workers: num_workers",
        ),
        ("{notebook_path: /n, node_tpye: x}", "", "Did you mean 'node_type'?"),
        ("{notebook_path: /n}", "arguments: [a]", "a notebook has widgets"),
        ("{notebook_path: n.py}", "", "there is no file 'n.py'"),
        ("{notebook_path: /n}", "script: a.py", "found notebook_path and script"),
        ("{notebook_path: /n}", "adla: {}", "leave out one"),
    ],
)
def test_what_does_not_go_together_is_told_with_its_line(databricks, more, text, tmp_path):
    file = tmp_path / "p.pipeline.yaml"
    file.write_text(f"steps:\n  clean:\n    databricks: {databricks}\n    {more}\n")
    with pytest.raises(DefinitionError, match=text.replace("?", r"\?")) as caught:
        PipelineDefinition.from_yaml(file).to_spec()
    assert "p.pipeline.yaml:" in str(caught.value)


# --- compute targets ---------------------------------------------------------------------------------------------


def test_a_databricks_workspace_is_attached_and_its_token_is_kept_nowhere(ws, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_VARIABLE", "dapi-hunter2")
    given = DatabricksCompute.attach_configuration(
        resource_group="group",
        workspace_name="space",
        access_token="dapi-hunter2",
        host="https://adb.example",
    )
    ComputeTarget.attach(ws, "bricks", given).wait_for_completion(True)
    found = ComputeTarget(ws, "bricks")
    assert type(found) is DatabricksCompute
    assert found.options["token_variable"] == "MY_VARIABLE"
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"hunter2" not in kept


def test_a_token_that_no_variable_has_is_asked_for_later(monkeypatch):
    with pytest.warns(UserWarning, match="set DATABRICKS_TOKEN where steps run"):
        given = DatabricksCompute.attach_configuration("g", "w", access_token="<nobody has this>")
    assert given.options["token_variable"] == "DATABRICKS_TOKEN"


def test_a_connection_and_a_token_are_refused():
    with pytest.raises(DefinitionError, match="leave out host and access_token"):
        DatabricksCompute.attach_configuration(connection="c", access_token="t")


def test_a_script_step_on_databricks_says_what_to_write(ws, databricks, monkeypatch):
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-test")
    ComputeTarget.attach(ws, "bricks", DatabricksCompute.attach_configuration(host=databricks.url))
    (ws_folder := ws.core.file.parent / "src").mkdir()
    (ws_folder / "a.py").write_text("")
    step = PythonScriptStep("a.py", source_directory="src", compute_target="bricks")
    run = Experiment(ws, "e").submit(Pipeline(ws, [step]))
    with pytest.raises(StepFailedError, match="make it a DatabricksStep"):
        run.wait_for_completion()


def test_a_step_that_needs_spark_does_not_run_without(ws):
    step = DatabricksStep("s", notebook_path="/n", num_workers=1, compute_target="local")
    with pytest.raises((DefinitionError, Exception), match="type databricks|Databricks workspace"):
        Experiment(ws, "e").submit(Pipeline(ws, [step])).wait_for_completion()


# --- Azure Data Lake Analytics ------------------------------------------------------------------------------------


def test_a_u_sql_step_compiles_and_its_run_shows_what_to_write_instead(ws, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/count.usql").write_text("@rows = EXTRACT a int FROM @@raw@@;")
    ComputeTarget.attach(
        ws, "lake", AdlaCompute.attach_configuration("group", "account")
    ).wait_for_completion()
    assert type(ComputeTarget(ws, "lake")) is AdlaCompute
    step = AdlaStep(
        "count.usql",
        source_directory="src",
        outputs=[PipelineData("counted")],
        params={"least": 3},
        degree_of_parallelism=2,
        compute_target="lake",
    )
    pipeline = Pipeline(ws, [step], name="lake")
    spec = pipeline.to_spec()
    text = PipelineDefinition.from_spec(spec).to_yaml()
    assert PipelineDefinition.from_yaml(text).to_spec(tmp_path) == spec
    run = Experiment(ws, "e").submit(pipeline)
    with pytest.raises(StepFailedError) as caught:
        run.wait_for_completion()
    assert "retired on 29 February 2024" in str(caught.value)
    assert "python_script_name='count.py'" in str(caught.value)
    assert "outputs=[counted]" in str(caught.value)


def test_a_u_sql_script_is_refused_by_name_elsewhere_too(ws, tmp_path):
    (tmp_path / "count.usql").write_text("")
    step = AdlaStep("count.usql", compute_target="local")
    with pytest.raises(StepFailedError, match=r"no compute target of type 'local' does.*count\.usql"):
        Experiment(ws, "e").submit(Pipeline(ws, [step])).wait_for_completion()


@pytest.mark.parametrize("given", [{"priority": 0}, {"degree_of_parallelism": -1}])
def test_numbers_that_can_not_be_are_refused(given):
    with pytest.raises(DefinitionError, match="above 0"):
        AdlaStep("a.usql", **given)
