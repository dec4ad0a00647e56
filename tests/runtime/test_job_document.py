import json
from pathlib import Path

import jsonschema
import pytest

from airflow_ml_pipelines.core.errors import DocumentError, NewerDocumentError
from airflow_ml_pipelines.core.files.manifest import Entry, Manifest
from airflow_ml_pipelines.runtime import job as module
from airflow_ml_pipelines.runtime.job import Job
from airflow_ml_pipelines.runtime.result import JobResult

SCHEMA = json.loads(Path(module.__file__).with_name("job.schema.json").read_text())


@pytest.fixture
def full(bench):
    return bench.job(
        "pass",
        arguments=(({"text": "--x"},), ({"text": "a"}, {"input": "i"}, {"output": "o"})),
        variables={"A": "1"},
        parameters={"p": "1"},
        pipeline_parameters={"q": 1, "r": None},
        inputs={"i": bench.input("y", "*.csv", mode="direct", form="folder", tabular={"separator": ","})},
        outputs={"o": bench.output("z", mode="upload", globs=("*.txt",))},
        tags={"t": "v"},
        timeout=3.5,
        git={"azureml.git.commit": "abc"},
    )


def changed(document, path, value):
    """Return a copy of a document with another value somewhere."""
    document = json.loads(json.dumps(document))
    *folders, last = path.split("/")
    place = document
    for name in folders:
        place = place[int(name) if isinstance(place, list) else name]
    place[int(last) if isinstance(place, list) else last] = value
    return document


def test_a_job_is_what_the_schema_says(full, bench):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for job in (full, bench.job("pass")):
        jsonschema.validate(json.loads(json.dumps(job.to_dict())), SCHEMA)


def test_the_schema_names_every_field(full):
    document = full.to_dict()
    assert set(SCHEMA["properties"]) == set(document)
    for part in ("run", "workspace", "source"):
        assert set(SCHEMA["properties"][part]["properties"]) == set(document[part])
    for part, name in (("inputs", "i"), ("outputs", "o")):
        assert set(SCHEMA["properties"][part]["additionalProperties"]["properties"]) == set(
            document[part][name]
        )


def test_a_job_is_read_as_it_was_written(full):
    assert Job.from_dict(json.loads(json.dumps(full.to_dict()))) == full


def test_what_has_a_default_may_be_missing(full):
    document = full.to_dict()
    for name in ("timeout", "tags", "outputs", "arguments"):
        document.pop(name)
    job = Job.from_dict(document)
    assert (job.timeout, job.tags, job.outputs, job.arguments) == (None, {}, {}, ())


WRONG = [
    ("folder", 3, r"expected text at \$\.folder, found 3"),
    ("extra", 1, r"there is no field 'extra' at \$\."),
    ("run/attempt", "1", r"expected a whole number at \$\.run\.attempt, found '1'"),
    ("run/attempt", True, r"expected a whole number at \$\.run\.attempt, found True"),
    ("run", {}, r"the field \$\.run\.workspace is missing"),
    ("source", "x", r"expected an object at \$\.source, found 'x'"),
    (
        "inputs/i/mode",
        "moun",
        r"expected one of 'mount', 'download', 'direct' at \$\.inputs\.i\.mode, found 'moun'",
    ),
    ("inputs/i/locations", {}, r"expected a list at \$\.inputs\.i\.locations"),
    ("inputs/i/locations/1", {"path": "a"}, r"expected 'store' and 'path' at \$\.inputs\.i\.locations\[1\]"),
    ("inputs/i/locations/1/path", "../a", r"\$\.inputs\.i\.locations\[1\]\.path: .* would leave the store"),
    ("outputs/o/path", "/etc/passwd", r"\$\.outputs\.o\.path: '/etc/passwd' is not a path in a store"),
    ("outputs/o/overwrite", "yes", r"expected true or false at \$\.outputs\.o\.overwrite, found 'yes'"),
    ("outputs/o/globs", "*", r"expected a list at \$\.outputs\.o\.globs"),
    ("source/script", "../../x.py", r"\$\.source\.script: .* would leave"),
    ("arguments/0/0", {"file": "x"}, r"expected one of 'text', 'input', 'output' at \$\.arguments\[0\]\[0\]"),
    ("arguments/1/1/input", "j", r"there is no input 'j', as \$\.arguments\[1\]\[1\] says\. There are: i"),
    ("variables", {"A": 1}, r"expected text at \$\.variables\.A, found 1"),
    ("variables", {"A=B": "1"}, r"expected a name at \$\.variables, found 'A=B'"),
    ("timeout", 0, r"expected a number above 0 at \$\.timeout"),
    ("timeout", "1", r"expected a number at \$\.timeout, found '1'"),
    ("schema", "1", r"expected a whole number at \$\.schema, found '1'"),
    ("tags", None, r"expected an object at \$\.tags, found None"),
]


@pytest.mark.parametrize(("path", "value", "text"), WRONG, ids=[f"{p}={v}" for p, v, _ in WRONG])
def test_what_is_wrong_with_a_job_is_named(full, path, value, text):
    with pytest.raises(DocumentError, match=text):
        Job.from_dict(changed(full.to_dict(), path, value))


@pytest.mark.parametrize(
    ("path", "value"), [(p, v) for p, v, _ in WRONG if p != "variables" and v != "j"], ids=str
)
def test_the_schema_refuses_it_too(full, path, value):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(full.to_dict(), path, value), SCHEMA)


@pytest.mark.parametrize("value", [[], "job", None, 1])
def test_what_is_no_object_is_no_job(value):
    with pytest.raises(DocumentError, match="expected an object"):
        Job.from_dict(value)


def test_a_newer_job_is_refused_as_newer(full):
    with pytest.raises(NewerDocumentError, match="has schema 2"):
        Job.from_dict(changed(full.to_dict(), "schema", 2))


def test_a_job_does_not_show_its_variables(full):
    assert "'A'" not in repr(full)


def test_a_result_is_read_as_it_was_written():
    manifest = Manifest.of([Entry("a", 1, "0" * 64, version="v1")])
    result = JobResult(
        status="finished",
        exit_code=0,
        error=None,
        started=1.0,
        finished=2.5,
        outputs={"o": manifest},
        files=("logs/x",),
    )
    again = JobResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert again == result
    assert again.outputs["o"].entries[0].version == "v1"


def test_a_result_with_a_damaged_manifest_is_refused():
    document = JobResult(
        status="finished", exit_code=0, error=None, started=1.0, finished=2.5, outputs={"o": Manifest(())}
    ).to_dict()
    with pytest.raises(DocumentError, match=r"result: at \$\.outputs: a damaged manifest"):
        JobResult.from_dict(changed(document, "outputs/o/digest", "1" * 64))
