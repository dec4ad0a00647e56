"""The page of a DAG: what a pipeline is for, its graph, its parameters, its steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.parameters import read_data
from airflow_ml_pipelines.core.spec import DEFAULT_ENVIRONMENT, EnvironmentSpec, StepOutput
from airflow_ml_pipelines.core.stores.credentials import looks_secret, mask_url
from dag_factory.dags.markdown import closed, code, fence, plain, table
from dag_factory.graphs.graph import graph_of, source_text
from dag_factory.graphs.mermaid import mermaid

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import InputSpec, OutputSpec, ParameterSpec, PipelineSpec, StepSpec

__all__ = ["doc_page"]


def doc_page(spec: PipelineSpec, doc: str | None = None) -> str:
    """Return the page as Markdown. It follows from the pipeline alone: no time, no path of this machine, no secret.

    :param doc: Markdown that its author wrote for the page, in place of the description.
    """
    return "\n\n".join(_parts(spec, doc)) + "\n"


def _parts(spec: PipelineSpec, doc: str | None) -> Iterator[str]:
    if doc and doc.strip():
        yield closed(doc)
    elif spec.description:
        yield from (plain(part) for part in spec.description.split("\n\n") if part.strip())
    if spec.steps:
        yield "## Graph"
        yield fence(mermaid(graph_of(spec)), "mermaid")
    if spec.parameters:
        yield "## Parameters"
        columns = ("parameter", "type", "default", "allowed", "description")
        yield table(columns, [_parameter(parameter) for parameter in spec.parameters])
    if spec.steps:
        yield "## Steps"
        names = {step.id: step.name for step in spec.steps}
        head = ("step", "script", "inputs", "outputs", "compute target", "environment")
        yield table(head, [_step(step, names) for step in spec.steps])


def _parameter(parameter: ParameterSpec) -> tuple[str, ...]:
    if parameter.required:
        default = "must be given"
    elif parameter.default is None:
        default = ""
    elif looks_secret(parameter.name):
        default = code("***")
    else:
        default = code(_data(parameter.default) if parameter.type == "data" else _value(parameter.default))
    allowed = ", ".join(code(_value(value)) for value in parameter.enum)
    if not allowed:
        bounds = (("≥", parameter.minimum), ("≤", parameter.maximum))
        allowed = ", ".join(f"{sign} {_value(bound)}" for sign, bound in bounds if bound is not None)
    return code(parameter.name), parameter.type, default, allowed, plain(parameter.description or "")


def _step(step: StepSpec, names: dict[str, str]) -> tuple[str, ...]:
    title = plain(step.name) + ("" if step.allow_reuse else " (always runs)")
    folder = step.source_directory.rstrip("/")
    is_relative = folder not in ("", ".") and not folder.startswith("/")
    return (
        title,
        _work(step) if step.transfer else code(f"{folder}/{step.script}" if is_relative else step.script),
        ", ".join(_input(item, names) for item in step.inputs),
        ", ".join(_output(item) for item in step.outputs),
        code(step.compute_target) if step.compute_target else "the workspace's default",
        _environment(step.environment),
    )


def _work(step: StepSpec) -> str:
    transfer, (output,) = step.transfer, step.outputs
    if transfer is not None and transfer.table is not None:
        return f"copies to table {code(transfer.table)} of {code(str(transfer.database))}"
    if output.path is None:
        return "copies"
    store = "the default datastore" if output.datastore is None else code(output.datastore)
    return f"copies to {code(output.path or '/')} on {store}"


def _input(item: InputSpec, names: dict[str, str]) -> str:
    if isinstance(item.source, StepOutput):
        return f"{code(item.source.output)} of {plain(names[item.source.step])}"
    kind, text = source_text(item.source)
    return f"{code(item.name)}: {kind} {code(text)}"


def _output(item: OutputSpec) -> str:
    return code(item.name) + (f" → dataset {code(item.register.name)}" if item.register else "")


def _environment(environment: EnvironmentSpec | str) -> str:
    if isinstance(environment, str):
        return code(environment)
    if environment == DEFAULT_ENVIRONMENT:
        return "the worker's own"
    if environment.name:
        return code(environment.name)
    packages = len(environment.pip) + len(environment.conda)
    parts = [f"Python {plain(environment.python)}"] if environment.python else []
    parts += [f"{packages} package{'' if packages == 1 else 's'}"] if packages else []
    return ", ".join(parts) or "its own"


def _data(default: Any) -> str:
    return " ".join(source_text(read_data(default)))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return mask_url(str(value)) if not isinstance(value, float) else repr(value).removesuffix(".0")
