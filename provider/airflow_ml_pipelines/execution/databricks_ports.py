"""What a step on a Spark cluster is given: its widgets or arguments, with URLs for inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from airflow_ml_pipelines.core.databricks.urls import spark_url
from airflow_ml_pipelines.core.errors import DataError, DefinitionError
from airflow_ml_pipelines.core.keys.key import resolve_arguments, resolve_parameters
from airflow_ml_pipelines.core.spec import InputPath, OutputPath, Text
from airflow_ml_pipelines.core.steps.decide import StepContext
from airflow_ml_pipelines.core.steps.inputs import ResolvedInput
from airflow_ml_pipelines.core.stores.locations import split_url
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.execution.job import output_destination

__all__ = ["Given", "give"]


class Given(NamedTuple):
    """What a step is given.

    :param outputs: the URL of each output.
    :param stores: the URLs of the stores in which inputs and outputs lie, as the workspace has them.
    """

    widgets: dict[str, str]
    arguments: list[str]
    outputs: dict[str, str]
    stores: frozenset[str]


def give(context: StepContext, attempt: int, *, on_databricks: bool, shared: bool) -> Given:
    """Return what an attempt at a step is given.

    :param shared: whether the cluster sees this machine's folders.
    :raises DataError: where the cluster can't open an input or an output.
    :raises DefinitionError: where a parameter and an input or output are called the same.
    """
    step, values = context.step, context.run.parameters
    urls = _Urls(context.workspace, on_databricks=on_databricks, shared=shared)
    inputs, outputs = {}, {}
    for name, item in context.inputs.items():
        with _named(f"input {name!r} of step {step.name!r}"):
            inputs[name] = urls.of(*_location(item))
    for spec in step.outputs:
        with _named(f"output {spec.name!r} of step {step.name!r}"):
            outputs[spec.name] = urls.of(*output_destination(context, spec, attempt))
    ports = {**inputs, **outputs}
    if both := sorted(ports.keys() & step.parameters.keys()):
        raise DefinitionError(
            f"step {step.name!r}: {both[0]!r} is a parameter and an input or output too, and both are widgets: call one "
            "something else"
        )
    arguments: list[str] = []
    named: set[str | None] = set()
    for argument in resolve_arguments(step.arguments, values):
        used = [_port(part) for part in argument]
        named.update(used)
        texts = (
            part.text if isinstance(part, Text) else ports[str(name)]
            for part, name in zip(argument, used, strict=True)
        )
        arguments.append("".join(texts))
    for name, url in ports.items():
        if name not in named:
            arguments += [f"--{name}", url]
    return Given({**resolve_parameters(step, values), **ports}, arguments, outputs, frozenset(urls.stores))


class _Urls:
    def __init__(self, workspace: Workspace, *, on_databricks: bool, shared: bool) -> None:
        self._workspace = workspace
        self._on_databricks = on_databricks
        self._shared = shared
        self.stores: set[str] = set()

    def of(self, datastore: str | None, path: str) -> str:
        options: Mapping[str, Any] = {}
        if datastore is None and "://" in path:
            store, path = split_url(path)
        else:
            store = self._workspace.datastore_url(datastore)
            if store.startswith(("abfs", "az")):  # the account may stand in the connection
                options = self._workspace.store_options(store)
        self.stores.add(store)
        return spark_url(store, path, options, on_databricks=self._on_databricks, shared=self._shared)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{what}: {error}") from None


def _port(part: object) -> str | None:
    """Return the input or output that a part of an argument stands for, None where it is text."""
    if isinstance(part, InputPath):
        return part.input
    return part.output if isinstance(part, OutputPath) else None


def _location(item: ResolvedInput) -> tuple[str | None, str]:
    if item.tabular is not None and item.tabular.operations:
        raise DataError(
            "a table with operations (filter, columns …) is read by scripts of other steps alone: let the step read the "
            "files, and do the rest in Spark"
        )
    if len(item.data.locations) != 1:
        raise DataError(
            f"a step on a Spark cluster gets one URL for an input, and this one has {len(item.data.locations)} places: "
            "name one folder or pattern, or make several inputs of it"
        )
    (location,) = item.data.locations
    return location.datastore, location.path
