"""What a fuzzer begins with: texts and documents of every kind, good and broken."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

from dag_factory.cli import main
from dag_factory.definitions.schema import pipeline_schema, workspace_schema
from fuzz.targets import KINDS

__all__ = ["dictionary", "seeds"]

TESTS = Path(__file__).parents[1]
WORDS = (
    "${{ inputs.x }}", "${{", "}}", "$${{", "<<: *a", "&a", "*a", "- ", ": ", "? ", "|\n", ">-\n", "\t", "'", '"', "#",
    "!!str", "---\n", "...\n", "{", "}", "[", "]", "1.10", "0o17", "3:20", "yes", "null", "2026-01-31", "python a.py",
    "$[[", "]]", "azureml:", "file:./", "${{parent.inputs.x}}", "${{parent.jobs.a.outputs.b}}", '"schema": 1',
)  # fmt: skip
NAMES = {
    "run.json": "RunDocument", "plan.json": "PlanDocument", "result.json": "ResultDocument", "job.json": "Job",
    "record.json": "Record", "copy.json": "StepDocument", "made.json": "Manifest",
}  # fmt: skip


def dictionary() -> str:
    """Return the words that a fuzzer puts together, in the form that libFuzzer reads."""
    words = {*WORDS}
    for schema in (pipeline_schema(), workspace_schema()):
        for part in [schema, *schema["$defs"].values()]:
            long = part["anyOf"][-1] if "anyOf" in part else part
            words |= {f"{name}:" for name in long["properties"]}
    return "".join(
        '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n' for word in sorted(words)
    )


def seeds(target: str) -> Iterator[bytes]:
    """Yield what a target's fuzzer begins with."""
    folders = {"definition": ["broken/definitions", "dag_factory/azure"], "workspace": ["broken/workspaces"]}
    for folder in folders.get(target, []):
        for file in sorted((TESTS / folder).rglob("*")):
            if file.suffix == ".txt":
                yield from (
                    case.partition("\n")[2].partition("!!! ")[0].encode()
                    for case in file.read_text().split("=== ")
                )
            elif file.name.endswith(".pipeline.yaml"):
                yield file.read_bytes()
    if target in ("convert", "command"):
        for file in sorted((TESTS / "dag_factory/azure").rglob("*.yml")):
            yield file.read_bytes()
    if target == "command":
        yield b"python -u a.py --x ${{inputs.ab}} $[[--y ${{inputs.a}}]] 'a b' \\\n c"
    if target == "operation":
        yield b'{"do": "filter", "where": ["and", ["gt", ["column", "a"], ["value", 1]], ["in", ["column", "b"], [["value", "x"]]]]}'
        yield b'{"do": "split", "percentage": 0.5, "seed": 1, "rest": true}'
    if target == "document":
        yield from _documents()
    if target == "archive":
        yield _archive()


def _documents() -> Iterator[bytes]:
    """Yield the documents of a small run."""
    kinds = [kind.__name__ for kind in KINDS]
    with tempfile.TemporaryDirectory() as name, chdir(name):
        Path("workspace.yaml").touch()
        Path("a.py").write_text("")
        Path("p.pipeline.yaml").write_text(
            'parameters: {n: 1}\nsteps: {copy: {script: a.py, outputs: {made: }, arguments: ["${{ parameters.n }}", "${{ outputs.made }}"]}}\n'
        )
        os.environ["ML_PIPELINES_CACHE"] = f"{name}/cache"
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            assert main(["run", "p.pipeline.yaml"]) == 0
        for file in sorted(Path(name).rglob("*.json")):
            kind = NAMES.get(file.name) or (
                "Record"
                if "reuse" in file.parts
                else "History"
                if "history" in file.parts
                else "LeaseDocument"
                if "leases" in file.parts
                else "Manifest"
            )
            yield bytes([kinds.index(kind)]) + json.dumps(json.loads(file.read_text())).encode()
        for file in sorted(Path(name, "cache").rglob("*")):
            if file.is_file():
                yield bytes([kinds.index("Table")]) + file.read_bytes()[:2000]


def _archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as target:
        for name in ("a.py", "lib/b.py", "data/", "data/c"):
            target.writestr(name, "" if name.endswith("/") else "x" * 20)
    return data.getvalue()
