"""Turns what a step reads and writes, and the arguments that name it, into specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from airflow_ml_pipelines.core.errors import did_you_mean
from airflow_ml_pipelines.core.spec import (
    Argument,
    Data,
    DataParameter,
    InputPath,
    InputSpec,
    OutputPath,
    OutputSpec,
    ParameterSpec,
    ParameterValue,
    RegisterSpec,
    Segment,
    Source,
    StepOutput,
    Text,
)
from airflow_ml_pipelines.written.problems import Path, Problem
from dag_factory.resolve.bindings import Binding, BindingError, parse
from dag_factory.resolve.data import check_partitions, resolve_data, tabular_format
from dag_factory.resolve.tables import check_table, select_all

if TYPE_CHECKING:
    from dag_factory.models.data import InputDefinition, OutputDefinition
    from dag_factory.models.pipeline import PipelineModel
    from dag_factory.models.step import StepDefinition
    from dag_factory.models.transfer import TransferDefinition

__all__ = ["Ports"]


class Ports:
    """The inputs and outputs of a step; its arguments may add inputs.

    :param problems: what is wrong is added to it.
    """

    def __init__(
        self,
        step_id: str,
        step: StepDefinition,
        definition: PipelineModel,
        parameters: Mapping[str, ParameterSpec],
        problems: list[Problem],
    ) -> None:
        self.inputs: dict[str, InputSpec] = {}
        self.outputs: dict[str, OutputSpec] = {}
        self._path: Path = ("steps", step_id)
        self._step = step
        self._definition = definition
        self._parameters = parameters
        self._problems = problems

    def add_declared(self) -> None:
        """Add what stands under ``inputs`` and ``outputs``."""
        for name, entry in self._step.outputs.items():
            self.outputs[name] = self._output(name, entry)
            where: Path = (*self._path, "outputs", name, "partition_format")
            self._problems += check_partitions(entry.partition_format, where)
        for name, item in self._step.inputs.items():
            spec = self._input(name, item, (*self._path, "inputs", name))
            if spec is not None:
                self.inputs[name] = spec

    def add_transfer(self, transfer: TransferDefinition) -> None:
        """Add the source and the destination of a transfer."""
        entry = transfer.source
        path: Path = (*self._path, "transfer", "source")
        if entry.table is not None:
            if problem := check_table(entry.table):
                self._problems.append(Problem((*path, "table"), problem))
                return
            given = {name: getattr(entry, name) for name in entry.model_fields_set - {"table"}}
            entry = entry.model_copy(update={"table": None, "query": select_all(entry.table)})
            if "query" in given:
                message = "means nothing beside `query`: leave one of them out"
                self._problems.append(Problem((*path, "table"), message, at_key=True))
        spec = self._input("source", entry, path)
        if spec is not None:
            self.inputs["source"] = msgspec.structs.replace(spec, mode="direct")
        for name, made in self._step.made.items():
            self.outputs[name] = self._output(name, made)

    def read_argument(self, text: str, path: Path) -> Argument:
        """Return an argument's segments; outputs of other steps and data parameters in it become inputs."""
        if "\0" in text:
            self._problems.append(Problem(path, "an argument can't have a zero byte in it"))
        try:
            segments = parse(text)
        except BindingError as error:
            self._problems.append(Problem(path, str(error), offset=error.position))
            return ()
        return tuple(self._segment(item, path) for item in segments)

    def _segment(self, item: str | Binding, path: Path) -> Segment:
        if isinstance(item, str):
            return Text(text=item)
        if item.kind == "inputs":
            if item.name not in self._step.inputs:
                hint = did_you_mean(item.name, self._step.inputs)
                if item.name in self._definition.data:
                    hint = f": add it to `inputs`, as `{item.name}: {item.name}`"
                self._complain(path, item, f"this step has no input {item.name!r}", hint)
            return InputPath(input=item.name)
        if item.kind == "outputs":
            if item.name not in self._step.outputs:
                hint = did_you_mean(item.name, self._step.outputs)
                self._complain(path, item, f"this step has no output {item.name!r}", hint)
            return OutputPath(output=item.name)
        source = self._bound(item, path)
        if source is None:
            return ParameterValue(parameter=item.name)
        return InputPath(input=self._add(source))

    def _complain(self, path: Path, item: Binding, message: str, hint: str) -> None:
        end = "" if hint.startswith(":") else "."
        self._problems.append(Problem(path, f"{message}{end}{hint}", offset=item.position))

    def _bound(self, item: Binding, path: Path) -> StepOutput | DataParameter | None:
        """Return the data that a binding names; None where it is a parameter with a plain value, or nothing."""
        if item.kind == "parameters":
            if item.name not in self._parameters:
                hint = did_you_mean(item.name, self._parameters)
                self._complain(path, item, f"there is no parameter {item.name!r}", hint)
            elif self._parameters[item.name].type == "data":
                return DataParameter(parameter=item.name)
            return None
        steps = self._definition.steps
        if item.step not in steps:
            self._complain(path, item, f"there is no step {item.step!r}", did_you_mean(item.step, steps))
            return None
        outputs = steps[item.step].made
        if item.name not in outputs:
            message = f"step {item.step!r} has no output {item.name!r}"
            self._complain(path, item, message, did_you_mean(item.name, outputs))
            return None
        return StepOutput(step=item.step, output=item.name)

    def _add(self, source: StepOutput | DataParameter) -> str:
        """Return the name of the input that reads a source, a new one where there is none."""
        for name, spec in self.inputs.items():
            if spec.source == source:
                return name
        if isinstance(source, StepOutput):
            names = [source.output, f"{source.step}_{source.output}".replace("-", "_")]
        else:
            names = [source.parameter.replace("-", "_")]
        names += [f"{names[-1]}_{number}" for number in range(2, len(self.inputs) + len(self.outputs) + 3)]
        taken = {*self.inputs, *self.outputs, *self._step.inputs}
        name = next(name for name in names if name not in taken)
        self.inputs[name] = InputSpec(
            name=name, source=source, mode="direct" if self._is_table(source) else "mount"
        )
        return name

    def _input(self, name: str, entry: InputDefinition, path: Path) -> InputSpec | None:
        inline = [field for field in ("path", "paths", "url", "query", "dataset") if getattr(entry, field)]
        given = [field for field in ("data", "from_") if getattr(entry, field) is not None] + inline[:1]
        if len(given) != 1:
            found = " and ".join(f"`{field.rstrip('_')}`" for field in given) or "none of them"
            message = f"expected one of `data` (a data entry's name), `from` (a binding) and data itself, found {found}"
            self._problems.append(Problem(path, message, at_key=True))
            return None
        source: Source | None
        fingerprint = entry.fingerprint
        if entry.data is not None:
            if entry.data not in self._definition.data:
                hint = did_you_mean(entry.data, self._definition.data)
                self._problems.append(Problem((*path, "data"), f"there is no data {entry.data!r}.{hint}"))
                return None
            named = self._definition.data[entry.data]
            source = resolve_data(named, ("data", entry.data), self._definition, self._problems)
            fingerprint = fingerprint or named.fingerprint
        elif entry.from_ is not None:
            source = self._from(entry.from_, (*path, "from"))
            if isinstance(source, StepOutput) and fingerprint is not None:
                message = "an output of a step is always known by its content: leave it out"
                self._problems.append(Problem((*path, "fingerprint"), message, at_key=True))
        else:
            source = resolve_data(entry, path, self._definition, self._problems)
        if source is None:
            return None
        table = self._is_table(source)
        if table and entry.mode not in (None, "direct"):
            message = f"a table has no files to {entry.mode}: the mode of a table is 'direct'"
            self._problems.append(Problem((*path, "mode"), message))
        return InputSpec(
            name=name,
            source=source,
            mode=entry.mode or ("direct" if table else "mount"),
            path_on_compute=entry.path_on_compute,
            overwrite=entry.overwrite,
            fingerprint=fingerprint or "content",
        )

    def _from(self, text: str, path: Path) -> StepOutput | DataParameter | None:
        try:
            segments = parse(text)
        except BindingError as error:
            self._problems.append(Problem(path, str(error), offset=error.position))
            return None
        if (
            len(segments) != 1
            or not isinstance(segments[0], Binding)
            or segments[0].kind in ("inputs", "outputs")
        ):
            form = Binding("steps", "<output>", "<step>")
            message = f"expected `{form}` or `${{{{parameters.<name>}}}}`, found {text!r}"
            self._problems.append(Problem(path, message))
            return None
        before = len(self._problems)
        source = self._bound(segments[0], path)
        if source is None and len(self._problems) == before:
            message = (
                f"parameter {segments[0].name!r} is no data: give it `type: data`, or use it in `arguments`"
            )
            self._problems.append(Problem(path, message))
        return source

    def _is_table(self, source: Source) -> bool:
        if isinstance(source, StepOutput):
            return self._definition.steps[source.step].made[source.output].tabular is not None
        return isinstance(source, Data) and source.tabular is not None

    def _output(self, name: str, entry: OutputDefinition) -> OutputSpec:
        register = entry.register_as
        return OutputSpec(
            name=name,
            mode=entry.mode,
            datastore=entry.datastore,
            path=entry.path,
            source=entry.source,
            create=entry.create,
            overwrite=entry.overwrite,
            globs=entry.globs,
            register=RegisterSpec(name=register.name, description=register.description, tags=register.tags)
            if register
            else None,
            tabular=tabular_format(entry.tabular) if entry.tabular else None,
            partition_format=entry.partition_format,
            pipeline_output=entry.pipeline_output,
        )
