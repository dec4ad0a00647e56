"""The files of a run: what a script adds by name, and what it leaves in ``./outputs`` and ``./logs``.

A name is a path under the attempt's folder: ``outputs/…`` or ``logs/user/…`` (beside the logs that the launcher writes).
``logs/…`` is short for the latter, and any other name for one in ``outputs/``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FOLDERS", "Artifacts", "artifact_path", "list_files"]

FOLDERS = ("outputs", "logs/user")
"""Where the files of a run are, under the attempt's folder."""


def artifact_path(name: str) -> str:
    """Return where an artifact lies under the attempt's folder.

    :raises DataError: for a name that is absolute or has ``..``.
    """
    segments = [segment for segment in name.replace(os.sep, "/").split("/") if segment not in ("", ".")]
    if not segments or ".." in segments or os.path.isabs(name) or "\0" in name:
        raise DataError(
            f"{name!r} can't be the name of a file of a run: expected a relative path without '..'"
        )
    if segments[0] == "logs" and len(segments) > 1:
        rest = segments[2:] if segments[1] == "user" and len(segments) > 2 else segments[1:]
        return "/".join(["logs", "user", *rest])
    if segments[0] == "outputs" and len(segments) > 1:
        return "/".join(segments)
    return "/".join(["outputs", *segments])


def list_files(folder: str) -> Iterator[str]:
    """Yield the files below a folder by relative path, sorted; links to folders are not followed."""
    for top, folders, names in os.walk(folder):
        folders.sort()
        prefix = os.path.relpath(top, folder).replace(os.sep, "/")
        for name in sorted(names):
            if os.path.isfile(os.path.join(top, name)):
                yield name if prefix == "." else f"{prefix}/{name}"


class Artifacts:
    """The files of the present run.

    :param root: the attempt's folder, or one in its place; the current directory where there is no orchestrator.
    :param directory: the folder in which the script was started: files in its ``outputs`` and ``logs`` count too.
    """

    def __init__(self, root: str, directory: str, *, offline: bool = False) -> None:
        self.root = root
        self.directory = directory
        self.offline = offline

    def add(self, name: str, source: Any) -> str:
        """Add a file or an open stream under a name that has none yet (offline: may have one); return where it lies.

        :raises DataError: where there is no such file, or the name is taken.
        """
        target = os.path.join(self.root, *artifact_path(name).split("/"))
        is_path = isinstance(source, (str, os.PathLike))
        if is_path and not os.path.isfile(source):
            found = "is a folder: use upload_folder" if os.path.isdir(source) else "is not there"
            raise DataError(f"can't add file {name!r} to the run: {os.fspath(source)!r} {found}")
        if is_path and os.path.exists(target) and os.path.samefile(source, target):
            return target
        if os.path.exists(target) and not self.offline:
            raise DataError(
                f"the run has a file {name!r} already, and files of a run are not replaced: give another name"
            )
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if is_path:
            import shutil  # which imports every kind of archive

            shutil.copyfile(source, target)
            return target
        with open(target, "wb") as file:
            data = source.read() if hasattr(source, "read") else bytes(source)
            file.write(data.encode() if isinstance(data, str) else data)
        return target

    def names(self) -> list[str]:
        """Return the names of all files of the run so far."""
        found = {f"{top}/{path}" for top in FOLDERS for path in list_files(os.path.join(self.root, top))}
        for top in ("outputs", "logs"):  # these are kept when the script has ended
            found.update(
                artifact_path(f"{top}/{path}") for path in list_files(os.path.join(self.directory, top))
            )
        return sorted(found)

    def find(self, name: str) -> str:
        """Return where a file of the run lies. :raises DataError: where it has none of that name."""
        path = artifact_path(name)
        places = [os.path.join(self.root, path), os.path.join(self.directory, path)]
        if path.startswith("logs/user/"):
            places.append(os.path.join(self.directory, "logs", path[len("logs/user/") :]))
        for place in places:
            if os.path.isfile(place):
                return place
        raise DataError(f"the run has no file {name!r}." + did_you_mean(name, self.names()))
