"""Finds the source directories of steps, and says which scripts are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_ml_pipelines.core.errors import did_you_mean
from dag_factory.calls import Call
from dag_factory.steps.step import PipelineStep

__all__ = ["choose_base", "relative_source"]


def choose_base(
    steps: Sequence[PipelineStep],
    default: str | None,
    bases: Sequence[Path],
    problems: list[tuple[Call | None, str]],
) -> Path:
    """Return the first base under which every script is there; one that holds all folders is better.

    :param problems: where there is none, each script that is missing is added to it.
    """
    scripts = [step for step in steps if step.script_name]
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
        base = candidates[0]
        found = (_missing(step, base / folder) for step, folder in zip(scripts, folders, strict=True))
        problems += [(step.made_at, text) for step, text in zip(scripts, found, strict=True) if text]
        return base
    return next(
        (base for base in whole if all((base / folder).is_relative_to(base) for folder in folders)), whole[0]
    )


def _missing(step: PipelineStep, place: Path) -> str | None:
    """Return what is missing of a step in its source directory."""
    if (place / step.script_name).is_file():
        return None
    if not place.is_dir():
        return f"step {step.name!r}: there is no source_directory {place}"
    ending = Path(step.script_name).suffix or ".py"
    scripts = sorted(path.relative_to(place).as_posix() for path in _scripts(place, ending))
    hint = did_you_mean(step.script_name, scripts) if scripts else ""
    return (
        f"step {step.name!r}: there is no script {step.script_name!r} in {place}{f'.{hint}' if hint else ''}"
    )


def _scripts(folder: Path, ending: str) -> Iterator[Path]:
    yield from folder.glob(f"*{ending}")
    yield from folder.glob(f"*/*{ending}")


def _source(step: PipelineStep, default: str | None) -> str:
    return step.source_directory or default or "."


def relative_source(step: PipelineStep, default: str | None, base: Path) -> str:
    """Return a step's source directory, relative to the base where it is below it."""
    folder = Path(_source(step, default)) if step.script_name else Path()
    if folder.is_absolute() and folder.is_relative_to(base):
        folder = folder.relative_to(base)
    return folder.as_posix()
