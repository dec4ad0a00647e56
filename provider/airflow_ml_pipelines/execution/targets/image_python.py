"""Finds out which Python an image has, once per image."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import EnvironmentBuildError
from airflow_ml_pipelines.execution.targets.docker_engine import DockerEngine

__all__ = ["ImagePython"]

_OLDEST = (3, 11)
_ASK = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
_TIMEOUT = 60


class ImagePython:
    """The Pythons of images, as they are noted in a folder."""

    def __init__(self, engine: DockerEngine, cache: Path) -> None:
        self._engine = engine
        self._cache = cache

    def find(self, image: str, name: str, command: str, *, wanted: str | None, own: bool) -> str:
        """Return the interpreter of an image.

        :param image: its id.
        :param name: what people call it.
        :param command: the interpreter that is asked for; ``python`` for whichever is on the ``PATH``.
        :param wanted: the version that is asked for, as far as it is.
        :param own: whether the environment names the image; otherwise its Python is to be that of this process, which
            the reuse key says.
        :raises EnvironmentBuildError: where it has none, or another version than is wanted.
        """
        known = self._read(image, command) or self._ask(image, name, command)
        version = tuple(int(part) for part in known["version"].split("."))
        if version < _OLDEST:
            raise EnvironmentBuildError(
                f"image {name} has Python {known['version']}, and the launcher needs {_OLDEST[0]}.{_OLDEST[1]} or later: "
                "take a newer image"
            )
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        expected = wanted or (None if own or command != "python" else here)
        if expected is not None and not f"{known['version']}.".startswith(f"{expected}."):
            why = "the environment asks for" if wanted else "the process that plans has"
            raise EnvironmentBuildError(
                f"image {name} has Python {known['version']}, and {why} {expected}: take an image of that version, or "
                f'say python: "{".".join(known["version"].split(".")[:2])}" in the environment'
            )
        return str(known["command"])

    def _path(self, image: str, command: str) -> Path:
        digest = digest_document("ml-pipelines/image-python/1", {"image": image, "command": command})
        return self._cache / f"python-{digest[:32]}.json"

    def _read(self, image: str, command: str) -> dict[str, Any] | None:
        with suppress(OSError, ValueError, KeyError):
            found: dict[str, Any] = json.loads(self._path(image, command).read_bytes())
            if {"command", "version"} <= found.keys():
                return found
        return None

    def _ask(self, image: str, name: str, command: str) -> dict[str, Any]:
        tried = ("python3", "python") if command == "python" else (command,)
        said = ""
        for candidate in tried:
            said = self._run(image, candidate)
            if said.replace(".", "").isdecimal():
                found = {"command": candidate, "version": said}
                with suppress(OSError):
                    self._cache.mkdir(parents=True, exist_ok=True)
                    self._path(image, command).write_text(json.dumps(found))
                return found
        raise EnvironmentBuildError(
            f"image {name} has no {' or '.join(tried)} that runs ({said.splitlines()[-1] if said else 'it said nothing'}): "
            "name its interpreter in the environment, or take another image"
        )

    def _run(self, image: str, command: str) -> str:
        import docker.errors

        client = self._engine.client
        with self._engine.errors("look into an image"):
            made = client.create_container(
                image, entrypoint=[command], command=["-c", _ASK], network_disabled=True
            )["Id"]
            try:
                client.start(made)
                client.wait(made, timeout=_TIMEOUT)
                return client.logs(made, stdout=True, stderr=True).decode("utf-8", "replace").strip()  # type: ignore[no-any-return]
            except docker.errors.APIError as error:
                return str(error.explanation or error)
            finally:
                client.remove_container(made, force=True, v=True)
