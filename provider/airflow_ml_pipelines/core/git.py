"""Asks git where a folder's files come from: repository, branch, commit, and whether they were changed since.

What git says is kept with a run and is no part of any key.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

__all__ = ["git_facts"]

_SECONDS = 5.0
_KEPT = 10.0
_FIELDS = ("repository_uri", "branch", "commit", "dirty", "build_id", "build_uri")
_USER = re.compile(r"(?<=://)[^/@]*@")

_known: dict[str, tuple[float, dict[str, str]]] = {}


def git_facts(directory: Path | str) -> dict[str, str]:
    """Return ``repository_uri``, ``branch``, ``commit`` and ``dirty`` of the repository that a folder is in.

    Without git or a repository there are none. A variable ``AZUREML_GIT_<FIELD>`` takes the place of what git says.
    Credentials in the repository's URL are left out.
    """
    top = os.path.abspath(directory)
    when, facts = _known.get(top, (0.0, {}))
    if time.monotonic() - when > _KEPT or when == 0.0:
        facts = _ask(top) if _has_repository(top) else {}
        _known[top] = (time.monotonic(), facts)
    given = {field: os.environ.get(f"AZUREML_GIT_{field.upper()}", "") for field in _FIELDS}
    return {**facts, **{field: _USER.sub("", value) for field, value in given.items() if value}}


def _has_repository(top: str) -> bool:
    """Look before git is started: where there is no repository, that costs next to nothing."""
    return any((folder / ".git").exists() for folder in (Path(top), *Path(top).parents))


def _ask(top: str) -> dict[str, str]:
    status = _git(top, "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=all", ".")
    if status is None:
        return {}
    head = dict(line[2:].split(" ", 1) for line in status.splitlines() if line.startswith("# ") and " " in line[2:])
    facts = {"dirty": str(any(not line.startswith("#") for line in status.splitlines())).lower()}
    if head.get("branch.oid", "(initial)") != "(initial)":
        facts["commit"] = head["branch.oid"]
    if head.get("branch.head", "(detached)") != "(detached)":
        facts["branch"] = head["branch.head"]
    remote = _git(top, "config", "--get", "remote.origin.url")
    if remote and remote.strip():
        facts["repository_uri"] = _USER.sub("", remote.strip())
    return facts


def _git(top: str, *arguments: str) -> str | None:
    # a repository's own configuration can name programs to run: none of them is
    safe = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat")
    try:
        done = subprocess.run(
            ["git", *safe, *arguments],
            cwd=top,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
