from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from dag_factory import Workspace

COPY = """
import pathlib, sys
source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
target.mkdir(parents=True, exist_ok=True)
files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
(target / "all.txt").write_text("".join(p.read_text() for p in files) + " ".join(sys.argv[3:]))
print("copied", len(files))
"""


class Project:
    """A folder of scripts and data, which is the current one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str = "") -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"))
        return file

    def copy_script(self, path: str) -> Path:
        """A script that joins what its first argument names into a file of its second."""
        return self.write(path, COPY)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
    return Project(folder)


@pytest.fixture
def ws(project: Project) -> Workspace:
    return Workspace.create("test", show_output=False)
