"""A small pipeline whose outputs can be foretold, so that a wrong one is seen; and what a crash may leave of it.

::

    data in/ ─► split ─┬─ left ──► join (uploads) ─► label (at a fixed path) ─► report
                       └─ right ─┘                                                │
    dataset names (registered) ───────────────────────────────────────────────────┘
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airflow_ml_pipelines.core.check import Finding, check_workspace
from airflow_ml_pipelines.core.runs.folder import RunFolder, find_latest_run
from airflow_ml_pipelines.core.spec import Data, Location
from airflow_ml_pipelines.core.workspaces.workspace import Workspace
from airflow_ml_pipelines.workspace_file import load_workspace

PARTS = 3
"""How many files each output has: one that is not whole lacks some."""

COMMAND = [sys.executable, "-m", "dag_factory.cli"]

WORKSPACE = """\
name: shop
lease_seconds: {lease}
"""

PIPELINE = """\
parameters: {word: one}
data:
  texts: {path: in}
  names: {dataset: names}
steps:
  split:
    script: make.py
    source_directory: split
    inputs: {texts: texts}
    outputs: {left: , right: {register: right}}
    arguments: [split, "${{ inputs.texts }}", --, "${{ outputs.left }}", "${{ outputs.right }}"]
  join:
    script: make.py
    source_directory: join
    outputs: {joined: {mode: upload}}
    arguments: [join, "${{ steps.split.outputs.left }}", "${{ steps.split.outputs.right }}", --,
                "${{ outputs.joined }}"]
  label:
    script: make.py
    source_directory: label
    outputs: {labelled: {path: results/latest}}
    arguments: ["label-${{ parameters.word }}", "${{ steps.join.outputs.joined }}", --, "${{ outputs.labelled }}"]
  report:
    script: make.py
    source_directory: report
    inputs: {names: names}
    outputs: {report: }
    arguments: [report, "${{ steps.label.outputs.labelled }}", "${{ inputs.names }}", --, "${{ outputs.report }}"]
"""

SCRIPT = """\
# revision REVISION COMMENT
import hashlib, pathlib, sys
word, *rest = sys.argv[1:]
at = rest.index("--")
content = "REVISION " + word
for source in map(pathlib.Path, rest[:at]):
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        content += f"\\n{file.name}: {file.read_text()}"
for number, target in enumerate(map(pathlib.Path, rest[at + 1:])):
    for part in range(PARTS):
        text = hashlib.sha256(f"{number} {part} {content}".encode()).hexdigest()
        (target / f"{part}.txt").write_text(text)
