from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.spec import (
    DataParameter,
    InputPath,
    OutputPath,
    ParameterValue,
    StepOutput,
    Text,
)
from dag_factory import (
    DataPath,
    DataPathComputeBinding,
    Dataset,
    DefinitionError,
    OutputFileDatasetConfig,
    Pipeline,
    PipelineData,
    PipelineParameter,
    PythonScriptStep,
    StepSequence,
)
from dag_factory.steps.assemble import assemble


@pytest.fixture
def scripts(project):
    for name in "abcde":
        project.write(f"src/{name}.py")
    return project


def step(name, *arguments, **fields):
    return PythonScriptStep(
        f"{name}.py", name=name, source_directory="src", arguments=list(arguments), **fields
    )


def order(pipeline):
    return [item.id for item in pipeline.to_spec().steps]


def after(pipeline):
    return {item.id: item.upstream for item in pipeline.to_spec().steps}


def test_data_gives_the_order(ws, scripts):
    output = OutputFileDatasetConfig("made")
    a = step("a", output)
    b = step("b", output.as_input("x"))
    pipeline = Pipeline(workspace=ws, steps=[b, a])
    assert order(pipeline) == ["a", "b"]
    spec = pipeline.to_spec().step("b")
    assert spec.inputs[0].source == StepOutput(step="a", output="made")
    assert spec.arguments == ((InputPath(input="x"),),)
    assert pipeline.to_spec().step("a").arguments == ((OutputPath(output="made"),),)
    assert spec.after == ()


def test_nested_lists_are_parallel(ws, scripts):
    pipeline = Pipeline(ws, [[step("a"), [step("b")]], step("c")])
    assert after(pipeline) == {"a": (), "b": (), "c": ()}


def test_a_sequence_is_one_after_the_other_with_groups_in_it(ws, scripts):
    pipeline = Pipeline(
        ws, StepSequence([[step("a"), step("b")], step("c"), StepSequence([step("d"), step("e")])])
    )
    assert after(pipeline) == {"a": (), "b": (), "c": ("a", "b"), "d": ("c",), "e": ("c", "d")}


def test_a_sequence_says_nothing_about_the_steps_in_other_pipelines(ws, scripts):
    a, b = step("a"), step("b")
    Pipeline(ws, StepSequence([a, b]))
    assert after(Pipeline(ws, [a, b])) == {"a": (), "b": ()}


def test_steps_that_others_need_come_along(ws, scripts):
    output, data = OutputFileDatasetConfig(), PipelineData("data")
    step("a", output)
    step("b", outputs=[data], inputs=[output.as_input()])
    c = step("c", inputs=[data])
    d = step("d")
    c.run_after(d)
    pipeline = Pipeline(ws, [c])
    assert set(order(pipeline)) == {"a", "b", "c", "d"}
    assert after(pipeline)["c"] == ("b", "d")
    assert [item.name for item in pipeline.steps] == order(pipeline)


def test_without_closure_a_missing_producer_is_an_error(ws, scripts):
    output = OutputFileDatasetConfig("made")
    step("a", output)
    b = step("b", output.as_input("x"))
    with pytest.raises(ValueError, match="which no step of the pipeline makes"):
        Pipeline(ws, [b], resolve_closure=False)


def test_without_closure_other_edges_to_the_outside_are_dropped(ws, scripts):
    a, b = step("a"), step("b")
    b.run_after(a)
    assert after(Pipeline(ws, [b], resolve_closure=False)) == {"b": ()}


def test_an_output_stands_for_the_step_that_makes_it(ws, scripts):
    data = PipelineData("data")
    step("a", outputs=[data])
    assert order(Pipeline(ws, [data])) == ["a"]
    with pytest.raises(DefinitionError, match="made by no step"):
        Pipeline(ws, [PipelineData("nothing")])


def test_data_that_nothing_makes_is_refused(ws, scripts):
    b = step("b", inputs=[PipelineData("data")])
    with pytest.raises(ValueError, match=r"input 'data' reads PipelineData\('data'\), which no step"):
        Pipeline(ws, [b])


def test_two_producers_of_one_output_are_refused(ws, scripts):
    data = PipelineData("data")
    steps = [step("a", outputs=[data]), step("b", outputs=[data])]
    with pytest.raises(ValueError, match="steps 'a' and 'b' both make the output 'data'"):
        Pipeline(ws, steps)


def test_a_cycle_is_named(ws, scripts):
    one, two = PipelineData("one"), PipelineData("two")
    a = step("a", outputs=[one], inputs=[two])
    b = step("b", outputs=[two], inputs=[one])
    with pytest.raises(DefinitionError, match=r"cycle: '[ab]' → '[ab]' → '[ab]'"):
        Pipeline(ws, [a, b])


