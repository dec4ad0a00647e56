"""What an image's Python has to compile to run the launcher, kept since one container has compiled it.

See :mod:`airflow_ml_pipelines.runtime.start`, which does it and uses it.
"""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from pathlib import Path

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.execution.targets.docker_engine import DockerEngine, not_found
from airflow_ml_pipelines.execution.targets.payload import (
    FOLDER,
    START,
    kept,
    launcher_digest,
    launcher_files,
    make_tar,
)
from airflow_ml_pipelines.execution.targets.port import Log

__all__ = ["Bytecode"]

_RESULT = f"{FOLDER}/new"
_MOST = 32 << 20
_TIMEOUT = 120


class Bytecode:
    """The compiled modules of images, as they are kept in a folder.

    :param cache: the folder.
    """

    def __init__(self, engine: DockerEngine, cache: Path) -> None:
        self._engine = engine
        self._cache = cache

    def find(self, image: str, interpreter: str, log: Log) -> bytes:
        """Return the compiled modules of the launcher for an image's Python; nothing where they can't be had.

        :param image: its id.
        """
        document = {"image": image, "interpreter": interpreter, "launcher": launcher_digest()}
        digest = digest_document("ml-pipelines/bytecode/1", document)

        def make() -> bytes:
            log("compiling the launcher for the image, once …")
            return self._compile(image, interpreter)

        try:
            return kept(self._cache / f"compiled-{digest[:32]}", make)
        except ComputeTargetException as error:
            log(f"the launcher can't be compiled for the image, so each step does it: {error}")
            return b""

    def _compile(self, image: str, interpreter: str) -> bytes:
        client = self._engine.client
        with self._engine.errors("compile the launcher"):
            made = client.create_container(
                image,
                entrypoint=[interpreter],
                command=[START, "--compile", _RESULT],
                environment={"PYTHONDONTWRITEBYTECODE": "1"},
                user="0:0",
                working_dir="/",
                network_disabled=True,
            )["Id"]
            try:
                client.put_archive(made, "/", make_tar(launcher_files(self._cache)))
                client.start(made)
                code = client.wait(made, timeout=_TIMEOUT)["StatusCode"]
                if code:
                    said = client.logs(made, stdout=True, stderr=True).decode("utf-8", "replace").strip()
                    raise ComputeTargetException(said.splitlines()[-1] if said else f"exit code {code}")
                return self._fetch(made)
            finally:
                with suppress(not_found()):
                    client.remove_container(made, force=True, v=True)

    def _fetch(self, container: str) -> bytes:
        pieces, known = self._engine.client.get_archive(container, _RESULT)
        if known["size"] > _MOST:
            raise ComputeTargetException(f"it has {known['size']} bytes")
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
            [entry] = tar.getmembers()
            file = tar.extractfile(entry)
            assert file is not None
            return file.read()
