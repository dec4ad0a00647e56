import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import what they share from the files beside them


@pytest.fixture
def project(tmp_path, monkeypatch):
    from project import Project

    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    return Project(tmp_path)