def test_a_cycle_of_run_after_is_named(ws, scripts):
    a, b, c = step("a"), step("b"), step("c")
    a.run_after(c)
    b.run_after(a)
    c.run_after(b)
    with pytest.raises(DefinitionError, match=r"'[abc]' → '[abc]' → '[abc]' → '[abc]'"):
        Pipeline(ws, [a, b, c])


def test_steps_of_one_name_get_ids_of_their_own(ws, scripts):
    steps = [step("a"), step("a"), PythonScriptStep("b.py", name="A", source_directory="src")]
    assert order(Pipeline(ws, steps)) == ["a", "a_2", "A_3"]


def test_any_name_becomes_an_id(ws, scripts):
    names = ["Hello World", "ä/ö", "plan", "x.py", "--"]
    steps = [PythonScriptStep("a.py", name=name, source_directory="src") for name in names]
    assert order(Pipeline(ws, steps)) == ["Hello_World", "step", "plan_2", "x", "step_2"]
    assert [item.name for item in Pipeline(ws, steps).to_spec().steps] == names


def test_a_step_listed_twice_is_one(ws, scripts):
    a = step("a")
    assert order(Pipeline(ws, [a, [a]])) == ["a"]


@pytest.mark.parametrize("wrong", [[5], "a.py", [None], [{"a": 1}]])
def test_what_is_no_step_is_refused(ws, wrong):
    with pytest.raises(TypeError, match="expected a step"):
        Pipeline(ws, wrong)


def test_no_steps_are_refused(ws):
    with pytest.raises(DefinitionError, match="at least one step"):
        Pipeline(ws, [])


def test_what_is_no_workspace_is_refused(scripts):
    with pytest.raises(TypeError, match="expected a Workspace"):
        Pipeline("ws", [step("a")])


def test_missing_scripts_are_all_named_with_the_nearest(ws, scripts):
    wrong = [
        PythonScriptStep("aa.py", source_directory="src"),
        PythonScriptStep("b.py", source_directory="sre"),
    ]
    with pytest.raises(DefinitionError) as error:
        Pipeline(ws, wrong)
    first, second = error.value.findings
    assert "there is no script 'aa.py' in" in first.message
    assert "Did you mean 'a.py'" in first.message
    assert 'PythonScriptStep("aa.py", source_directory="src")' in first.excerpt
    assert "there is no source_directory" in second.message
    assert str(error.value).startswith(f"{__file__}:")


def test_a_step_is_made_before_its_script(ws, scripts):
    late = step("late")
    scripts.write("src/late.py")
    assert order(Pipeline(ws, [late])) == ["late"]


def test_source_directories_have_a_default(ws, scripts):
    a, b = PythonScriptStep("a.py"), step("b")
    scripts.write("other/a.py")
    spec = Pipeline(ws, [a, b], default_source_directory="other").to_spec()
    assert [item.source_directory for item in spec.steps] == ["other", "src"]
    scripts.write("a.py")
    assert Pipeline(ws, [PythonScriptStep("a.py")]).to_spec().steps[0].source_directory == "."


def test_absolute_folders_below_the_current_one_are_kept_relative(ws, scripts):
    a = PythonScriptStep("a.py", source_directory=scripts.folder / "src")
    spec = Pipeline(ws, [a]).to_spec()
    assert (spec.base_directory, spec.steps[0].source_directory) == (str(scripts.folder), "src")


def test_folders_may_be_relative_to_the_file_that_makes_the_pipeline(ws, scripts, tmp_path, monkeypatch):
    file = scripts.write(
        "pipelines.py",
        """
        from dag_factory import Pipeline, PythonScriptStep
        def make(ws):
            return Pipeline(ws, [PythonScriptStep("a.py", source_directory="src")])
        """,
    )
    monkeypatch.chdir(tmp_path)
    values = {}
    exec(compile(file.read_text(), str(file), "exec"), values)
    assert values["make"](ws).to_spec().base_directory == str(scripts.folder)


def test_parameters_are_found_wherever_they_stand(ws, scripts):
    rate, flag = PipelineParameter("rate", 0.5), PipelineParameter("flag", True)
    where = PipelineParameter("where", DataPath("workspaceblobstore", "x"))
    pair = (where, DataPathComputeBinding())
    spec = Pipeline(
        ws, [step("a", "--rate", rate, params={"f": flag}), step("b", pair, inputs=[pair])]
    ).to_spec()
    assert [item.name for item in spec.parameters] == ["rate", "flag", "where"]
    assert spec.step("a").arguments == ((Text(text="--rate"),), (ParameterValue(parameter="rate"),))
    assert spec.step("a").parameters == {"f": ParameterValue(parameter="flag")}
    assert spec.step("b").inputs[0].source == DataParameter(parameter="where")


