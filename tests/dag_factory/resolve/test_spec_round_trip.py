"""All that runs can know of a pipeline, and so all that Python can say, can be written as YAML and read again."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.spec import (
    DEFAULT_ENVIRONMENT,
    Data,
    DataParameter,
    EnvironmentSpec,
    InputPath,
    InputSpec,
    Location,
    OutputPath,
    OutputSpec,
    ParameterSpec,
    ParameterValue,
    PipelineSpec,
    RegisteredDataset,
    RegisterSpec,
    StepOutput,
    StepSpec,
    TabularFormat,
    Text,
)
from dag_factory.definitions.definition import PipelineDefinition

TEXT = st.one_of(
    st.sampled_from(
        ["yes", "1.10", "${{", "$${{ x }}", "$", "a: b", "- x", "{{ ds }}", "~", " x ", "a\nb", "#", "0o7"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)
WORD = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
STEP = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,5}", fullmatch=True).filter(lambda name: name != "plan")
FILE = st.from_regex(r"[a-z]{1,4}(/[a-z]{1,4})?\.py", fullmatch=True)
PATH = st.from_regex(r"[a-z]{1,4}(/[a-z*?]{1,4})?", fullmatch=True)
SCALAR = st.one_of(TEXT, st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False))
MAYBE_WORD = st.none() | WORD


def structs(kind, **fields):
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: kind(**given))


TABLES = structs(
    TabularFormat,
    format=st.sampled_from(["parquet", "json_lines"]),
    separator=st.sampled_from([";", "\t"]),
    header=st.sampled_from([False, "none", "only_first_file"]),
    include_path=st.booleans(),
    set_column_types=st.dictionaries(WORD, st.sampled_from(["long", "string"]), max_size=2),
    timestamp=WORD,
    operations=st.lists(
        st.sampled_from(
            [
                {"do": "take", "count": 3},
                {"do": "keep", "columns": ["yes", "a"]},
                {"do": "filter", "where": ["gt", ["column", "a"], ["value", "1.10"]]},
            ]
        ),
        max_size=2,
    ).map(tuple),
)
LOCATIONS = st.one_of(
    st.builds(Location, path=PATH, datastore=WORD),
    st.builds(Location, path=PATH.map("https://example.org/{}".format)),
)
DATA = st.one_of(
    st.builds(
        Data, locations=st.lists(LOCATIONS, min_size=1, max_size=3).map(tuple), form=st.sampled_from(["auto", "file", "folder"])
    ),
    st.builds(Data, locations=st.tuples(LOCATIONS), tabular=TABLES),
    st.builds(
        Data,
        locations=st.tuples(st.builds(Location, path=st.just(""), datastore=WORD)),
        tabular=st.just(TabularFormat(format="parquet")),
        query=st.just("SELECT 1"),
        query_timeout=st.sampled_from([30, 5.5, 600.0]),
    ),
    st.builds(RegisteredDataset, dataset=WORD, version=st.none() | st.integers(1, 9)),
)  # fmt: skip
OUTPUTS = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.just("upload"),
        "datastore": WORD,
        "source": PATH,
        "create": st.booleans(),
        "overwrite": st.booleans(),
        "globs": st.lists(PATH, max_size=2).map(tuple),
        "register": st.builds(
            RegisterSpec,
            name=WORD,
            description=st.none() | TEXT,
            tags=st.dictionaries(TEXT, TEXT, max_size=2),
        ),
        "tabular": TABLES,
        "pipeline_output": WORD,
    },
)
ENVIRONMENTS = st.one_of(
    st.just(DEFAULT_ENVIRONMENT),
    st.just("registered"),
    st.just("registered:3"),
    st.builds(
        EnvironmentSpec,
        name=MAYBE_WORD.map(lambda name: name or ""),
        python=st.sampled_from([None, "3.10", "3"]),
        user_managed=st.just(False),
        pip=st.lists(st.sampled_from(["numpy", "pandas==2.0"]), max_size=2).map(tuple),
        variables=st.dictionaries(
            WORD.filter(str.islower), st.sampled_from(["yes", "1", "env:X"]), max_size=2
        ),
    ),
    st.builds(
        EnvironmentSpec,
        interpreter=st.sampled_from(["python3", "/opt/x"]),
        version=st.sampled_from([None, "2"]),
    ),
)
NUMBERS = {
    "integer": st.integers(-9, 9),
    "number": st.floats(-9, 9),
    "boolean": st.booleans(),
    "string": TEXT,
}


@st.composite
def parameters(draw):
    kinds = draw(st.dictionaries(STEP, st.sampled_from([*NUMBERS, "data"]), max_size=4))
    taken = ("regenerate_outputs", "continue_on_step_failure", "experiment_name")
    specs = []
    for name, kind in kinds.items():
        if name in taken:
            continue
        if kind == "data":
            default = draw(
                st.sampled_from(
                    [None, {"datastore": "d", "path": "p"}, {"url": "https://x.org/y"}, {"dataset": "s"}]
                )
            )
        else:
            default = draw(st.none() | NUMBERS[kind])
        specs.append(
            ParameterSpec(
                name=name,
                type=kind,
                default=default,
                required=default is None,
                enum=() if kind == "data" or default is None else draw(st.sampled_from([(), (default,)])),
                minimum=-10.5 if kind in ("integer", "number") and draw(st.booleans()) else None,
                description=draw(st.none() | TEXT.filter(bool)),
                section=draw(MAYBE_WORD),
            )
        )
    return tuple(specs)


@st.composite
def steps(draw, known, before):
    """A step that may read the outputs of those before it."""
    step_id = draw(STEP.filter(lambda name: name not in {other.id for other in before}))
    output_names = draw(st.lists(WORD, max_size=2, unique=True))
    outputs = tuple(
        OutputSpec(
            name=name,
            path=draw(st.sampled_from([None, f"{{run-id}}/{step_id}/{name}"])),
            **draw(OUTPUTS),
        )
        for name in output_names
    )
    made = [StepOutput(step=other.id, output=output.name) for other in before for output in other.outputs]
    tables = {
        StepOutput(step=other.id, output=output.name)
        for other in before
        for output in other.outputs
        if output.tabular
    }
    data = [DataParameter(parameter=item.name) for item in known if item.type == "data"]
    inputs = []
    for name in draw(st.lists(WORD.filter(lambda name: name not in output_names), max_size=3, unique=True)):
        source = draw(st.one_of(DATA, *([st.sampled_from(made + data)] if made or data else [])))
        table = (isinstance(source, Data) and source.tabular is not None) or source in tables
        inputs.append(
            InputSpec(
                name=name,
                source=source,
                mode="direct" if table else draw(st.sampled_from(["mount", "download", "direct"])),
                path_on_compute=draw(st.none() | PATH),
                overwrite=draw(st.booleans()),
                fingerprint="content" if isinstance(source, StepOutput) else draw(st.sampled_from(["content", "etag", "path"])),
            )
        )  # fmt: skip
    plain = [item.name for item in known if item.type != "data"]
    segments = st.one_of(
        st.builds(Text, text=TEXT.filter(bool)),
        *([st.builds(ParameterValue, parameter=st.sampled_from(plain))] if plain else []),
        *([st.builds(InputPath, input=st.sampled_from([item.name for item in inputs]))] if inputs else []),
        *([st.builds(OutputPath, output=st.sampled_from(output_names))] if output_names else []),
    )
    values = st.one_of(
        SCALAR, *([st.builds(ParameterValue, parameter=st.sampled_from(plain))] if plain else [])
    )
    return StepSpec(
        id=step_id,
        name=draw(st.just(step_id) | TEXT.filter(bool)),
        script=draw(FILE),
        source_directory=draw(st.sampled_from([".", "src", "../x", "/abs"])),
        arguments=draw(st.lists(st.lists(segments, max_size=3).map(merged), max_size=3).map(tuple)),
        parameters=draw(st.dictionaries(WORD, values, max_size=2)),
        inputs=tuple(inputs),
        outputs=outputs,
        environment=draw(ENVIRONMENTS),
        compute_target=draw(MAYBE_WORD),
        allow_reuse=draw(st.booleans()),
        version=draw(st.none() | TEXT),
        hash_paths=draw(st.lists(PATH, max_size=2).map(tuple)),
        ignore=draw(st.lists(TEXT.filter(bool), max_size=2).map(tuple)),
        after=draw(st.sampled_from([(), tuple(other.id for other in before[:1])])),
        timeout=draw(st.sampled_from([None, 0.5, 90.0, 3600.0])),
    )


def merged(segments):
    """Segments in which no two texts follow each other, as nobody could tell two from one."""
    result = []
    for segment in segments:
        if result and isinstance(segment, Text) and isinstance(result[-1], Text):
            result[-1] = Text(text=result[-1].text + segment.text)
        else:
            result.append(segment)
    return tuple(result)


@st.composite
def pipelines(draw):
    known = draw(parameters())
    made = []
    for _ in range(draw(st.integers(1, 3))):
        made.append(draw(steps(known, made)))
    return PipelineSpec(
        name=draw(WORD),
        steps=tuple(made),
        parameters=known,
        description=draw(st.none() | TEXT),
        default_datastore=draw(st.sampled_from([None])),
        continue_on_step_failure=draw(st.booleans()),
        base_directory="/base",
    )


@given(pipelines())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_pipeline_of_any_shape_can_be_written_and_read(spec):
    text = PipelineDefinition.from_spec(spec).to_yaml()
    again = PipelineDefinition.from_yaml(text).to_spec("/base", check_files=False)
    assert again == spec
    assert again.digest == spec.digest
