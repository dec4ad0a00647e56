from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from dag_factory import (
    DataPath,
    DataPathComputeBinding,
    DataReference,
    Dataset,
    DatasetConsumptionConfig,
    DefinitionError,
    OutputFileDatasetConfig,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
)


@pytest.fixture
def store(ws):
    return ws.get_default_datastore()


@pytest.fixture
def images(store):
    return Dataset.File.from_files([(store, "images")])


def step(*arguments, script="a.py", **fields):
    return PythonScriptStep(script, arguments=list(arguments), **fields)


def test_the_script_gives_the_name():
    assert PythonScriptStep("train.py").name == "train.py"
    assert PythonScriptStep("train.py", name="Train").name == "Train"


def test_literal_arguments_become_text():
    assert step("--x", 1, 2.5, True, Path("a") / "b").ports.arguments == ["--x", "1", "2.5", "True", "a/b"]


def test_an_output_in_the_arguments_is_an_output():
    output = OutputFileDatasetConfig("made")
    first = step("--out", output)
    assert first.ports.arguments == ["--out", ("output", "made")]
    assert output.producer is first


def test_an_output_read_with_as_input_is_an_input():
    output = OutputFileDatasetConfig("made")
    step(output)
    second = step("--in", output.as_input("read"))
    assert second.ports.arguments == ["--in", ("input", "read")]
    assert second.ports.inputs["read"].source is output


def test_a_bare_output_of_an_earlier_step_is_an_input():
    output = OutputFileDatasetConfig("made")
    step(output)
    with pytest.warns(UserWarning, match=r"taken as an input here; write \.as_input\(\)"):
        second = step("--in", output, script="b.py")
    assert list(second.ports.inputs) == ["input_1"]
    assert second.ports.outputs == {}


def test_a_bare_output_in_inputs_is_an_input_without_a_word():
    output = OutputFileDatasetConfig("made")
    step(output)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = step("--in", output, script="b.py", inputs=[output])
    assert list(second.ports.inputs) == ["input_1"]


def test_the_same_step_written_again_makes_the_output_instead():
    output = OutputFileDatasetConfig("made")
    step("--out", output)
    again = step("--out", output)
    assert output.producer is again
    assert list(again.ports.outputs) == ["made"]


def test_unnamed_outputs_and_inputs_are_named_by_their_place(images):
    first_out, second_out = OutputFileDatasetConfig(), OutputFileDatasetConfig()
    first = step(first_out, second_out)
    assert list(first.ports.outputs) == ["output_1", "output_2"]
    second = step(images.as_mount(), second_out.as_input(), first_out.as_input("named"), script="b.py")
    assert list(second.ports.inputs) == ["input_1", "input_2", "named"]


def test_names_by_place_do_not_collide_with_given_ones(images):
    made = OutputFileDatasetConfig("input_1")
    bound = step(images.as_mount(), made).ports
    assert list(bound.inputs) == ["input_1_"]


def test_the_same_input_in_inputs_and_arguments_is_one(images):
    bound = step("--in", images.as_named_input("x"), inputs=[images.as_named_input("x")]).ports
    assert list(bound.inputs) == ["x"]
    assert bound.arguments == ["--in", ("input", "x")]


def test_two_inputs_of_one_name_are_refused(images, store):
    other = DataReference(store, "x", "other")
    with pytest.raises(DefinitionError, match="two inputs have the name 'x'"):
        step(inputs=[images.as_named_input("x"), other])


def test_an_input_and_an_output_of_one_name_are_refused():
    data = PipelineData("data")
    step(outputs=[data])
    with pytest.raises(DefinitionError, match=r"an input and an output have the name 'data'"):
        step(script="b.py", inputs=[data], outputs=[PipelineData("data")])


def test_two_outputs_of_one_name_are_refused():
    with pytest.raises(DefinitionError, match="two outputs have the name 'x'"):
        step(OutputFileDatasetConfig("x"), OutputFileDatasetConfig("x"))