def test_equal_parameters_are_one_and_others_are_refused(ws, scripts):
    same = [step("a", PipelineParameter("p", 1)), step("b", PipelineParameter("p", 1))]
    assert len(Pipeline(ws, same).to_spec().parameters) == 1
    other = [step("a", PipelineParameter("p", 1)), step("b", PipelineParameter("p", 2))]
    with pytest.raises(ValueError, match=r"'p' is 1 \(integer\) in step 'a' and 2 \(integer\) in step 'b'"):
        Pipeline(ws, other)


def test_a_param_of_a_parameters_name_is_refused(ws, scripts):
    p = PipelineParameter("p", 1)
    with pytest.raises(DefinitionError, match="a pipeline parameter as well"):
        Pipeline(ws, [step("a", p, params={"p": 5})])
    assert Pipeline(ws, [step("a", p, params={"p": p})]).to_spec().parameters[0].name == "p"


def test_two_outputs_at_one_place_are_refused(ws, scripts):
    store = ws.get_default_datastore()
    a = step("a", OutputFileDatasetConfig("x", (store, "made")))
    b = step("b", OutputFileDatasetConfig("y", (store, "made/below")))
    with pytest.raises(DefinitionError, match="give each a place of its own"):
        Pipeline(ws, [a, b])
    c = step("c", OutputFileDatasetConfig("x", (store, "all/{run-id}")))
    d = step("d", OutputFileDatasetConfig("x", (store, "all/{run-id}")))
    assert order(Pipeline(ws, [c, d])) == ["c", "d"]


def test_a_pipeline_written_twice_is_equal(ws, scripts):
    def make():
        output = OutputFileDatasetConfig()
        images = Dataset.File.from_files([(ws.get_default_datastore(), "images")])
        return Pipeline(ws, [step("a", images.as_mount(), output), step("b", output.as_input())]).to_spec("x")

    assert make() == make()
    assert make().digest == make().digest


def test_all_that_a_step_says_is_in_its_spec(ws, scripts):
    made = PythonScriptStep(
        "a.py",
        source_directory="src",
        allow_reuse=False,
        version=2,
        hash_paths=["more"],
        ignore=["*.csv"],
        compute_target="cpu",
        timeout=60,
    )
    spec = Pipeline(ws, [made], description="d", default_datastore="workspacefilestore").to_spec("name")
    found = spec.steps[0]
    assert (found.allow_reuse, found.version, found.hash_paths, found.ignore) == (
        False,
        "2",
        ("more",),
        ("*.csv",),
    )
    assert (found.compute_target, found.timeout) == ("cpu", 60)
    assert (spec.name, spec.description, spec.default_datastore) == ("name", "d", "workspacefilestore")


def test_validate_names_what_the_workspace_does_not_have(ws, scripts):
    images = Dataset.File.from_files([(ws.get_default_datastore(), "x")])
    pipeline = Pipeline(
        ws,
        [
            step("a", images.as_mount(), compute_target="gpu"),
            step("b", OutputFileDatasetConfig("o", ("nowhere", "x"))),
        ],
    )
    assert [str(error).partition(":")[0] for error in pipeline.validate()] == [
        "step 'a'",
        "step 'b', output 'o'",
    ]
    assert Pipeline(ws, [step("c")]).validate() == []
    gone = Pipeline(ws, [step("d")])
    (scripts.folder / "src/d.py").unlink()
    assert "there is no script 'd.py'" in str(gone.validate()[0])


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12), st.permutations(range(8)))
def test_every_step_comes_after_those_that_it_needs(edges, listing):
    steps = [PythonScriptStep("s.py", name=f"s{number}", source_directory="/") for number in range(8)]
    for one, two in edges:
        if one < two:
            steps[two].run_after(steps[one])
    from dag_factory.steps import assemble as module

    needs = {item: set(item.predecessors) for item in steps}
    done = module._sort([steps[number] for number in listing], needs)
    assert sorted(item.name for item in done) == [f"s{number}" for number in range(8)]
    for place, item in enumerate(done):
        assert needs[item] <= set(done[:place])


def test_assembling_needs_no_workspace(scripts):
    assert assemble("x", [step("a")]).spec.steps[0].script == "a.py"
