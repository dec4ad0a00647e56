"""Finds the source directories of steps, and says which scripts are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory.steps import PipelineStep, PythonScriptStep

__all__ = ["choose_base", "relative_source"]


def choose_base(steps: Sequence[PipelineStep], default: str | None, bases: Sequence[Path]) -> Path:
    """Return the first base under which every script is there; one that holds all folders is better."""
    scripts = [step for step in steps if isinstance(step, PythonScriptStep)]
    folders = [Path(_source(step, default)) for step in scripts]
    candidates = list(bases) or [Path.cwd()]
    whole = [
        base
        for base in candidates
        if all(
            (base / folder / step.script_name).is_file()
            for step, folder in zip(scripts, folders, strict=True)
        )
    ]
    if not whole:
        _refuse_scripts(scripts, folders, candidates[0])
    return next(
        (base for base in whole if all((base / folder).is_relative_to(base) for folder in folders)), whole[0]
    )


def _refuse_scripts(steps: Sequence[PythonScriptStep], folders: Sequence[Path], base: Path) -> None:
    from difflib import get_close_matches

    problems = []
    for step, folder in zip(steps, folders, strict=True):
        place = base / folder
        if (place / step.script_name).is_file():
            continue
        if not place.is_dir():
            problems.append(f"step {step.name!r}: there is no source_directory {place}")
            continue
        scripts = sorted(path.relative_to(place).as_posix() for path in _scripts(place))
        close = get_close_matches(step.script_name, scripts, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        known = f" There are: {', '.join(scripts[:20])}." if scripts else ""
        problems.append(
            f"step {step.name!r}: there is no script {step.script_name!r} in {place}.{hint}{known}"
        )
    raise DefinitionError("\n".join(problems))


def _scripts(folder: Path) -> Iterator[Path]:
    yield from folder.glob("*.py")
    yield from folder.glob("*/*.py")


def _source(step: PythonScriptStep, default: str | None) -> str:
    return step.source_directory or default or "."


def relative_source(step: PipelineStep, default: str | None, base: Path) -> str:
    """Return a step's source directory, relative to the base where it is below it."""
    folder = Path(_source(step, default)) if isinstance(step, PythonScriptStep) else Path()
    if folder.is_absolute() and folder.is_relative_to(base):
        folder = folder.relative_to(base)
    return folder.as_posix()
