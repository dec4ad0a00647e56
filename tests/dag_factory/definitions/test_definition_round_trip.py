from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dag_factory.definitions.definition import PipelineDefinition
from dag_factory.models.data import DataDefinition, InputDefinition, OutputDefinition, RegisterDefinition
from dag_factory.models.environment import EnvironmentDefinition
from dag_factory.models.parameter import ParameterDefinition
from dag_factory.models.schedule import ScheduleDefinition
from dag_factory.models.step import StepDefinition
from dag_factory.models.tables import TabularOptions

TRICKY = st.sampled_from(
    [
        "",
        "yes",
        "no",
        "null",
        "~",
        "1e3",
        "1_000",
        "0o17",
        "007",
        "0x1f",
        ".5",
        "1:30",
        "2026-01-31",
        "<<",
        "=",
        "@x",
        "- a",
        "a: b",
        "a #b",
        "'",
        '"',
        "%",
        "*a",
        "&a",
        "!a",
        "{{ x }}",
        "${{ inputs.x }}",
        "a\nb\n",
        " a\n\n b",
        "\t",
    ]
)
CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXT = st.one_of(TRICKY, st.text(CHARACTERS, max_size=8))
WHOLE = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.one_of(WHOLE, st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(TEXT, st.booleans(), NUMBERS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)
DURATIONS = st.one_of(st.integers(0, 10**8).map(float), st.floats(0, 10**6))
MOMENTS = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the time zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)


def texts(**options):
    return st.lists(TEXT, max_size=3, **options).map(tuple)


def named(values):
    return st.dictionaries(TEXT, values, max_size=2)


def some(model, **fields):
    """Models with some of the fields."""
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: model(**given))


TABULAR = {
    "include_path": st.booleans(),
    "set_column_types": named(TEXT),
    "separator": TEXT,
    "header": st.sampled_from([True, False, "none"]),
}
DATA = TABULAR | {
    "datastore": TEXT,
    "path": TEXT,
    "paths": st.lists(
        st.one_of(TEXT, st.fixed_dictionaries({"datastore": TEXT, "path": TEXT})), max_size=2
    ).map(tuple),
    "url": st.one_of(TEXT, st.just("https://example.org/x")),
    "dataset": TEXT,
    "version": WHOLE,
    "type": st.sampled_from(["file", "tabular"]),
    "fingerprint": st.sampled_from(["content", "etag"]),
}
SETTINGS = {
    "retries": st.integers(0, 9),
    "retry_delay": DURATIONS,
    "timeout": DURATIONS,
    "pool": TEXT,
    "queue": TEXT,
    "priority_weight": WHOLE,
}
INPUTS = some(
    InputDefinition,
    **DATA,
    data=st.one_of(TEXT, st.just("${{ x }}"), st.just("a://b")),
    from_=st.one_of(TEXT, st.just("${{ steps.a.outputs.b }}")),
    mode=st.sampled_from(["mount", "direct"]),
    overwrite=st.booleans(),
)
REGISTERED = st.builds(RegisterDefinition, name=TEXT, description=TEXT, tags=named(TEXT))
OUTPUTS = some(
    OutputDefinition,
    mode=st.sampled_from(["mount", "upload"]),
    path=TEXT,
    create=st.booleans(),
    globs=texts(),
    register_as=st.one_of(REGISTERED, st.builds(RegisterDefinition, name=TEXT)),
    tabular=some(TabularOptions, **TABULAR),
)
ENVIRONMENTS = some(
    EnvironmentDefinition,
    name=TEXT,
    version=TEXT,
    python=TEXT,
    user_managed=st.booleans(),
    pip=texts(),
    variables=named(TEXT),
)
PARAMETERS = some(
    ParameterDefinition,
    type=st.sampled_from(["string", "integer", "number", "boolean", "data"]),
    default=JSON,
    enum=st.lists(JSON, max_size=2).map(tuple),
    minimum=st.floats(allow_nan=False, allow_infinity=False),
    description=TEXT,
)
SCHEDULES = some(
    ScheduleDefinition,
    cron=TEXT,
    timezone=TEXT,
    every=DURATIONS,
    assets=texts(),
    mode=st.sampled_from(["all", "any"]),
    arguments=st.dictionaries(st.one_of(TEXT, st.just("every")), JSON, max_size=2),
)
STEPS = st.fixed_dictionaries(
    {"script": TEXT},
    optional=SETTINGS
    | {"deferrable": st.booleans()}
    | {
        "name": TEXT,
        "arguments": st.lists(SCALARS, max_size=4),
        "inputs": named(INPUTS),
        "outputs": named(OUTPUTS),
        "parameters": named(SCALARS),
        "environment": ENVIRONMENTS,
        "allow_reuse": st.booleans(),
        "version": TEXT,
        "after": texts(),
    },
).map(lambda given: StepDefinition(**given))
PIPELINES = st.fixed_dictionaries(
    {"name": TEXT, "steps": named(STEPS)},
    optional=SETTINGS
    | {
        "description": TEXT,
        "doc": st.one_of(TEXT, st.just("# Title\n\nText.\n"), st.just("one\ntwo\n")),
        "tags": texts(),
        "schedule": SCHEDULES,
        "start_date": MOMENTS,
        "catchup": st.booleans(),
        "default_environment": ENVIRONMENTS,
        "parameters": named(PARAMETERS),
        "environments": named(ENVIRONMENTS),
        "data": named(some(DataDefinition, **DATA)),
    },
).map(lambda given: PipelineDefinition(**given))


@given(PIPELINES)
@example(PipelineDefinition(name="p", steps={}, parameters={"list": ParameterDefinition(default=[])}))
@settings(
    max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)
def test_a_definition_that_is_written_is_read_as_it_was(definition):
    text = definition.to_yaml()
    assert PipelineDefinition.from_yaml(text) == definition
    assert PipelineDefinition.from_yaml(text).to_yaml() == text


@given(PIPELINES)
@settings(
    max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)
def test_other_readers_of_yaml_see_the_same_values(definition):
    import yaml

    from dag_factory.definitions.write import document

    assert yaml.safe_load(definition.to_yaml()) == document(definition)
