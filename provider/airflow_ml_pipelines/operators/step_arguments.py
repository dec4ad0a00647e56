"""Makes a step from what an operator of a hand-written DAG is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from airflow_ml_pipelines._airflow import has_secret
from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import DefinitionError, did_you_mean
from airflow_ml_pipelines.core.parameters import argument_text
from airflow_ml_pipelines.core.spec import (
    Argument,
    Data,
    InputPath,
    InputSpec,
    Location,
    OutputPath,
    OutputSpec,
    RegisteredDataset,
    StepOutput,
    StepSpec,
    Text,
)

__all__ = [
    "GivenArguments",
    "InputSource",
    "OutputReference",
    "check_arguments",
    "check_told",
    "digest_step",
    "make_arguments",
    "make_inputs",
    "make_outputs",
    "refuse_secrets",
]

GivenArguments = Sequence[str | InputPath | OutputPath | Sequence[str | InputPath | OutputPath]]
"""Arguments of a script: texts, places of inputs and outputs, or tuples of these that make up one argument."""


@dataclass(frozen=True)
class OutputReference:
    """An output of a task that comes before.

    :param operator: the task's operator.
    :param step: the id of its step.
    """

    operator: Any
    step: str
    output: str


InputSource = OutputReference | Data | RegisteredDataset | StepOutput | InputSpec | str | Path


def check_told(task_id: Any, step: object, words: str, given: bool) -> None:
    """Check that an operator is told its step in one of the two ways: as a step of a plan, or in words of its own.

    :param words: which arguments make up the step where it is no step of a plan.
    :param given: whether one of them is.
    :raises DefinitionError: where it is told in both ways, or in none.
    """
    if (step is None) != given:
        raise DefinitionError(
            f"task {task_id!r}: give either step (with pipeline, where a PlanOperator comes before) or {words}"
        )


def make_inputs(given: Mapping[str, InputSource]) -> tuple[InputSpec, ...]:
    """Return the inputs of a step.

    :raises DefinitionError: where one is given as something else than data.
    """
    return tuple(_input(name, source) for name, source in given.items())


def _input(name: str, source: InputSource) -> InputSpec:
    if isinstance(source, InputSpec):
        return msgspec.structs.replace(source, name=name)
    if isinstance(source, OutputReference):
        return InputSpec(name=name, source=StepOutput(step=source.step, output=source.output))
    if isinstance(source, Data | RegisteredDataset | StepOutput):
        return InputSpec(name=name, source=source)
    if isinstance(source, str | Path):
        text = str(source)
        path = Path(text).as_uri() if "://" not in text and Path(text).is_absolute() else text
        return InputSpec(name=name, source=Data(locations=(Location(path=path),)))
    raise DefinitionError(
        f"input {name!r}: expected an output of another task, Data, a RegisteredDataset, a URL or an InputSpec, "
        f"found {source!r} ({type(source).__name__})"
    )


def make_outputs(given: Sequence[str | OutputSpec]) -> tuple[OutputSpec, ...]:
    """Return the outputs of a step.

    :raises DefinitionError: where one is given as something else, or two have one name.
    """
    if isinstance(given, str):
        raise DefinitionError(f"outputs: expected a list of names or OutputSpecs, found the text {given!r}")
    made: dict[str, OutputSpec] = {}
    for item in given:
        if not isinstance(item, str | OutputSpec):
            raise DefinitionError(
                f"outputs: expected names or OutputSpecs, found {item!r} ({type(item).__name__})"
            )
        spec = OutputSpec(name=item) if isinstance(item, str) else item
        if spec.name in made:
            raise DefinitionError(f"outputs: two are named {spec.name!r}")
        made[spec.name] = spec
    return tuple(made.values())


def check_arguments(given: GivenArguments, task_id: str) -> list[Any]:
    """Return arguments as a list. :raises DefinitionError: where they are one text."""
    if isinstance(given, str):
        raise DefinitionError(
            f"task {task_id!r}: arguments: expected a list, one item an argument, found the text {given!r}"
        )
    return list(given)


def make_arguments(given: Sequence[Any], step: StepSpec) -> tuple[Argument, ...]:
    """Return the arguments of a step's script, after templates were filled in.

    :raises DefinitionError: where one is no text, number or place, or names an input or output that does not exist.
    """
    return tuple(
        tuple(_segment(part, number, step) for part in (item if isinstance(item, tuple | list) else (item,)))
        for number, item in enumerate(given, 1)
    )


def _segment(part: Any, number: int, step: StepSpec) -> Text | InputPath | OutputPath:
    if isinstance(part, str | int | float):
        return Text(text=argument_text(part))
    if isinstance(part, Text):
        return part
    if isinstance(part, InputPath):
        _check_name(part.input, "input", [item.name for item in step.inputs], number)
        return part
    if isinstance(part, OutputPath):
        _check_name(part.output, "output", [item.name for item in step.outputs], number)
        return part
    raise DefinitionError(
        f"argument {number}: expected text, a number, an InputPath or an OutputPath, "
        f"found {part!r} ({type(part).__name__})"
    )


def _check_name(name: str, kind: str, known: Sequence[str], number: int) -> None:
    if name not in known:
        raise DefinitionError(f"argument {number}: there is no {kind} {name!r}.{did_you_mean(name, known)}")


def refuse_secrets(
    task_id: str, arguments: Sequence[Any], values: Mapping[str, Any], *, called: str, instead: str
) -> None:
    """Refuse what would be kept with the run, and has a secret in it, after templates were filled in.

    :param values: texts by their names, and ``called`` what such a one is called.
    :param instead: how a secret is given.
    :raises DefinitionError: that names it.
    """
    texts = [
        (f"argument {place}", part)
        for place, argument in enumerate(arguments, 1)
        for part in (argument if isinstance(argument, tuple | list) else (argument,))
    ]
    texts += [(f"{called} {name!r}", value) for name, value in values.items()]
    for what, text in texts:
        if isinstance(text, str) and has_secret(text):
            raise DefinitionError(
                f"task {task_id!r}: {what} has a secret in it, which would be kept with the run: {instead}"
            )


def digest_step(step: StepSpec, *templates: Any) -> str:
    """Return the digest of a step's definition.

    :param templates: what is filled in later.
    """
    plain = [msgspec.to_builtins(item, enc_hook=lambda value: type(value).__name__) for item in templates]
    return digest_document("ml-pipelines/step/1", [msgspec.to_builtins(step), plain])
