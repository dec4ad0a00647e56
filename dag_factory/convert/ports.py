"""Turns what a job of an Azure ML pipeline reads and writes into inputs, outputs and values of a step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.parameters import argument_text
from dag_factory.convert.data import MODES, is_data, read_data, read_output
from dag_factory.convert.parts import Part
from dag_factory.resolve.bindings import Binding

__all__ = ["Context", "Ports"]

_PARENT_INPUT = re.compile(r"\$\{\{\s*(?:parent\.)?inputs\.([A-Za-z0-9_-]+)\s*\}\}")
_PARENT_OUTPUT = re.compile(r"\$\{\{\s*(?:parent\.)?outputs\.([A-Za-z0-9_-]+)\s*\}\}")
_JOB_OUTPUT = re.compile(r"\$\{\{\s*(?:parent\.)?jobs\.([A-Za-z0-9_-]+)\.outputs\.([A-Za-z0-9_-]+)\s*\}\}")


class Context:
    """What a job is converted in.

    :param target: the folder of the new definition, which source directories are relative to.
    :ivar parameters: the kind of each pipeline parameter, ``data`` or another.
    :ivar modes: how data parameters are read where a job does not say.
    :ivar outputs: the outputs of the pipeline, by name.
    :ivar jobs: the ids of the steps by the names of the jobs.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.parameters: dict[str, str] = {}
        self.modes: dict[str, str] = {}
        self.outputs: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, str] = {}


class Ports:
    """What a job reads and writes.

    :param component: what the job runs; the job itself where it says so itself.
    :ivar inputs: data, as inputs of the step.
    :ivar literals: other inputs: texts, and pipeline parameters.
    :ivar outputs: as outputs of the step.
    """

    def __init__(self, job: Part, component: Part, context: Context) -> None:
        self.inputs: dict[str, dict[str, Any]] = {}
        self.literals: dict[str, str | Binding] = {}
        self.outputs: dict[str, dict[str, Any]] = {}
        self._context = context
        own = component is job
        self._read_inputs(None if own else component.part("inputs"), job.part("inputs"))
        self._read_outputs(None if own else component.part("outputs"), job.part("outputs"))

    def is_given(self, name: str) -> bool:
        """Return whether an input has a value."""
        return name in self.literals or name in self.inputs

    def find(self, kind: str, name: str) -> str | Binding | None:
        """Return what stands for ``${{kind.name}}`` in a command; None where nothing does."""
        if kind == "inputs" and name in self.inputs:
            return Binding("inputs", name)
        if kind == "inputs":
            return self.literals.get(name)
        return Binding("outputs", name) if kind == "outputs" and name in self.outputs else None

    def _read_inputs(self, declared: Part | None, given: Part | None) -> None:
        kinds: dict[str, Any] = {}
        for name, value in declared.items() if declared else ():
            if isinstance(value, dict):
                kinds[name] = value.get("type")
                if value.get("default") is not None:
                    self.literals[name] = _literal(value["default"])
        if given is not None:
            for name, value in given.items():
                self.literals.pop(name, None)
                self._read_input(given, name, value, kinds.get(name))

    def _read_input(self, given: Part, name: str, value: Any, kind: Any) -> None:
        mode = None
        if isinstance(value, dict):
            part = given.below(name, value)
            mode = part.text("mode")
            path = value.get("path")
            if not isinstance(path, str) or "${{" not in path:
                data = read_data(part)
                part.note_rest({})
                if data is not None:
                    self.inputs[name] = data | self._mode(given, name, mode)
                return
            part.take("type")
            value = part.take("path")
            part.note_rest({})
        if isinstance(value, str):
            self._read_text(given, name, value, kind, mode)
        else:
            self.literals[name] = _literal(value)

    def _read_text(self, given: Part, name: str, value: str, kind: Any, mode: str | None) -> None:
        if found := _JOB_OUTPUT.fullmatch(value):
            step = self._context.jobs.get(found[1], found[1])
            self.inputs[name] = {"from": str(Binding("steps", found[2], step))} | self._mode(
                given, name, mode
            )
        elif found := _PARENT_INPUT.fullmatch(value):
            self._bind_parameter(given, name, found[1], mode)
        elif "${{" in value:
            given.note(f"{value!r} is no binding to one input of the pipeline or one output of a job", name)
        elif is_data(kind):
            self.inputs[name] = read_data(given.below(name, {"path": value, "type": kind})) or {}
        else:
            self.literals[name] = value

    def _bind_parameter(self, given: Part, name: str, parameter: str, mode: str | None) -> None:
        kind = self._context.parameters.get(parameter)
        if kind is None:
            given.note(f"the pipeline has no input {parameter!r}", name)
        elif kind == "data":
            mode = mode or self._context.modes.get(parameter)
            self.inputs[name] = {"from": str(Binding("parameters", parameter))} | self._mode(
                given, name, mode
            )
        else:
            self.literals[name] = Binding("parameters", parameter)

    def _mode(self, given: Part, name: str, mode: str | None) -> dict[str, str]:
        if mode is not None and mode not in MODES:
            given.note(f"mode {mode!r}", name)
        found = MODES.get(mode or "", "mount")
        return {"mode": found} if found in ("download", "direct") else {}

    def _read_outputs(self, declared: Part | None, given: Part | None) -> None:
        if declared is not None:
            for name, value in declared.items():
                self.outputs[name] = {}
                if isinstance(value, dict) and value.get("type") == "uri_file":
                    message = "an output is a folder here: let the script write its file into it"
                    declared.note(message, name, "type")
        if given is not None:
            for name, value in given.items():
                self.outputs[name] = self._read_output(given, name, value)

    def _read_output(self, given: Part, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return read_output(given.below(name, value))
        if isinstance(value, str) and (found := _PARENT_OUTPUT.fullmatch(value)):
            shared = self._context.outputs.get(found[1], {})
            return shared | ({"pipeline_output": found[1]} if found[1] != name else {})
        if value is not None:
            given.note(f"{value!r} is no output of the pipeline", name)
        return {}


def _literal(value: Any) -> str:
    return argument_text(value) if isinstance(value, str | bool | int | float) else str(value)
