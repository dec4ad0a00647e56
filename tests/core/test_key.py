import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.keys.key import FIELDS, digest_key, environment_document, key_document
from airflow_ml_pipelines.core.spec import (
    Data,
    DatabricksSpec,
    EnvironmentSpec,
    InputPath,
    InputSpec,
    Location,
    OutputPath,
    OutputSpec,
    ParameterValue,
    RegisterSpec,
    StepSpec,
    TabularFormat,
    Text,
    TransferSpec,
)

GOLDEN = Path(__file__).parent / "golden_keys.json"

STEP = StepSpec(
    id="train",
    name="Train",
    script="train.py",
    source_directory="src",
    arguments=(
        (Text(text="--lr"),),
        (ParameterValue(parameter="lr"),),
        (Text(text="--in="), InputPath(input="images")),
        (OutputPath(output="model"),),
    ),
    parameters={"epochs": 3, "rate": ParameterValue(parameter="lr")},
    inputs=(InputSpec(name="images", source=Data(locations=(Location(datastore="d", path="p"),))),),
    outputs=(OutputSpec(name="model"),),
)
GIVEN = {
    "source": "5" * 64,
    "hash_paths": {"lib": "6" * 64},
    "values": {"lr": 0.1, "unused": 1},
    "environment": environment_document(EnvironmentSpec(pip=("pandas",), user_managed=False), "3.12"),
    "fingerprints": {"images": {"kind": "content", "digest": "7" * 64}},
    "formats": {"images": ("folder", None)},
}


def key(step=STEP, **changes):
    return digest_key(key_document(step, **{**GIVEN, **changes}))


def changed(**fields):
    return msgspec.structs.replace(STEP, **fields)


DIFFERENT_STEPS = {
    "script": changed(script="other.py"),
    "argument text": changed(arguments=((Text(text="--rate"),), *STEP.arguments[1:])),
    "argument order": changed(arguments=STEP.arguments[::-1]),
    "argument boundaries": changed(arguments=(STEP.arguments[0] + STEP.arguments[1], *STEP.arguments[2:])),
    "text that looks like an input": changed(
        arguments=(*STEP.arguments[:2], (Text(text="--in=<input images>"),))
    ),
    "parameter": changed(parameters={**STEP.parameters, "epochs": 4}),
    "parameter name": changed(parameters={"epoch": 3, "rate": ParameterValue(parameter="lr")}),
    "input mode": changed(inputs=(msgspec.structs.replace(STEP.inputs[0], mode="download"),)),
    "input path": changed(inputs=(msgspec.structs.replace(STEP.inputs[0], path_on_compute="/data"),)),
    "output name": changed(outputs=(OutputSpec(name="models"),)),
    "output mode": changed(outputs=(OutputSpec(name="model", mode="upload"),)),
    "output destination": changed(outputs=(OutputSpec(name="model", datastore="d", path="models/{run-id}"),)),
    "output datastore": changed(outputs=(OutputSpec(name="model", datastore="d"),)),
    "output source": changed(outputs=(OutputSpec(name="model", source="out"),)),
    "output globs": changed(outputs=(OutputSpec(name="model", mode="upload", globs=("*.pkl",)),)),
    "version": changed(version="2"),
}


@pytest.mark.parametrize("step", DIFFERENT_STEPS.values(), ids=DIFFERENT_STEPS)
def test_key_varies_on_what_the_step_says(step):
    assert key(step) != key()


DIFFERENT_VALUES = {
    "source": {"source": "0" * 64},
    "hash_paths": {"hash_paths": {"lib": "0" * 64}},
    "hash path name": {"hash_paths": {"lib2": "6" * 64}},
    "parameter that it uses": {"values": {"lr": 0.2, "unused": 1}},
    "packages": {
        "environment": environment_document(EnvironmentSpec(pip=("pandas<3",), user_managed=False), "3.12")
    },
    "python": {
        "environment": environment_document(EnvironmentSpec(pip=("pandas",), user_managed=False), "3.13")
    },
    "variables": {
        "environment": environment_document(
            EnvironmentSpec(pip=("pandas",), user_managed=False, variables={"A": "1"}), "3.12"
        )
    },
    "data": {"fingerprints": {"images": {"kind": "content", "digest": "8" * 64}}},
    "kind of fingerprint": {"fingerprints": {"images": {"kind": "etag", "digest": "7" * 64}}},
    "form": {"formats": {"images": ("file", None)}},
    "table format": {"formats": {"images": ("folder", TabularFormat())}},
    "separator": {"formats": {"images": ("folder", TabularFormat(separator=";"))}},
}