def test_pipeline_data_is_what_outputs_and_inputs_say():
    data = PipelineData("data", output_name="data_out")
    first = step("--out", data, outputs=[data])
    second = step("--in", data, script="b.py", inputs=[data])
    assert first.ports.arguments[1] == ("output", "data_out")
    assert second.ports.arguments[1] == ("input", "data")


def test_pipeline_data_of_an_earlier_step_may_stand_in_arguments_alone():
    data = PipelineData("data")
    step(outputs=[data])
    assert list(step("--in", data, script="b.py").ports.inputs) == ["data"]


def test_pipeline_data_in_arguments_alone_is_refused_where_nothing_made_it():
    with pytest.raises(ValueError, match="neither in inputs nor in outputs"):
        step("--out", PipelineData("data"))


def test_bindings_of_pipeline_data():
    data = PipelineData("data")
    step(outputs=[data])
    second = step(
        script="b.py", inputs=[data.as_input("one"), data.as_download("two", "/tmp/x", overwrite=True)]
    )
    one, two = second.ports.inputs.values()
    assert (one.name, one.mode) == ("one", "mount")
    assert (two.name, two.mode, two.path_on_compute, two.overwrite) == ("two", "download", "/tmp/x", True)
    assert data.as_mount().to_port().name == "data"


def test_pipeline_data_as_a_dataset():
    data = PipelineData("data")
    view = data.as_dataset().register("kept")
    first = step(outputs=[view])
    second = step("--in", view.as_named_input("x").as_download(), script="b.py")
    assert first.ports.outputs == {"data": data}
    assert data.to_spec("data").register.name == "kept"
    assert second.ports.inputs["x"].source is data


def test_an_output_as_a_table_is_the_same_output():
    output = OutputFileDatasetConfig("made")
    table = output.read_delimited_files(separator=";").register_on_complete("kept")
    first = step("--out", table)
    second = step(script="b.py", inputs=[table.as_input("x")])
    assert first.ports.outputs == {"made": output}
    spec = output.to_spec("made")
    assert (spec.tabular.separator, spec.register.name) == (";", "kept")
    assert second.ports.inputs["x"].mode == "direct"


def test_a_data_reference_in_arguments_has_to_be_in_inputs(store):
    reference = DataReference(store, "x", "images")
    with pytest.raises(ValueError, match=r"add it to inputs=\[…\]"):
        step("--in", reference)
    assert step("--in", reference, inputs=[reference]).ports.arguments[1] == ("input", "x")


def test_a_data_reference_can_only_be_read(store):
    with pytest.raises(DefinitionError, match="OutputFileDatasetConfig"):
        step(outputs=[DataReference(store, "x", "images")])
    with pytest.raises(DefinitionError, match="as_upload"):
        DataReference(store, "x", "images", mode="upload")


def test_references_to_a_datastore(store):
    assert DataReference(store).to_port().name == "workspaceblobstore"
    assert DataReference(store, path_on_datastore="x").to_port().name is None
    below = DataReference(store, path_on_datastore="x").path("y/z").as_download("/tmp/a", overwrite=True)
    port = below.to_port()
    assert (port.source.locations[0].path, port.mode, port.path_on_compute) == ("x/y/z", "download", "/tmp/a")
    with pytest.raises(DefinitionError, match="leave the datastore"):
        DataReference(store, path_on_datastore="../x")


def test_a_parameter_may_name_a_data_path(store):
    parameter = PipelineParameter("where", DataPath(store, "images"))
    pair = (parameter, DataPathComputeBinding("download"))
    bound = step("--in", pair, inputs=[pair]).ports
    assert bound.arguments[1] == ("input", "where")
    assert bound.inputs["where"].mode == "download"
    with pytest.raises(ValueError, match=r"add it to inputs"):
        step("--in", pair)
    with pytest.raises(TypeError, match="DataPathComputeBinding"):
        step("--in", parameter)