"""

Files = Mapping[str, str]


@dataclass
class Shop:
    """A workspace, the pipeline, and what it reads.

    :param folder: where all of it is.
    :param root: the workspace's, a URL for one on a server.
    :param connection: the Airflow connection to that.
    """

    folder: Path
    root: str = ""
    connection: str = ""
    lease: int = 60
    word: str = "one"
    texts: dict[str, str] = field(default_factory=dict)
    revisions: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("split", "join", "label", "report"), 0)
    )

    def open(self) -> Shop:
        """Make all of it."""
        text = WORKSPACE.format(lease=self.lease)
        if self.root:
            text += f"root: {{url: {self.root}, connection: {self.connection}}}\n"
        (self.folder / "workspace.yaml").write_text(text)
        self.file.write_text(PIPELINE)
        store = self.workspace.datastore()
        store.put("names/a.txt", b"some names")
        self.workspace.register_dataset(
            "names", Data(locations=(Location(datastore="workspaceblobstore", path="names"),))
        )
        for step in self.revisions:
            self.write_script(step, 0)
        self.write_text("a.txt", "0")
        self.write_text("b.txt", "0")
        return self

    @property
    def file(self) -> Path:
        return self.folder / "shop.pipeline.yaml"

    @property
    def workspace(self) -> Workspace:
        return load_workspace(self.folder / "workspace.yaml")

    @property
    def run_command(self) -> list[str]:
        return ["run", str(self.file), "-q", "-p", f"word={self.word}"]

    @property
    def accept_command(self) -> list[str]:
        return ["accept", str(self.file), "--all", "--reason", "comments", "-y", "-p", f"word={self.word}"]

    @property
    def gc_command(self) -> list[str]:
        """Removes at once what was marked before, and marks what is older than a day."""
        return ["gc", "--workspace", str(self.folder), "--delete", "--older-than", "1d", "--grace", "1s"]

    def write_script(self, step: str, revision: int, comment: str = "") -> None:
        self.revisions[step] = revision
        file = self.folder / step / "make.py"
        file.parent.mkdir(exist_ok=True)
        values = {"REVISION": str(revision), "COMMENT": comment, "PARTS": str(PARTS)}
        file.write_text(re.sub("REVISION|COMMENT|PARTS", lambda found: values[found[0]], SCRIPT))

    def write_text(self, name: str, text: str) -> None:
        self.texts[name] = text
        self.workspace.datastore().put(f"in/{name}", text.encode())

    def change(self, chance: random.Random) -> None:
        """Change something that a run depends on; often it has been so before, so that there is a result to reuse."""
        what = chance.choice(("word", "text", *self.revisions))
        value = chance.randrange(3)
        if what == "word":
            self.word = f"word{value}"
        elif what == "text":
            self.write_text(chance.choice(("a.txt", "b.txt")), str(value))
        else:
            self.write_script(what, value)

    def expected(self) -> dict[str, Files]:
        """Return the files of each output as a run makes them that nothing disturbs."""
        left, right = self._made("split", "split", self.texts, outputs=2)
        (joined,) = self._made("join", "join", left, right)
        (labelled,) = self._made("label", f"label-{self.word}", joined)
        (report,) = self._made("report", "report", labelled, {"a.txt": "some names"})
        return {"left": left, "right": right, "joined": joined, "labelled": labelled, "report": report}

    def _made(self, step: str, word: str, *sources: Files, outputs: int = 1) -> list[Files]:
        content = f"{self.revisions[step]} {word}"
        content += "".join(f"\n{name}: {text}" for files in sources for name, text in sorted(files.items()))
        return [
            {
                f"{part}.txt": hashlib.sha256(f"{number} {part} {content}".encode()).hexdigest()
                for part in range(PARTS)
            }
            for number in range(outputs)
        ]

    def outputs(self, run: RunFolder | None = None) -> dict[str, Files]:
        """Return the files of each output of a run, the latest one for None."""
        workspace = self.workspace
        run = run or find_latest_run(workspace.store, "shop")
        found = {}
        for step in run.steps().values():
            assert step.ended_well, step
            for name, output in step.outputs.items():
                store = workspace.datastore(output.datastore)
                found[name] = {
                    info.path[len(output.path) + 1 :]: store.get(info.path).decode()
                    for info in store.walk(output.path)
                }
        return found

    def expire_leases(self) -> None:
        """Let so much time pass that nobody holds a lease any more of those who are gone."""
        if self.root:  # nobody else can set the time of a server's objects
            self.workspace.store.remove("leases")
        else:
            self._age("leases/*/*/*", 2 * self.lease)

    def age(self, days: float) -> None:
        """Let so many days pass for all that is there."""
        self._age("**/*", days * 24 * 3600)

    def _age(self, pattern: str, seconds: float) -> None:
        for file in self.workspace.store.root.glob(pattern):
            if file.is_file():
                when = file.stat().st_mtime - seconds
                os.utime(file, (when, when))

    def findings(self) -> list[Finding]:
        """Return what the checker finds, less what a crash may leave."""
        return [found for found in check_workspace(self.workspace) if not _may_be_left(found)]

    def left(self) -> Iterator[str]:
        """Yield what the checker finds of what a crash may leave."""
        return (found.text for found in check_workspace(self.workspace) if _may_be_left(found))


_LEFT = (
    "the step was running when its process was lost",
    "holds it and gives no sign of life; another may take it over",
    "of the same key came after it",
    "its list is missing; the next run with these files writes it",
    "it has no plan: it ended while it was being planned",
    "what a process left that was killed while it wrote",
    "it is being removed; the next clean-up goes on with it",
)
_OVERWRITTEN = re.compile(r"output 'labelled': |input 'data': ")
"""At a path that the user has fixed the latest attempt writes, and results of earlier ones are not whole any more."""


def _may_be_left(found: Finding) -> bool:
    if found.level == "damaged":
        return _OVERWRITTEN.match(found.text) is not None
    return found.level == "note" and any(text in found.text for text in _LEFT)