@pytest.mark.parametrize("given_", DIFFERENT_VALUES.values(), ids=DIFFERENT_VALUES)
def test_key_varies_on_what_the_step_gets(given_):
    assert key(**given_) != key()


def test_keys_of_different_table_formats_differ():
    comma, semicolon = ("file", TabularFormat()), ("file", TabularFormat(separator=";"))
    assert key(formats={"images": comma}) != key(formats={"images": semicolon})


SAME_STEPS = {
    "id": changed(id="fit"),
    "name": changed(name="Fit"),
    "source directory's path": changed(source_directory="/elsewhere/src"),
    "compute target": changed(compute_target="cluster"),
    "allow_reuse": changed(allow_reuse=False),
    "after": changed(after=("prepare",)),
    "timeout": changed(timeout=60.0),
    "registration": changed(outputs=(OutputSpec(name="model", register=RegisterSpec(name="m")),)),
    "order of parameters": changed(parameters={"rate": ParameterValue(parameter="lr"), "epochs": 3}),
    "data's place": changed(
        inputs=(InputSpec(name="images", source=Data(locations=(Location(datastore="e", path="q"),))),)
    ),
}


@pytest.mark.parametrize("step", SAME_STEPS.values(), ids=SAME_STEPS)
def test_key_does_not_vary_on_labels_and_places(step):
    assert key(step) == key()


def test_key_does_not_vary_on_a_parameter_that_the_step_does_not_use():
    assert key(values={"lr": 0.1, "unused": 2, "more": "x"}) == key()


def test_key_does_not_vary_on_the_absolute_path_of_a_hash_path():
    digest = "6" * 64
    assert key(hash_paths={"/home/a/lib": digest}) == key(hash_paths={"/home/b/lib": digest})


def test_key_does_not_vary_on_the_name_and_version_of_an_environment():
    labelled = EnvironmentSpec(name="a", version="3", pip=("pandas",), user_managed=False)
    assert key(environment=environment_document(labelled, "3.12")) == key()


def test_values_of_variables_are_not_in_the_key_document():
    environment = environment_document(EnvironmentSpec(variables={"TOKEN": "s3cret-value"}), "3.12")
    assert "s3cret-value" not in json.dumps(environment)


def test_a_value_that_becomes_the_same_text_gives_the_same_key():
    literal = changed(arguments=(STEP.arguments[0], (Text(text="0.1"),), *STEP.arguments[2:]))
    assert key(literal) == key()


texts = st.text(max_size=20)


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_different_arguments_never_share_a_key(one, other):
    first, second = (
        key(
            changed(arguments=tuple((Text(text=item),) for item in items), inputs=(), outputs=()),
            fingerprints={},
        )
        for items in (one, other)
    )
    assert (first == second) == (one == other)


@given(st.dictionaries(texts, texts, max_size=4), st.dictionaries(texts, texts, max_size=4))
def test_different_parameters_never_share_a_key(one, other):
    assert (key(changed(parameters=one)) == key(changed(parameters=other))) == (one == other)


@given(st.permutations(["a", "b", "c"]))
def test_key_does_not_vary_on_the_order_of_mappings(names):
    variables = {name: name.upper() for name in names}
    hash_paths = {name: name * 64 for name in names}
    environment = environment_document(EnvironmentSpec(variables=variables), "3.12")
    sorted_environment = environment_document(
        EnvironmentSpec(variables=dict(sorted(variables.items()))), "3.12"
    )
    assert key(hash_paths=hash_paths, environment=environment) == key(
        hash_paths=dict(sorted(hash_paths.items())), environment=sorted_environment
    )


def test_keys_are_what_they_have_always_been():
    """A key that changes with a release ends the reuse of everything made before: raise SCHEMA if it has to be."""
    keys = {"step": key(), **{name: key(step) for name, step in DIFFERENT_STEPS.items()}}
    assert keys == json.loads(GOLDEN.read_text())


def test_every_field_of_the_document_is_described():
    described = {name for name, inside, _ in FIELDS if inside}
    transfer = msgspec.structs.replace(STEP, kind="data_transfer", transfer=TransferSpec())
    spark = msgspec.structs.replace(STEP, kind="databricks", databricks=DatabricksSpec())
    documents = [key_document(step, **GIVEN) for step in (STEP, transfer, spark)]
    assert described == {name for document in documents for name in document}
