"""Finds out which commit a directory is at, for the record of a run.

The repository is somebody's, and nothing in it may run on our behalf: git is called so that no hook, file-system
monitor, filter or transport of the repository's own configuration is started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

__all__ = ["git_facts"]

_FRESH = 5.0
_TIMEOUT = 5.0
_GRACE = 1.0
_NO_MATCH = 1
_USAGE_ERROR = 129
_HARMLESS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.untrackedCache=false",
    "protocol.allow=never",
    "status.submoduleSummary=false",
)
_OVERRIDES = {
    "repository": "AZUREML_GIT_REPOSITORY_URI",
    "branch": "AZUREML_GIT_BRANCH",
    "commit": "AZUREML_GIT_COMMIT",
    "dirty": "AZUREML_GIT_DIRTY",
    "build_id": "AZUREML_GIT_BUILD_ID",
    "build_uri": "AZUREML_GIT_BUILD_URI",
}

_known: dict[str, tuple[float, dict[str, str]]] = {}
_lock = threading.Lock()


def git_facts(directory: str | os.PathLike[str]) -> dict[str, str]:
    """Return ``repository``, ``branch``, ``commit`` and ``dirty`` (``true`` or ``false``) of a directory.

    What can't be found out is left out: all of it where there is no repository, or no git. The variables
    ``AZUREML_GIT_REPOSITORY_URI``, ``…_BRANCH``, ``…_COMMIT``, ``…_DIRTY``, ``…_BUILD_ID`` and ``…_BUILD_URI`` come
    first. No URL has user or password in it.
    """
    folder = os.path.abspath(directory)
    facts: dict[str, str] = {}
    if _has_repository(folder):
        with _lock:
            when, facts = _known.get(folder, (0.0, {}))
            if not when or time.monotonic() - when > _FRESH:
                facts = _ask(folder)
                _known[folder] = (time.monotonic(), facts)
    given = {fact: value for fact, variable in _OVERRIDES.items() if (value := os.environ.get(variable))}
    for fact in ("repository", "build_uri"):
        if fact in given:
            given[fact] = _without_user(given[fact])
    return {**facts, **given}


def _has_repository(folder: str) -> bool:
    while not os.path.lexists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return False
        folder = parent
    return True


def _ask(folder: str) -> dict[str, str]:
    deadline = time.monotonic() + _TIMEOUT
    settings = _settings(folder, deadline)
    facts = _status(folder, settings, deadline) if settings is not None else None
    if facts is None:  # the files can't be looked through in time or in safety: the commit is known without
        head = _run(folder, ["rev-parse", "HEAD", "--abbrev-ref", "HEAD"], time.monotonic() + _GRACE)
        commit, _, branch = head.text.strip().partition("\n")
        facts = {"commit": commit, "branch": "" if branch == "HEAD" else branch} if head.code == 0 else {}
    if not facts:
        return {}
    urls = {s.name: s.value for s in settings or () if s.name.startswith("remote.")}
    remotes = [s.value for s in settings or () if s.name == f"branch.{facts['branch']}.remote"]
    found = [urls[name] for remote in (*remotes, "origin") if (name := f"remote.{remote}.url") in urls]
    if url := next(iter([*found, *urls.values()]), ""):
        facts["repository"] = _without_user(url)
    return {
        fact: value for fact, value in facts.items() if value and not value.startswith("(")
    }  # (detached), (initial)


def _status(folder: str, settings: Iterable[_Setting], deadline: float) -> dict[str, str] | None:
    filters = _own_filters(settings)
    if any("=" in name for name in filters):  # can't be set on a command line
        return None
    options = ["--branch", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=dirty"]
    off = (*_HARMLESS, *(f"{name}=" for name in filters))
    result = _run(folder, ["status", "--porcelain=v2", *options], deadline, off)
    if result.code != 0:
        return None if result.code is None else {}
    lines = result.text.split("\0")
    headers = dict(line[2:].partition(" ")[::2] for line in lines if line.startswith("# "))
    dirty = any(line and not line.startswith("# ") for line in lines)
    return {
        "commit": headers.get("branch.oid", ""),
        "branch": headers.get("branch.head", ""),
        "dirty": "true" if dirty else "false",
    }


class _Setting(NamedTuple):
    scope: str
    name: str
    value: str


def _settings(folder: str, deadline: float) -> list[_Setting] | None:
    wanted = ["-z", "--get-regexp", r"^(remote\..*\.url|branch\..*\.remote|filter\..*)$"]
    result = _run(folder, ["config", "--show-scope", *wanted], deadline)
    if result.code == _USAGE_ERROR:  # git before 2.26 can't tell whose a setting is
        result = _run(folder, ["config", *wanted], deadline)
        pairs = [("local", item) for item in result.text.split("\0")]
    else:
        items = result.text.split("\0")
        pairs = list(zip(items[::2], items[1::2], strict=False))
    if result.code not in (0, _NO_MATCH):
        return None
    return [_Setting(scope, *item.partition("\n")[::2]) for scope, item in pairs if item]


def _own_filters(settings: Iterable[_Setting]) -> list[str]:
    """Return the settings that would make git start a program that the repository itself names."""
    own = {s.name for s in settings if s.name.startswith("filter.") and s.scope not in ("system", "global")}
    drivers = {name.rpartition(".")[0] for name in own}
    return sorted(
        f"{driver}.{what}" for driver in drivers for what in ("clean", "process", "required", "smudge")
    )


class _Result(NamedTuple):
    code: int | None
    text: str


def _run(
    folder: str, command: Sequence[str], deadline: float, settings: Sequence[str] = _HARMLESS
) -> _Result:
    """Run git; the code is None where it took too long or there is no git."""
    options = [part for setting in settings for part in ("-c", setting)]
    try:
        process = subprocess.Popen(
            ["git", "--no-pager", *options, *command],
            cwd=folder,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return _Result(-1, "")
    try:
        output, _ = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=1)
        return _Result(None, "")
    return _Result(process.returncode, output.decode(errors="replace"))


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    # GIT_DIR and its like speak of another repository: that of a hook that we may have been started by
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("GIT_") or name.startswith(("GIT_CONFIG", "GIT_CEILING"))
    }
    return {
        **kept,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def _without_user(url: str) -> str:
    if "://" not in url:
        return url.rpartition("@")[2] if ":" in url.partition("@")[0] and "@" in url else url
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
