"""Turns a job of an Azure ML pipeline into a step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory.convert.commands import CommandError, read_command
from dag_factory.convert.data import compute_name
from dag_factory.convert.environments import read_environment
from dag_factory.convert.parts import Document, Part
from dag_factory.convert.ports import Context, Ports
from dag_factory.resolve.bindings import Binding, format_segments

__all__ = ["convert_job"]

_REASONS = {
    "distribution": "a step runs in one process",
    "resources": "sizes belong to compute targets",
    "identity": "compute targets and datastores have their credentials",
    "services": "a step has no services",
    "environment_variables": "variables belong to an environment that stands in place",
    "queue_settings": "see pools",
}


def convert_job(name: str, job: Part, context: Context) -> dict[str, Any]:
    """Return the step that a job is; what it does not say in a way that a step can is noted."""
    return _Job(name, job, context).convert()


class _Job:
    def __init__(self, name: str, job: Part, context: Context) -> None:
        self.name = name
        self.job = job
        self.context = context
        self.component = job

    def convert(self) -> dict[str, Any]:
        kind = self.job.text("type") or "command"
        found = self._component()
        if found is not None:
            self.component = found
            kind = found.text("type") or kind
        step: dict[str, Any] = {"script": f"{self.name}.py"} | self._read_labels()
        ports = self.ports = Ports(self.job, self.component, self.context)
        if kind != "command":
            self.job.note(f"a job of type {kind!r}: write a script for it", "type")
            self._forget()
        elif "command" in self.component.value:
            step |= self._read_command()
        elif "component" not in self.job.value:
            self.job.note("it has neither a command nor a component", at_key=True)
        step |= self._read_settings()
        step |= {
            name: value for name, value in (("inputs", ports.inputs), ("outputs", ports.outputs)) if value
        }
        for part in self._parts():
            part.note_rest(_REASONS)
        return step

    def _parts(self) -> list[Part]:
        return [self.job] if self.component is self.job else [self.job, self.component]

    def _read_labels(self) -> dict[str, str]:
        labels: dict[str, str] = {}
        for part in self._parts():
            for old, new in (("display_name", "name"), ("description", "description")):
                text = part.text(old)
                if text and new not in labels:
                    labels[new] = text
            for field in ("$schema", "name", "version", "tags", "type", "experiment_name"):
                part.take(field)
        return labels

    def _component(self) -> Part | None:
        value = self.job.take("component")
        if isinstance(value, dict):
            return self.job.below("component", value)
        if not isinstance(value, str):
            return None
        if value.startswith("azureml:"):
            self.job.note(
                f"component {value.removeprefix('azureml:')!r} is registered: get its file, and name that",
                "component",
            )
            return None
        file = self.job.folder / value.removeprefix("file:")
        try:
            return Document(Path(os.path.normpath(file)), self.job.document.notes).top
        except DefinitionError as error:
            self.job.note(str(error), "component")
            return None

    def _forget(self) -> None:
        """Leave the fields of another kind of job alone; that it is one has been said."""
        for part in self._parts():
            for field in part.value:
                part.take(field)

    # --- what runs ----------------------------------------------------------------------------------------------------

    def _read_command(self) -> dict[str, Any]:
        component = self.component
        text = component.text("command") or ""
        try:
            command = read_command(text, self.ports.is_given)
        except CommandError as error:
            component.note(str(error), "command")
            component.take("code")
            return {}
        fields: dict[str, Any] = {"script": command.script}
        folder, script = self._source(command.script)
        if folder != ".":
            fields["source_directory"] = folder
        fields["script"] = script
        arguments = [self._argument(words) for words in command.arguments]
        if arguments:
            fields["arguments"] = arguments
        return fields

    def _source(self, script: str) -> tuple[str, str]:
        code = self.component.take("code")
        if isinstance(code, dict):  # of earlier versions
            code = code.get("local_path")
        if not isinstance(code, str):
            self.component.note(
                "there is no `code`: say where the script is with `source_directory`", at_key=True
            )
            return ".", script
        if "://" in code or code.startswith(("azureml:", "git+")):
            self.component.note(f"{code!r} is no local folder: get it, and name that", "code")
            return ".", script
        place = self.component.folder / code
        if place.is_file():
            place = place.parent
        return Path(os.path.relpath(place, self.context.target)).as_posix(), script

    def _argument(self, words: list[str | tuple[str]]) -> str:
        segments = [word if isinstance(word, str) else self._segment(word[0]) for word in words]
        return format_segments(_joined(segments))

    def _segment(self, inner: str) -> str | Binding:
        kind, _, name = inner.partition(".")
        found = self.ports.find(kind, name)
        if found is None:
            self.component.note(f"`${{{{{inner}}}}}` has no value here", "command")
        return found or ""

    def _read_settings(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        job = self.job
        found = [read_environment(part) for part in self._parts()]
        environment = next(filter(None, found), None)
        variables = [part.part("environment_variables") for part in reversed(self._parts())]
        values = {name: str(value) for part in variables if part for name, value in part.items()}
        if isinstance(environment, dict) and values:
            environment["variables"] = values
        elif values:
            job.note(
                f"not carried over: {_REASONS['environment_variables']}", "environment_variables", at_key=True
            )
        if environment:
            fields["environment"] = environment
        if (target := compute_name(job, "compute")) is not None:
            fields["compute_target"] = target
        for part in self._parts():
            if part.take("is_deterministic") is False:
                fields["allow_reuse"] = False
            if (limits := part.part("limits")) is not None:
                if limits.value.get("timeout") is not None:
                    fields["timeout"] = limits.take("timeout")
                limits.note_rest({})
            resources = part.value.get("resources")
            if (
                isinstance(resources, Mapping)
                and resources.keys() <= {"instance_count"}
                and resources.get("instance_count", 1) == 1
            ):
                part.take("resources")
        return fields


def _joined(segments: list[str | Binding]) -> list[str | Binding]:
    """Return segments in which no two texts follow each other."""
    joined: list[str | Binding] = []
    for segment in segments:
        if joined and isinstance(segment, str) and isinstance(joined[-1], str):
            joined[-1] += segment
        else:
            joined.append(segment)
    return joined