def test_a_parameter_may_name_a_dataset(images):
    parameter = PipelineParameter("which", images)
    bound = step("--in", DatasetConsumptionConfig("x", parameter).as_mount()).ports
    assert bound.inputs["x"].source is parameter


def test_a_plain_dataset_is_refused_with_what_to_write(images):
    with pytest.raises(ValueError, match=r"as_named_input\('name'\)\.as_mount\(\)"):
        step("--in", images)
    with pytest.raises(ValueError, match="as_named_input"):
        step(inputs=[images])


@pytest.mark.parametrize("wrong", [None, {"a": 1}, object()])
def test_what_can_be_no_argument_is_refused(wrong):
    with pytest.raises(TypeError, match=r"step 'a\.py', arguments\[1\]: expected text"):
        step("--x", wrong)


def test_a_list_in_the_arguments_is_refused():
    with pytest.raises(TypeError, match="flat list"):
        step(["--x", "1"])


@pytest.mark.parametrize("field", ["arguments", "inputs", "outputs", "hash_paths"])
def test_text_is_no_list(field):
    with pytest.raises(TypeError, match=f"{field}=….*: expected a list"):
        PythonScriptStep("a.py", **{field: "x"})


def test_an_unknown_keyword_is_refused_with_the_one_that_was_meant():
    with pytest.raises(TypeError, match=r"no argument 'compute'.* Did you mean 'compute_target'"):
        PythonScriptStep("a.py", compute="x")


def test_target_is_taken_as_compute_target_with_one_warning():
    with pytest.warns(UserWarning, match="target= is taken as compute_target=") as found:
        made = PythonScriptStep("a.py", target="cpu")
    assert len(found) == 1
    assert found[0].filename == __file__
    assert made.compute_target_name == "cpu"
    with pytest.raises(TypeError, match="the same thing"):
        PythonScriptStep("a.py", target="cpu", compute_target="gpu")


def test_a_name_and_type_name_a_compute_target():
    assert PythonScriptStep("a.py", compute_target=("cpu", "AmlCompute")).compute_target_name == "cpu"
    with pytest.raises(TypeError, match="expected a compute target"):
        PythonScriptStep("a.py", compute_target=5)


@pytest.mark.parametrize("script", ["/abs.py", "../up.py", ""])
def test_a_script_outside_of_its_folder_is_refused(script):
    with pytest.raises(DefinitionError, match="is not a path in source_directory"):
        PythonScriptStep(script)


def test_params_are_values_and_arguments_can_name_them():
    parameter = PipelineParameter("rate", 0.5)
    made = step(
        "--a", "parameter:a", "--r", "parameter:r", "parameter:other", params={"a": 1, "r": parameter}
    )
    assert made.ports.arguments == ["--a", "1", "--r", parameter, "parameter:other"]
    with pytest.raises(DefinitionError, match="letters, digits"):
        step(params={"a-b": 1})
    with pytest.raises(TypeError, match="expected text, a number"):
        step(params={"a": [1]})


def test_run_config_parameters_are_known_and_have_no_effect():
    with pytest.raises(DefinitionError, match="NodeCount"):
        PythonScriptStep("a.py", runconfig_pipeline_params={"Nodes": PipelineParameter("n", 1)})
    with pytest.warns(UserWarning, match="no effect"):
        PythonScriptStep("a.py", runconfig_pipeline_params={"NodeCount": PipelineParameter("n", 1)})


def test_run_after_takes_other_steps():
    one, two = PythonScriptStep("a.py"), PythonScriptStep("b.py")
    two.run_after(one)
    two.run_after(one)
    assert two.predecessors == [one]
    with pytest.raises(DefinitionError, match="after itself"):
        one.run_after(one)
    with pytest.raises(TypeError, match="expected a step"):
        one.run_after([two])


# --- outputs -----------------------------------------------------------------------------------------------------


