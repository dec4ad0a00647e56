"""Tells what a run does, in lines of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from airflow_ml_pipelines.core.amounts import seconds_text, size_text

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.keys.diff_files import FileChange
    from airflow_ml_pipelines.core.keys.differences import Difference, FilesChange
    from airflow_ml_pipelines.core.runs.folder import OutputDocument, PlanDocument, StepDocument

__all__ = [
    "narrate_differences",
    "narrate_line",
    "narrate_output",
    "narrate_plan",
    "narrate_step",
]


def narrate_plan(plan: PlanDocument, names: Mapping[str, str]) -> list[str]:
    """Return a line about all steps together, and one about each that is reused."""
    reused = [step for step in plan.steps if step.decision == "reuse"]
    saved = sum(step.saved for step in reused)
    head = f"{len(plan.steps)} step{'' if len(plan.steps) == 1 else 's'}: {len(reused)} reused"
    if reused:
        head += f" ({seconds_text(saved)} saved)"
    lines = [f"{head}, {len(plan.steps) - len(reused)} to run"]
    lines += [f"[{names.get(step.step, step.step)}] reused: {'; '.join(step.reasons)}" for step in reused]
    return lines


def narrate_step(document: StepDocument, names: Mapping[str, str], *, whole_error: bool = False) -> list[str]:
    """Return what is new about a step.

    :param whole_error: whether to have all lines of an error; the first one will do where the others, which are the
        script's last lines, were seen before.
    """
    label = f"[{names.get(document.step, document.step)}]"
    if document.status == "running":
        return [f"{label} running: {'; '.join(document.reasons) or 'no reason given'}"]
    if document.status == "reused":
        return [f"{label} reused: {'; '.join(document.reasons)}"]
    if document.status == "finished":
        outputs = ", ".join(narrate_output(name, output) for name, output in document.outputs.items())
        took = "" if document.seconds is None else f" in {seconds_text(document.seconds)}"
        return [f"{label} finished{took}" + (f": {outputs}" if outputs else "")]
    if document.status in ("failed", "canceled"):
        lines = (document.error or "no reason given").splitlines()
        return [f"{label} {document.status}: {line}" for line in (lines if whole_error else lines[:1])]
    return []


def narrate_line(step: str, stream: str, line: str, names: Mapping[str, str]) -> str:
    """Return a line that a step's script wrote, or that is said about it."""
    label = f"[{names.get(step, step)}] " if step else ""
    return f"{label}{line.rstrip()}" if stream != "log" else f"{label}({line.rstrip()})"


def narrate_output(name: str, output: OutputDocument) -> str:
    """Return an output with its size."""
    files = f"{output.files} file{'' if output.files == 1 else 's'}"
    return f"{name} ({files}, {size_text(output.size)})"


def narrate_differences(differences: Iterable[Difference]) -> list[str]:
    """Return a line a difference, and below it a line a file."""
    from airflow_ml_pipelines.core.keys.differences import FilesChange

    lines = []
    for difference in differences:
        if isinstance(difference, FilesChange) and difference.files:
            lines += narrate_files(difference)
        else:
            lines.append(difference.text)
    return lines


def narrate_files(change: FilesChange) -> list[str]:
    """Return how many files differ, and a line with the sizes for each that is named."""
    counts = {"new": change.added, "gone": change.removed, "changed": change.changed}
    counts = {word: count for word, count in counts.items() if count}
    said = f"{change.count} file{'' if change.count == 1 else 's'} "
    if len(counts) == 1:
        said += next(iter(counts))
    else:
        said += "differ: " + ", ".join(f"{count} {word}" for word, count in counts.items())
    causes = "; ".join(cause.text for cause in change.causes)
    width = min(max(len(item.path) for item in change.files), _WIDEST)
    lines = [f"{change.label}: {said}" + (f" ({causes})" if causes else "")]
    lines += [f"  {_SIGNS[item.change]} {item.path.ljust(width)}  {_sizes(item)}" for item in change.files]
    if change.count > len(change.files):
        lines.append(f"  … and {change.count - len(change.files)} more")
    return lines


_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_WIDEST = 60


def _sizes(item: FileChange) -> str:
    if item.executable is not None:
        return "now executable" if item.executable else "no longer executable"
    sizes = [size_text(size) for size in (item.old_size, item.new_size) if size is not None]
    return " → ".join(dict.fromkeys(sizes))
