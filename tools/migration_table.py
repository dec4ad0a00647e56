"""Writes the table of docs/migration.md: what became of each class and method of Azure ML SDK v1.

python tools/migration_table.py
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from dag_factory.migrate.counterparts import Counterpart, read_counterparts

__all__ = ["PAGE", "page_with_table"]

PAGE = Path(__file__).parent.parent / "docs" / "migration.md"

_BEGIN = "<!-- made by tools/migration_table.py -->\n"


def page_with_table(page: str) -> str:
    """Return the page with the table as it has to be at its end."""
    head, mark, _ = page.partition(_BEGIN)
    assert mark, f"expected {_BEGIN!r} in the page"
    return head + mark + "\n" + "\n".join(_lines()) + "\n"


def _lines() -> list[str]:
    lines: list[str] = []
    items = sorted(read_counterparts().values(), key=lambda item: item.module)
    for module, classes in groupby(items, lambda item: item.module):
        lines += [f"### {module}", "", "| there | here | |", "|---|---|---|"]
        for item in classes:
            lines += _rows(item)
        lines.append("")
    return lines[:-1]


def _rows(item: Counterpart) -> list[str]:
    note = f"`{item.becomes}`" if item.becomes not in (None, item.name) else item.note
    rows = [f"| **`{item.name}`** | {item.status} | {note} |"]
    same = [method.name for method in item.methods if method.status == "same"]
    if same:
        names = ", ".join(f"`{name}`" for name in same)
        rows.append(f"| {names} | same | |")
    rows += [
        f"| `{item.name}.{method.name}` | {method.status} | {method.note} |"
        for method in item.methods
        if method.status != "same"
    ]
    return rows


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
