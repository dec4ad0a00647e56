"""Environments: what is around the script of a step."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from dag_factory.models.fields import ANY_TEXT, DefinitionModel, Strings

__all__ = [
    "EnvironmentDefinition",
]


class EnvironmentDefinition(DefinitionModel):
    """An environment; with a name (and version) only, the one that is called so.

    :param name: of an entry under ``environments`` or of a registered environment.
    :param version: of a registered environment; ``latest`` for the latest when the run begins.
    :param user_managed: whether nothing is installed; None where that follows from the other fields.
    :param python: a version such as ``"3.12"``, in quotes; that of the interpreter that runs the pipeline where left out.
    :param interpreter: a path or a command, where nothing is installed.
    :param conda: packages for conda.
    :param conda_channels: channels for conda.
    :param pip: packages for pip.
    :param pip_options: options for pip, such as ``--index-url``.
    :param variables: environment variables; ``env:NAME`` takes the value from the process that starts the step.
    :param image: a container image, for compute targets that run containers.
    :param dockerfile: the text of a Dockerfile that makes that image.
    """

    short_forms: ClassVar = (ANY_TEXT,)

    name: str = ""
    version: str | None = None
    python: str | None = None
    user_managed: bool | None = None
    interpreter: str | None = None
    conda: Strings = ()
    conda_channels: Strings = ()
    pip: Strings = ()
    pip_options: Strings = ()
    variables: dict[str, str] = {}
    image: str | None = None
    dockerfile: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, _, version = value.partition(":")
        return {"name": name, "version": version or None}

    @property
    def is_reference(self) -> bool:
        """Whether it only names an environment."""
        return bool(self.name) and self == EnvironmentDefinition(name=self.name, version=self.version)
