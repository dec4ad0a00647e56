"""Key documents: all that matters to what a step makes, and nothing else.

Two steps with equal key documents make the same outputs, so the second takes the first one's. What is in the document
and what is not, with the reasons, is :data:`FIELDS`; the documentation's table is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from airflow_ml_pipelines.core.canonical import canonical_json, digest_document
from airflow_ml_pipelines.core.parameters import argument_text
from airflow_ml_pipelines.core.spec import (
    Argument,
    DatabricksSpec,
    EnvironmentSpec,
    InputSpec,
    OutputSpec,
    ParameterValue,
    StepSpec,
    TabularFormat,
    Text,
    TransferSpec,
)

__all__ = ["FIELDS", "SCHEMA", "digest_key", "environment_document", "key_document", "resolve_arguments"]

SCHEMA = 1

FIELDS: tuple[tuple[str, bool, str], ...] = (
    ("schema", True, "a new meaning of the fields is a new key"),
    ("kind", True, "what runs the script"),
    ("script", True, "another script of the same folder does another thing"),
    (
        "source",
        True,
        "the snapshot: every file that is there when the script runs, by path, bytes and executable bit",
    ),
    ("hash_paths", True, "files and folders that the author adds to what matters"),
    ("arguments", True, "as the script gets them, parameter values filled in, data as placeholders"),
    ("parameters", True, "the values of `AML_PARAMETER_…` variables"),
    (
        "environment",
        True,
        "packages, Python version, the digest of its image, variables (their values as digests)",
    ),
    ("inputs", True, "names (the script sees them), modes, formats, and the fingerprint of each one's data"),
    (
        "outputs",
        True,
        "names, modes and, where the author fixed them, destinations: a step whose result must lie elsewhere has to put it there",
    ),
    ("version", True, "the author's own word that a step does something else now"),
    (
        "databricks",
        True,
        (
            "of a step on a Spark cluster: the content of its notebook (and of those that it runs by `%run`), script and "
            "JARs, its libraries, Spark version and configuration, variables and init scripts"
        ),
    ),
    ("transfer", True, "of a step that copies data: whether file or folder, and the table it goes to"),
    (
        "pipeline and step name",
        False,
        "the same work under another name is the same work: pipelines share results",
    ),
    ("compute target", False, "where a script runs does not change what it makes"),
    ("size of a Spark cluster, its id, the run's name", False, "they change how soon, not what"),
    ("run id, experiment, description, tags", False, "labels"),
    ("retries, time-outs, pools, schedule", False, "when and how often, not what"),
    ("git commit", False, "the snapshot has the files themselves"),
    ("parameters that the step does not use", False, "the arguments have those that it does"),
    ("dataset registration of outputs", False, "a reused output is registered just the same"),
    (
        "modification times, owners, absolute paths, separators, machine",
        False,
        "they differ between checkouts of the same files",
    ),
    (
        "files that the ignore file names, `.git`, `__pycache__`, virtual environments",
        False,
        "they are not there when the script runs",
    ),
)
"""Every field: its name, whether it is in the key, and why."""


def key_document(
    step: StepSpec,
    *,
    source: str,
    hash_paths: Mapping[str, str],
    values: Mapping[str, Any],
    environment: Mapping[str, Any],
    fingerprints: Mapping[str, Mapping[str, Any]],
    formats: Mapping[str, tuple[str, TabularFormat | None]],
    code: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the key document of a step.

    :param source: the digest of its snapshot.
    :param hash_paths: the digest of each of its ``hash_paths``.
    :param values: the run's value of every pipeline parameter.
    :param environment: see :func:`environment_document`.
    :param fingerprints: of each input's data.
    :param formats: each input's form and table format.
    :param code: the digest of what it runs that lies elsewhere.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": step.kind,
        "script": step.script,
        "source": source,
        "hash_paths": sorted([_label(path), digest] for path, digest in hash_paths.items()),
        "arguments": [
            [
                {"text": part.text} if isinstance(part, Text) else msgspec.to_builtins(part)
                for part in argument
            ]
            for argument in resolve_arguments(step.arguments, values)
        ],
        "parameters": resolve_parameters(step, values),
        "environment": dict(environment),
        "inputs": {
            item.name: _input(item, fingerprints[item.name], *formats[item.name]) for item in step.inputs
        },
        "outputs": {item.name: _output(item) for item in step.outputs},
        "version": step.version,
    }
    if step.transfer is not None:
        document["transfer"] = _transfer(step.transfer)
    if step.databricks is not None:
        # the planner's Python is none that such a step sees
        document["environment"] = {}
        document["databricks"] = _databricks(step.databricks, code or {})
    return document


def digest_key(document: Mapping[str, Any]) -> str:
    """Return the key: the digest of a key document."""
    return digest_document("ml-pipelines/key/1", document)


def resolve_arguments(arguments: tuple[Argument, ...], values: Mapping[str, Any]) -> tuple[Argument, ...]:
    """Return arguments with parameter values filled in and texts that touch put together."""
    resolved = []
    for argument in arguments:
        parts: list[Any] = []
        for item in argument:
            part = (
                Text(text=argument_text(values[item.parameter])) if isinstance(item, ParameterValue) else item
            )
            if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
                parts[-1] = Text(text=parts[-1].text + part.text)
            else:
                parts.append(part)
        resolved.append(tuple(parts))
    return tuple(resolved)


def resolve_parameters(step: StepSpec, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a step's own parameters as the script gets them."""
    return {
        name: argument_text(values[value.parameter] if isinstance(value, ParameterValue) else value)
        for name, value in step.parameters.items()
    }


