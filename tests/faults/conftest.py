from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import what they share from the files beside them

NUMBER = os.environ.get("ML_PIPELINES_FAULTS", "4")
"""How often each test lets something fail: a number, or ``all`` for every moment at which it can."""


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture
def moments():
    """Return at which of so many changes there is to be a fault, evenly spread.

    Of slow ones only at a share of them: of the number that is asked for, and of all.
    """

    def choose(count: int, share: int = 1, of_all: int = 1) -> list[int]:
        wanted = count // of_all if NUMBER == "all" else min(count, int(NUMBER)) // share
        if wanted < 2:
            return [(count + 1) // 2]
        return [1 + number * (count - 1) // (wanted - 1) for number in range(wanted)]

    return choose


@pytest.fixture
def shop(tmp_path, monkeypatch):
    from shop import Shop

    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
    (tmp_path / "shop").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return Shop(tmp_path / "shop").open()
