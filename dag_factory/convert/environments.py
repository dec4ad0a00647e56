"""Turns environments of Azure ML into environments of definitions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from dag_factory.compute.conda import CondaDependencies
from dag_factory.convert.parts import Document, Part

__all__ = ["read_environment"]

_REGISTERED = re.compile(r"azureml:(?!//)([^:@]+)(?:[:@](.+))?")
_REGISTRY = re.compile(r"azureml://registries/([^/]+)/environments/([^/]+)(?:/(?:versions|labels)/(.+))?")
_COPIES = re.compile(r"^\s*(?:COPY|ADD)\s", re.IGNORECASE | re.MULTILINE)


def read_environment(part: Part, field: str = "environment") -> Any:
    """Return the environment that a field has, None where it has none that can be carried over."""
    value = part.take(field)
    if isinstance(value, dict):
        return _read(part.below(field, value))
    if isinstance(value, str):
        return _read_text(part, field, value)
    if value is not None:
        part.note("expected an environment's name or a mapping", field)
    return None


def _read_text(part: Part, field: str, text: str) -> Any:
    if found := _REGISTRY.fullmatch(text):
        registry, name, version = found[1], found[2], found[3]
        part.note(
            f"environment {name!r} is of the registry {registry!r}: register one of this name in the workspace, "
            "or write one down in place",
            field,
        )
        return _reference(name, version)
    if found := _REGISTERED.fullmatch(text):
        return _reference(found[1], found[2])
    file = part.folder / text.removeprefix("file:")
    if not file.is_file():
        part.note(f"there is no file {str(file)!r}", field)
        return None
    return _read(Document(file, part.document.notes).top)


def _reference(name: str, version: str | None) -> str:
    return f"{name}:{version or 'latest'}"


def _read(part: Part) -> dict[str, Any]:
    for name in ("$schema", "name", "version", "description", "tags"):
        part.take(name)
    fields: dict[str, Any] = {}
    if (image := part.text("image")) is not None:
        fields["image"] = image
    conda = part.take("conda_file")
    if isinstance(conda, str):
        fields |= _packages(part, part.folder / conda)
    elif isinstance(conda, dict):
        fields |= _packages_of(part, conda)
    if (build := part.part("build")) is not None:
        fields |= _read_build(build)
    part.note_rest({})
    return fields


def _packages(part: Part, file: Path) -> dict[str, Any]:
    try:
        return _fields(CondaDependencies(str(file)))
    except DefinitionError as error:
        part.note(str(error).removeprefix("CondaDependencies: "), "conda_file")
        return {}


def _packages_of(part: Part, document: dict[str, Any]) -> dict[str, Any]:
    """Return the packages of a conda file that stands in the document itself."""
    from tempfile import TemporaryDirectory

    import yaml

    with TemporaryDirectory() as folder:
        file = Path(folder, "conda.yml")
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        return _packages(part, file)


def _fields(dependencies: CondaDependencies) -> dict[str, Any]:
    spec = dependencies.fill(EnvironmentSpec())
    fields = {
        "python": spec.python,
        "conda": list(spec.conda),
        "conda_channels": list(spec.conda_channels),
        "pip": list(spec.pip),
        "pip_options": list(spec.pip_options),
    }
    return {name: value for name, value in fields.items() if value}


def _read_build(part: Part) -> dict[str, Any]:
    folder = part.folder / (part.text("path") or ".")
    file = folder / (part.text("dockerfile_path") or "Dockerfile")
    part.note_rest({})
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        part.note(f"there is no Dockerfile {str(file)!r}", "path")
        return {}
    if _COPIES.search(text):
        part.note("the Dockerfile copies files, and there are none beside it here: let it fetch them", "path")
    return {"dockerfile": text}
