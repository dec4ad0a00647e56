"""Opens the pipeline that a command line names: a YAML document, or an object of a Python file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError, MlPipelinesError, ParameterError, did_you_mean
from dag_factory.calls import Call, is_ours, show_file

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import ParameterSpec, PipelineSpec
    from airflow_ml_pipelines.core.workspaces.workspace import Workspace
    from dag_factory.pipelines.pipeline import Pipeline

__all__ = ["Target", "is_target", "open_target", "parse_value", "pipelines_in"]


@dataclass(frozen=True)
class Target:
    """A pipeline that a command line names.

    :param experiment: the experiment that it names itself.
    :param workspace: the workspace that it was made for, None where it names none.
    """

    spec: PipelineSpec
    experiment: str | None = None
    workspace: Workspace | None = None


def open_target(text: str) -> Target:
    """Return the pipeline in ``x.pipeline.yaml``, ``file.py`` or ``file.py:name``.

    :raises DefinitionError: where there is no such file or object, or something in it is wrong.
    """
    file, sign, name = text.rpartition(":")
    if not sign or not file.endswith(".py"):
        file, name = text, ""
    path = Path(file)
    if not path.is_file():
        raise DefinitionError(f"there is no file {file} (in {Path.cwd()})")
    if path.suffix == ".py":
        return _from_python(path, name)
    if path.suffix not in (".yaml", ".yml"):
        raise DefinitionError(f"expected a *.pipeline.yaml or a *.py; found {file}")
    from dag_factory.definitions.definition import PipelineDefinition

    definition = PipelineDefinition.from_yaml(path)
    return Target(definition.to_spec(), definition.experiment)


def is_target(text: str) -> bool:
    """Return whether text names a definition, and not something else such as a run."""
    return text.endswith((".yaml", ".yml", ".py")) or ".py:" in text or Path(text).is_file()


def parse_value(spec: ParameterSpec, text: str) -> Any:
    """Return the value of a parameter that text stands for.

    :raises ParameterError: where it is none of the parameter's type.
    """
    if spec.type == "string":
        return text
    if spec.type == "boolean":
        if text.lower() in ("true", "yes", "1"):
            return True
        if text.lower() in ("false", "no", "0"):
            return False
        raise ParameterError(f"parameter {spec.name!r} takes true or false, found {text!r}")
    if spec.type == "data":
        return _parse_data(spec, text)
    try:
        return int(text) if spec.type == "integer" else float(text)
    except ValueError:
        kind = "a whole number" if spec.type == "integer" else "a number"
        raise ParameterError(f"parameter {spec.name!r} takes {kind}, found {text!r}") from None


def _parse_data(spec: ParameterSpec, text: str) -> Any:
    """Return data from ``datastore:path``, a URL, or JSON."""
    if text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ParameterError(f"parameter {spec.name!r}: {text!r} is no JSON: {error}") from None
    if "://" in text:
        return {"url": text}
    datastore, sign, path = text.partition(":")
    if not sign:
        raise ParameterError(f"parameter {spec.name!r} takes data as datastore:path or a URL, found {text!r}")
    return {"datastore": datastore, "path": path}


# --- Python files ------------------------------------------------------------------------------------------------


def _from_python(path: Path, name: str) -> Target:
    from dag_factory.pipelines.pipeline import Pipeline

    values = _import(path)
    found = _pipelines(values)
    if name:
        if name not in values:
            raise DefinitionError(f"{path} has no {name!r}.{did_you_mean(name, found)}")
        chosen = values[name]
        if not isinstance(chosen, Pipeline):
            raise DefinitionError(f"{path}: {name!r} is no Pipeline but a {type(chosen).__name__}")
    elif len(found) == 1:
        chosen = next(iter(found.values()))
    elif found:
        raise DefinitionError(
            f"{path} has {len(found)} pipelines, {', '.join(found)}: say which, as {path}:{next(iter(found))}"
        )
    else:
        raise DefinitionError(f"{path} has no Pipeline in a variable")
    return Target(chosen.to_spec(path.stem), None, chosen.workspace.core)


def pipelines_in(path: Path) -> dict[str, Pipeline]:
    """Return the pipelines that a Python file has in its variables, each once.

    :raises DefinitionError: where running it fails, with the line that does.
    """
    return _pipelines(_import(path))


def _pipelines(values: dict[str, Any]) -> dict[str, Pipeline]:
    """Return the pipelines among a module's variables, each once."""
    from dag_factory.pipelines.pipeline import Pipeline

    found: dict[str, Pipeline] = {}
    for name, value in values.items():
        if isinstance(value, Pipeline) and not any(value is other for other in found.values()):
            found[name] = value
    return found


def _import(path: Path) -> dict[str, Any]:
    """Return the variables of a Python file after running it.

    :raises DefinitionError: where it fails, with the line that does.
    """
    name = (
        path.stem
        if path.stem.isidentifier() and path.stem not in sys.modules
        else f"pipelines_{abs(hash(path))}"
    )
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.absolute().parent))  # as when the file itself is run
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failure(path, error) from error
    finally:
        sys.path.remove(str(path.absolute().parent))
    return vars(module)


def _failure(path: Path, error: BaseException) -> DefinitionError:
    """Return an error that says what a Python file failed with, and shows the line."""
    from airflow_ml_pipelines.written.excerpt import show_excerpt
    from airflow_ml_pipelines.written.source import Finding

    if isinstance(error, MlPipelinesError) and error.findings:
        findings = error.findings
    elif isinstance(error, SyntaxError) and error.lineno:
        column, line = (error.offset or 1) - 1, (error.text or "").rstrip("\n")
        excerpt = show_excerpt(line, error.lineno, column, 1) if line else ""
        findings = (
            Finding(show_file(error.filename or str(path)), error.lineno, column + 1, 1, error.msg, excerpt),
        )
    else:
        call = Call.of(error.__traceback__)
        message = _said(error)
        findings = (call.find(message) if call else Finding(str(path), 1, 1, 1, message),)
    failure = DefinitionError("\n".join(map(str, findings)))
    failure.findings = findings
    return failure


def _said(error: BaseException) -> str:
    """Return what an error says, with its type where it is not one of ours."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    ours = traceback is not None and is_ours(traceback.tb_frame.f_code.co_filename)
    if isinstance(error, MlPipelinesError) or (ours and isinstance(error, TypeError | ValueError)):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