def test_a_destination_is_a_datastore_and_a_path(store):
    spec = OutputFileDatasetConfig("x", destination=(store, "/made/{run-id}/{output-name}")).to_spec("x")
    assert (spec.datastore, spec.path, spec.mode) == (
        "workspaceblobstore",
        "made/{run-id}/{output-name}",
        "mount",
    )


def test_a_bare_datastore_is_a_destination(store):
    spec = OutputFileDatasetConfig("x", destination=store).to_spec("x")
    assert (spec.datastore, spec.path) == ("workspaceblobstore", None)


@pytest.mark.parametrize("wrong", ["path", ("workspaceblobstore",), (1, "x")])
def test_a_wrong_destination_is_refused(wrong):
    with pytest.raises(TypeError, match=r"destination=…\): expected"):
        OutputFileDatasetConfig(destination=wrong)


@pytest.mark.parametrize("path", ["x/{run_id}", "../x"])
def test_a_destination_that_can_not_be_filled_in_is_refused(store, path):
    with pytest.raises(DefinitionError, match=r"filled in|leave the datastore"):
        OutputFileDatasetConfig(destination=(store, path))


def test_register_on_complete_changes_the_output_and_returns_it():
    output = OutputFileDatasetConfig("x")
    assert output.register_on_complete("kept", "words", {"a": "b"}) is output
    register = output.to_spec("x").register
    assert (register.name, register.description, register.tags) == ("kept", "words", {"a": "b"})


def test_upload_has_its_options():
    spec = (
        OutputFileDatasetConfig("x", source="made")
        .as_upload(overwrite=True, source_globs=["*.csv"])
        .to_spec("x")
    )
    assert (spec.mode, spec.overwrite, spec.globs, spec.source) == ("upload", True, ("*.csv",), "made")
    assert OutputFileDatasetConfig("x").as_upload(source_globs="*.csv").to_spec("x").globs == ("*.csv",)
    assert OutputFileDatasetConfig("x").as_upload().as_mount().to_spec("x").mode == "mount"


def test_pipeline_data_leaves_making_the_folder_to_the_script(store):
    spec = PipelineData("x", store, output_mode="upload", output_overwrite=True).to_spec("x")
    assert (spec.create, spec.datastore, spec.mode, spec.overwrite) == (
        False,
        "workspaceblobstore",
        "upload",
        True,
    )
    with pytest.raises(DefinitionError, match="'mount', 'upload'"):
        PipelineData("x", output_mode="download")


# --- parameters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("default", "kind"), [("x", "string"), (1, "integer"), (1.5, "number"), (True, "boolean")]
)
def test_the_default_says_the_type(default, kind):
    spec = PipelineParameter("p", default).to_spec()
    assert (spec.type, spec.default) == (kind, default)


@pytest.mark.parametrize("default", [None, [], {}, object()])
def test_a_default_of_no_type_is_refused(default):
    with pytest.raises(TypeError, match="expected a default of text"):
        PipelineParameter("p", default)


def test_bounds_and_words_of_a_parameter():
    spec = PipelineParameter("p", 3, minimum=1, maximum=5, description="d", title="t", section="s").to_spec()
    assert (spec.minimum, spec.maximum, spec.description, spec.title, spec.section) == (1, 5, "d", "t", "s")
    assert PipelineParameter("p", "a", enum=["a", "b"]).to_spec().enum == ("a", "b")


@pytest.mark.parametrize(
    "fields",
    [
        {"default_value": 9, "maximum": 5},
        {"default_value": "c", "enum": ["a"]},
        {"default_value": "c", "minimum": 1},
    ],
)
def test_a_default_that_does_not_fit_is_refused(fields):
    with pytest.raises(DefinitionError, match="PipelineParameter"):
        PipelineParameter("p", **fields)


def test_a_data_parameter_has_data_as_its_default(store, images, ws):
    assert PipelineParameter("p", DataPath(store, "x")).to_spec().default == {
        "datastore": "workspaceblobstore",
        "path": "x",
    }
    assert PipelineParameter("p", images).is_data