def environment_document(environment: EnvironmentSpec, python: str) -> dict[str, Any]:
    """Return what of an environment is in the key.

    :param python: the version that is used where the environment asks for none, such as ``3.12``.
    """
    document: dict[str, Any] = msgspec.to_builtins(environment)
    for label in ("name", "version"):
        document.pop(label, None)
    if environment.image is not None:  # the same image is the same by whatever name
        document["image"] = environment.image.rpartition("@")[2]
    variables = document.pop("variables", None)
    if variables:  # values may be secret
        document["variables"] = _digests(variables)
    if environment.interpreter == "python" or not environment.user_managed:
        document.setdefault("python", python)
    return document


def _transfer(spec: TransferSpec) -> dict[str, Any]:
    """Return what of a transfer is in the key: not in how many parts it is done, nor what becomes of other files."""
    fields = ("source_type", "destination_type", "database", "table")
    return {name: value for name in fields if (value := getattr(spec, name)) is not None}


def _databricks(spec: DatabricksSpec, code: Mapping[str, str]) -> dict[str, Any]:
    """Return what of a step on a Spark cluster is in the key: what runs, not where nor on how many machines."""
    document: dict[str, Any] = {"form": spec.form, **code}
    for name in ("main_class", "spark_conf", "init_scripts"):
        if value := getattr(spec, name):
            document[name] = value
    if spec.spark_env_variables:  # values may be secret
        document["spark_env_variables"] = _digests(spec.spark_env_variables)
    packages = [item for item in spec.libraries if not item.keys() & {"jar", "egg", "whl"}]
    if packages:
        document["libraries"] = sorted(packages, key=canonical_json)
    return document


def _digests(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: digest_document("ml-pipelines/variable/1", value)[:16] for name, value in variables.items()}


def _label(path: str) -> str:
    pure = PurePosixPath(path.replace("\\", "/"))
    return pure.name if pure.is_absolute() or ":" in path[:3] else str(pure)


def _input(
    item: InputSpec, fingerprint: Mapping[str, Any], form: str, tabular: TabularFormat | None
) -> dict[str, Any]:
    document: dict[str, Any] = {"mode": item.mode, "form": form, "data": dict(fingerprint)}
    if item.path_on_compute is not None:
        document["path_on_compute"] = item.path_on_compute
    if tabular is not None:
        document["tabular"] = msgspec.to_builtins(tabular)
    return document


def _output(item: OutputSpec) -> dict[str, Any]:
    document: dict[str, Any] = {"mode": item.mode, "create": item.create}
    if item.path is not None:
        document["destination"] = [item.datastore, item.path]
    elif item.datastore is not None:
        document["datastore"] = item.datastore
    if item.source is not None:
        document["source"] = item.source
    if item.globs:
        document["globs"] = sorted(item.globs)
    return document
