"""Assembles steps into a pipeline: finds those that belong to it, their order, and what runs know of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.spec import PLAN_TASK
from dag_factory._check import kind_of
from dag_factory.calls import Call, failure, refuse
from dag_factory.ports.parameter import PipelineParameter
from dag_factory.ports.port import Produced, origin_of
from dag_factory.resolve.transfer import shards_problem
from dag_factory.steps.source_folders import choose_base, relative_source
from dag_factory.steps.step import PipelineStep

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import InputSpec, OutputSpec, ParameterSpec, PipelineSpec, StepSpec
    from dag_factory.ports.port import InputPort

__all__ = ["Assembly", "StepSequence", "assemble"]

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST = 150


class StepSequence:
    """Steps that run one after the other.

    :param steps: steps, lists of steps that may run at once, or other sequences.
    """

    def __init__(self, steps: Sequence[Any] | None = None) -> None:
        if steps is not None and not isinstance(steps, list | tuple):
            raise TypeError(f"StepSequence(steps=…): expected a list of steps, found {kind_of(steps)}")
        self.steps = list(steps or ())

    def __repr__(self) -> str:
        return f"StepSequence({self.steps!r})"

    def __iter__(self) -> Iterator[Any]:
        return iter(self.steps)


class Assembly:
    """The steps of a pipeline, in an order in which each comes after those that it needs.

    :param ids: the id of each step.
    :param spec: what runs know of the pipeline.
    """

    def __init__(
        self, steps: Sequence[PipelineStep], ids: dict[PipelineStep, str], spec: PipelineSpec
    ) -> None:
        self.steps = tuple(steps)
        self.ids = ids
        self.spec = spec


def assemble(
    name: str,
    items: Any,
    *,
    description: str | None = None,
    default_datastore: str | None = None,
    source_directory: str | None = None,
    resolve_closure: bool = True,
    bases: Sequence[Path] = (),
) -> Assembly:
    """Return a pipeline made of steps.

    :param items: steps, outputs (which stand for the steps that make them), lists and sequences of these.
    :param source_directory: of the steps that name none.
    :param resolve_closure: whether steps that others need belong to it even where they are not listed.
    :param bases: what relative source directories may be relative to; the first that has the scripts is taken.
    :raises TypeError: where something in a list is no step.
    :raises DefinitionError: for a cycle, an output that two steps make or none, a missing script, or parameters of
        one name that differ.
    """
    from airflow_ml_pipelines.core.spec import PipelineSpec

    after: dict[PipelineStep, set[PipelineStep]] = {}
    listed = list(dict.fromkeys(_flatten(items, after)))
    if not listed:
        raise DefinitionError("Pipeline(steps=…): expected at least one step, found none")
    members = _close(listed, after) if resolve_closure else listed
    problems: list[tuple[Call | None, str]] = []
    base = choose_base(members, source_directory, bases, problems)
    _check_producers(members, problems)
    _check_parameters(members, problems)
    refuse(problems)
    needs = {step: _needs(step, members, after) for step in members}
    steps = _sort(members, needs)
    ids = _name(steps)
    specs = tuple(
        _step_spec(
            step,
            ids,
            source=relative_source(step, source_directory, base),
            after=tuple(sorted(ids[other] for other in needs[step].difference(_producers(step)))),
        )
        for step in steps
    )
    _check_destinations(steps, specs)
    spec = PipelineSpec(
        name=name,
        steps=specs,
        parameters=_parameters(steps),
        description=description,
        default_datastore=default_datastore,
        base_directory=str(base),
    )
    return Assembly(steps, ids, spec)


# --- which steps, in which order ---------------------------------------------------------------------------------


def _flatten(item: Any, after: dict[PipelineStep, set[PipelineStep]]) -> list[PipelineStep]:
    """Return the steps in an item, and note what sequences say about their order."""
    if isinstance(item, PipelineStep):
        return [item]
    origin = origin_of(item)
    if origin is not None:
        producer = origin.producer
        if producer is None:
            raise DefinitionError(f"Pipeline(steps=…): {item!r} is made by no step")
        return [producer]
    if isinstance(item, StepSequence):
        found: list[PipelineStep] = []
        before: list[PipelineStep] = []
        for part in item:
            group = _flatten(part, after)
            for step in group:
                after.setdefault(step, set()).update(other for other in before if other is not step)
            found += group
            before = group or before
        return found
    if isinstance(item, list | tuple):
        return [step for part in item for step in _flatten(part, after)]
    raise TypeError(
        f"Pipeline(steps=…): expected a step, a list of steps or a StepSequence, found {kind_of(item)}"
    )


def _producers(step: PipelineStep) -> list[PipelineStep]:
    sources = (port.source for port in step.ports.inputs.values())
    makers = (source.producer for source in sources if isinstance(source, Produced))
    return [maker for maker in makers if maker is not None]


def _close(
    listed: Sequence[PipelineStep], after: dict[PipelineStep, set[PipelineStep]]
) -> list[PipelineStep]:
    """Return the listed steps and all that they need, directly or not."""
    members = dict.fromkeys(listed)
    queue = list(listed)
    while queue:
        step = queue.pop(0)
        needed = [*step.predecessors, *after.get(step, ()), *_producers(step)]
        for other in needed:
            if other not in members:
                members[other] = None
                queue.append(other)
    return list(members)


def _check_producers(members: Sequence[PipelineStep], problems: list[tuple[Call | None, str]]) -> None:
    makers: dict[int, PipelineStep] = {}
    for step in members:
        for name, output in step.ports.outputs.items():
            other = makers.setdefault(id(output), step)
            if other is not step:
                message = (
                    f"steps {other.name!r} and {step.name!r} both make the output {name!r}: give each one of its own, "
                    "or let one of them read it with .as_input()"
                )
                problems.append((step.made_at, message))
    for step in members:
        for name, port in step.ports.inputs.items():
            if isinstance(port.source, Produced) and id(port.source) not in makers:
                message = (
                    f"step {step.name!r}: input {name!r} reads {port.source!r}, which no step of the pipeline makes: "
                    "put it into a step's arguments or outputs, and that step into the pipeline"
                )
                problems.append((step.made_at, message))


def _needs(
    step: PipelineStep, members: Sequence[PipelineStep], after: dict[PipelineStep, set[PipelineStep]]
) -> set[PipelineStep]:
    return {*_producers(step), *step.predecessors, *after.get(step, ())}.intersection(members)


def _sort(
    members: Sequence[PipelineStep], needs: dict[PipelineStep, set[PipelineStep]]
) -> list[PipelineStep]:
    """Return the steps in the order in which they were listed, as far as each comes after what it needs."""
    done: dict[PipelineStep, None] = {}
    left = list(members)
    while left:
        ready = next((step for step in left if needs[step] <= done.keys()), None)
        if ready is None:
            message = f"the steps form a cycle: {_cycle(left, needs)}: take one of these edges out"
            raise failure([(left[0].made_at, message)])
        left.remove(ready)
        done[ready] = None
    return list(done)


def _cycle(left: Sequence[PipelineStep], needs: dict[PipelineStep, set[PipelineStep]]) -> str:
    path = [left[0]]
    while True:
        step = next(other for other in left if other in needs[path[-1]])
        if step in path:
            loop = [*path[path.index(step) :], step]
            return " → ".join(repr(item.name) for item in reversed(loop))
        path.append(step)


def _name(steps: Iterable[PipelineStep]) -> dict[PipelineStep, str]:
    """Return an id for each step, made of its name."""
    ids: dict[PipelineStep, str] = {}
    taken = {PLAN_TASK}
    for step in steps:
        stem = _UNSAFE.sub("_", step.name.removesuffix(".py")).strip("_-")[:_LONGEST] or "step"
        name, number = stem, 1
        while name.lower() in taken:  # file systems that don't tell case apart hold them too
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.lower())
        ids[step] = name
    return ids


# --- what runs know ----------------------------------------------------------------------------------------------


def _parameters(steps: Sequence[PipelineStep]) -> tuple[ParameterSpec, ...]:
    specs = (parameter.to_spec() for step in steps for parameter in _used(step))
    return tuple({spec.name: spec for spec in specs}.values())


def _check_parameters(members: Sequence[PipelineStep], problems: list[tuple[Call | None, str]]) -> None:
    found: dict[str, tuple[ParameterSpec, PipelineStep]] = {}
    for step in members:
        for parameter in _used(step):
            spec = parameter.to_spec()
            known, other = found.setdefault(spec.name, (spec, step))
            if known != spec:
                message = (
                    f"pipeline parameter {spec.name!r} is {_brief(known)} in step {other.name!r} and {_brief(spec)} in "
                    f"step {step.name!r}: use one PipelineParameter in both"
                )
                problems.append((parameter.made_at, message))
    for step in members:
        for name, value in step.params.items():
            if (
                step.params_are_variables
                and name in found
                and not (isinstance(value, PipelineParameter) and value.name == name)
            ):
                message = (
                    f"step {step.name!r}: params has {name!r}, which is a pipeline parameter as well: "
                    "give one of them another name"
                )
                problems.append((step.made_at, message))


def _used(step: PipelineStep) -> Iterator[PipelineParameter]:
    for item in (*step.ports.arguments, *step.params.values()):
        if isinstance(item, PipelineParameter):
            yield item
    for port in step.ports.inputs.values():
        if isinstance(port.source, PipelineParameter):
            yield port.source


def _brief(spec: ParameterSpec) -> str:
    return f"{spec.default!r} ({spec.type})"


def _step_spec(
    step: PipelineStep, ids: dict[PipelineStep, str], *, source: str, after: tuple[str, ...]
) -> StepSpec:
    from airflow_ml_pipelines.core.spec import StepSpec

    fields = step.spec_fields()
    on_spark = "databricks" in fields
    outputs = tuple(_output(name, output, on_spark=on_spark) for name, output in step.ports.outputs.items())
    spec = StepSpec(
        id=ids[step],
        name=step.name,
        source_directory=source,
        arguments=tuple(_argument(item) for item in step.ports.arguments),
        parameters={name: _value(value) for name, value in step.params.items()},
        inputs=tuple(_input(name, port, ids, on_spark=on_spark) for name, port in step.ports.inputs.items()),
        outputs=tuple(map(_place_only, outputs)) if "transfer" in fields else outputs,
        after=after,
        **fields,
    )
    if problem := shards_problem(spec):
        raise failure([(step.made_at, f"step {step.name!r}, shards: {problem}")])
    return spec


def _place_only(output: OutputSpec) -> OutputSpec:
    """Return an output that no script writes."""
    from airflow_ml_pipelines.core.spec import OutputSpec

    fields = ("name", "datastore", "path", "register", "pipeline_output", "tabular")
    return OutputSpec(**{name: getattr(output, name) for name in fields})


def _check_destinations(steps: Sequence[PipelineStep], specs: Iterable[StepSpec]) -> None:
    """Refuse outputs that would lie at the place of others, or in them."""
    taken: list[tuple[str | None, str, str, str]] = []
    problems: list[tuple[Call | None, str]] = []
    for step, spec in zip(steps, specs, strict=True):
        for output in spec.outputs:
            if output.path is None:
                continue
            place = output.path.replace("{output-name}", output.name).replace("{run-id}", f"{{{spec.id}}}")
            for store, other, step_name, name in taken:
                one, two = f"{place}/", f"{other}/"
                if store == output.datastore and (one.startswith(two) or two.startswith(one)):
                    message = (
                        f"output {output.name!r} of step {spec.name!r} is written to {output.path!r}, where output "
                        f"{name!r} of step {step_name!r} is written too: give each a place of its own, "
                        "or {run-id} in the path"
                    )
                    problems.append((step.ports.outputs[output.name].made_at, message))
            taken.append((output.datastore, place, spec.name, output.name))
    refuse(problems)


def _value(value: Any) -> Any:
    from airflow_ml_pipelines.core.spec import ParameterValue

    return ParameterValue(parameter=value.name) if isinstance(value, PipelineParameter) else value


def _argument(item: Any) -> tuple[Any, ...]:
    from airflow_ml_pipelines.core.spec import InputPath, OutputPath, ParameterValue, Text

    if isinstance(item, PipelineParameter):
        return (ParameterValue(parameter=item.name),)
    if isinstance(item, tuple):
        kind, name = item
        return (InputPath(input=name) if kind == "input" else OutputPath(output=name),)
    return (Text(text=item),)


def _input(name: str, port: InputPort, ids: dict[PipelineStep, str], *, on_spark: bool) -> InputSpec:
    from airflow_ml_pipelines.core.spec import DataParameter, InputSpec, StepOutput, spark_input

    source: Any = port.source
    if isinstance(source, PipelineParameter):
        source = DataParameter(parameter=source.name)
    elif isinstance(source, Produced):
        assert source.producer is not None
        made = source.producer.ports.outputs
        source = StepOutput(
            step=ids[source.producer], output=next(key for key in made if made[key] is source)
        )
    spec = InputSpec(
        name=name,
        source=source,
        mode=port.mode,
        path_on_compute=port.path_on_compute,
        overwrite=port.overwrite,
        fingerprint=port.fingerprint,
    )
    return spark_input(spec) if on_spark else spec


def _output(name: str, output: Any, *, on_spark: bool) -> OutputSpec:
    from airflow_ml_pipelines.core.spec import spark_output

    spec: OutputSpec = output.to_spec(name)
    return spark_output(spec) if on_spark else spec
