"""Binds what a step is given to its inputs and outputs, and names those that have no name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import kind_of, warn
from dag_factory.ports.data import (
    DataPathComputeBinding,
    DataReference,
    DatasetConsumptionConfig,
    binding_port,
)
from dag_factory.ports.pipeline_data import InputPortBinding, PipelineData
from dag_factory.ports.port import InputPort, Produced, check_input_name, origin_of
from dag_factory.ports.sql_data_reference import SqlDataReference

if TYPE_CHECKING:
    from dag_factory.ports.parameter import PipelineParameter
    from dag_factory.steps.step import PipelineStep

__all__ = ["BoundPorts", "bind_ports", "read_port"]


@dataclass
class BoundPorts:
    """A step's inputs and outputs, and its arguments in terms of them.

    :param inputs: by name, in the order in which they were given.
    :param outputs: by name, in the order in which they were given.
    :param arguments: each as text, a pipeline parameter, ``("input", name)`` or ``("output", name)``.
    """

    inputs: dict[str, InputPort] = field(default_factory=dict)
    outputs: dict[str, Produced] = field(default_factory=dict)
    arguments: list[str | PipelineParameter | tuple[str, str]] = field(default_factory=list)


def bind_ports(step: PipelineStep) -> BoundPorts:
    """Return a step's ports, and make it the producer of its outputs.

    :raises TypeError: where something can be neither input, output nor argument.
    :raises DefinitionError: where a name is given twice, or an argument is neither input nor output.
    """
    return _Binder(step).bind()


def read_port(step: PipelineStep, item: Any) -> InputPort:
    """Return what one item among a step's inputs reads. :raises TypeError: where it can't be read."""
    return _Binder(step).read(item)


class _Binder:
    def __init__(self, step: PipelineStep) -> None:
        self.step = step
        self.where = f"step {step.name!r}"
        self.inputs: list[InputPort] = []
        self.outputs: list[Produced] = []

    def bind(self) -> BoundPorts:
        for item in self.step.outputs:
            self._add_output(self._output(item))
        for item in self.step.inputs:
            self._add_input(self.read(item))
        arguments = [self._argument(index, item) for index, item in enumerate(self.step.arguments)]
        outputs = self._name_outputs()
        inputs = self._name_inputs(outputs)
        bound = BoundPorts(inputs, outputs)
        for item in arguments:
            if isinstance(item, InputPort):
                bound.arguments.append(("input", next(name for name, port in inputs.items() if port == item)))
            elif isinstance(item, Produced):
                bound.arguments.append(("output", next(name for name, out in outputs.items() if out is item)))
            else:
                bound.arguments.append(item)
        for output in outputs.values():
            output.producer = self.step
        return bound

    # --- what stands in outputs and inputs ---------------------------------------------------------------------

    def _output(self, item: Any) -> Produced:
        origin = origin_of(item)
        if origin is not None:
            return origin
        if isinstance(item, DataReference):
            raise DefinitionError(
                f"{self.where}: a DataReference can only be read; to write there, use "
                "OutputFileDatasetConfig(destination=(datastore, path))"
            )
        raise TypeError(
            f"{self.where}, outputs: expected OutputFileDatasetConfig or PipelineData, found {kind_of(item)}"
        )

    def read(self, item: Any) -> InputPort:
        """Return what an item among the inputs reads."""
        port = self._port(item)
        if port is not None:
            return port
        origin = origin_of(item)
        if origin is not None:
            return self._read(origin)
        raise TypeError(
            f"{self.where}, inputs: expected dataset.as_named_input(…), output.as_input(), a PipelineData, a "
            f"DataReference or (DataPath or PipelineParameter, DataPathComputeBinding); found {kind_of(item)}"
        )

    def _port(self, item: Any) -> InputPort | None:
        """Return what is read, None where the item is nothing that only reads."""
        from dag_factory.datasets.dataset import Dataset

        if isinstance(item, DataReference | DatasetConsumptionConfig | InputPortBinding | SqlDataReference):
            return item.to_port()
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], DataPathComputeBinding):
            return binding_port(self.where, *item)
        if isinstance(item, Dataset):
            mode = ".as_mount()" if hasattr(item, "as_mount") else ""
            raise DefinitionError(
                f"{self.where}: a dataset needs a name by which the script finds it: "
                f"write dataset.as_named_input('name'){mode}"
            )
        return None

    def _read(self, output: Produced) -> InputPort:
        """Return what reads an output that is given as it is: under its own name where it is a PipelineData."""
        for port in self.inputs:
            if port.source is output:
                return port
        name = output.name if isinstance(output, PipelineData) else None
        return InputPort(name=check_input_name(self.where, name), source=output)

    def _add_output(self, output: Produced) -> None:
        if not any(known is output for known in self.outputs):
            self.outputs.append(output)

    def _add_input(self, port: InputPort) -> None:
        if port not in self.inputs:
            self.inputs.append(port)

    # --- what stands in arguments ------------------------------------------------------------------------------

    def _argument(self, index: int, item: Any) -> Any:
        from airflow_ml_pipelines.core.parameters import argument_text
        from dag_factory.ports.parameter import PipelineParameter

        where = f"{self.where}, arguments[{index}]"
        if isinstance(item, str):
            return self._text(where, item)
        if isinstance(item, bool | int | float):
            return argument_text(item)
        if isinstance(item, os.PathLike):
            return os.fspath(item)
        if isinstance(item, PipelineParameter):
            if item.is_data:
                raise TypeError(
                    f"{where}: the parameter {item.name!r} is data: write it as (parameter, DataPathComputeBinding()) "
                    "or DatasetConsumptionConfig(name, parameter), in inputs as well"
                )
            return item
        origin = origin_of(item)
        if origin is not None:
            return self._produced(index, origin)
        port = self._port(item)
        if port is not None:
            if isinstance(item, DataReference | tuple) and port not in self.inputs:
                raise DefinitionError(
                    f"{where}: {kind_of(item)} is not among the step's inputs: add it to inputs=[…]"
                )
            self._add_input(port)
            return port
        if isinstance(item, list | tuple):
            raise TypeError(f"{where}: expected a flat list of arguments, found {kind_of(item)} in it")
        raise TypeError(
            f"{where}: expected text, a number, a truth value, a PipelineParameter, an input or an output; "
            f"found {kind_of(item)}"
        )

    def _text(self, where: str, text: str) -> Any:
        """Return an argument's text, or the parameter of the step that ``parameter:<name>`` names."""
        from airflow_ml_pipelines.core.parameters import argument_text
        from dag_factory.ports.parameter import PipelineParameter

        prefix, _, name = text.partition(":")
        if "\0" in text:
            raise DefinitionError(f"{where}: text can't have a zero byte")
        if prefix != "parameter" or name not in self.step.params:
            return text
        value = self.step.params[name]
        return value if isinstance(value, PipelineParameter) else argument_text(value)

    def _produced(self, index: int, output: Produced) -> Any:
        """Return an output that stands in the arguments as it is: it is read if it was made before, else made."""
        for port in self.inputs:
            if port.source is output:
                return port
        if any(known is output for known in self.outputs):
            return output
        producer = output.producer
        if producer is not None and not self._replaces(producer, index, output):
            if not isinstance(output, PipelineData):
                warn(
                    f"{self.where}: an output of step {producer.name!r} ({self._made_name(producer, output)}) is taken as an input here; "
                    "write .as_input() to say so"
                )
            port = self._read(output)
            self._add_input(port)
            return port
        if isinstance(output, PipelineData):
            raise DefinitionError(
                f"{self.where}: {output!r} is in arguments, but neither in inputs nor in outputs: add it to one of them"
            )
        self._add_output(output)
        return output

    @staticmethod
    def _made_name(producer: PipelineStep, output: Produced) -> str:
        return next(name for name, made in producer.ports.outputs.items() if made is output)

    def _replaces(self, other: PipelineStep, index: int, output: Produced) -> bool:
        """Return whether the step is another one written again, as when a notebook's cell is run a second time."""
        mine, theirs = self.step, other
        same = all(
            getattr(mine, name, None) == getattr(theirs, name, None)
            for name in ("name", "script_name", "source_directory")
        )
        if not same or index >= len(theirs.arguments) or len(mine.arguments) != len(theirs.arguments):
            return False
        return origin_of(theirs.arguments[index]) is output

    # --- names -------------------------------------------------------------------------------------------------

    def _name_outputs(self) -> dict[str, Produced]:
        named: dict[str, Produced] = {}
        taken = {name for output in self.outputs if (name := output.output_name) is not None}
        for place, output in enumerate(self.outputs, 1):
            name = output.output_name or _free(f"output_{place}", taken)
            if name in named:
                raise DefinitionError(
                    f"{self.where}: two outputs have the name {name!r}: give one another name"
                )
            named[name] = output
        return named

    def _name_inputs(self, outputs: dict[str, Produced]) -> dict[str, InputPort]:
        named: dict[str, InputPort] = {}
        taken = {port.name for port in self.inputs if port.name is not None} | outputs.keys()
        for place, port in enumerate(self.inputs, 1):
            name = port.name or _free(f"input_{place}", taken)
            if name in named:
                raise DefinitionError(
                    f"{self.where}: two inputs have the name {name!r}: give one another name, "
                    "as with .as_input('name') or .as_named_input('name')"
                )
            if name in outputs:
                raise DefinitionError(
                    f"{self.where}: an input and an output have the name {name!r}, by which the script finds them: "
                    "give one another name, as with .as_input('name')"
                )
            named[name] = port
        return named


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
