"""Makes the image that has an environment, once, and finds it again by its digest.

An image with packages is made in a container of the base image: the packages are installed there into a folder of their
own, then the container's file system becomes the image. Other than in a Dockerfile, the credentials and certificates of
the package index are given to the installer alone, and never end up in a layer.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from airflow_ml_pipelines.core.canonical import digest_document
from airflow_ml_pipelines.core.errors import ComputeTargetException, EnvironmentBuildError
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.execution.installers import (
    SHOWN_LINES,
    fill_in,
    find_uv,
    mask_secrets,
    uv_options,
)
from airflow_ml_pipelines.execution.locks import locked
from airflow_ml_pipelines.execution.requirements import Requirements, collect_requirements
from airflow_ml_pipelines.execution.targets.docker_engine import DockerEngine
from airflow_ml_pipelines.execution.targets.image_python import ImagePython
from airflow_ml_pipelines.execution.targets.port import Log, Prepared

__all__ = ["LABEL", "Images"]

LABEL = "ml-pipelines.build"
"""The label of containers in which an image is made."""

_ENVIRONMENT = "/opt/ml-pipelines/environment"
_BUILD = "/tmp/.ml-pipelines-build"  # noqa: S108 - in a container of our own
_REPOSITORY = "ml-pipelines-environment"
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)", re.IGNORECASE | re.MULTILINE)
_INDEX = ("INDEX", "TRUSTED_HOST", "TIMEOUT", "RETRIES")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_BUNDLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class Images:
    """The images of an engine that have environments.

    :param cache: the folder in which it is noted which Python an image has, and where locks lie.
    :param registry: where images are pushed to and looked for; None for the engine alone.
    :param network: the network of containers in which an image is made.
    """

    def __init__(
        self, engine: DockerEngine, cache: Path, *, registry: str | None = None, network: str | None = None
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._registry = registry
        self._network = network
        self._pythons = ImagePython(engine, cache)

    def ensure(
        self,
        spec: EnvironmentSpec,
        base: str,
        *,
        own: bool,
        packages: Sequence[str],
        by_name: bool = False,
        log: Log,
    ) -> Prepared:
        """Return the image that has an environment, and its interpreter.

        :param base: the image that it is made from.
        :param own: whether the environment itself names that image, whose Python is the one that is wanted then.
        :param packages: what the launcher needs besides; an image that is run as it is must have them already.
        :param by_name: whether whoever runs the image finds it by its name, not by its digest on this engine.
        :raises EnvironmentBuildError: where it can't be made.
        :raises ComputeTargetException: where the engine can't be used, or the image can't be had.
        """
        image, name = self._base(spec, base, log)
        command = spec.interpreter if spec.user_managed else "python"
        python = self._pythons.find(image, base, command, wanted=spec.python, own=own)
        if not spec.user_managed or not (own or spec.interpreter != "python"):
            wanted = Requirements() if spec.user_managed else collect_requirements(spec, with_conda=False)
            wanted = wanted._replace(pip=(*wanted.pip, *packages))
            if wanted.pip:
                image, name = self._built(spec, wanted, image, python, own, log)
                python = f"{_ENVIRONMENT}/bin/python"
        return Prepared(python, name if by_name else image)

    # --- the base ------------------------------------------------------------------------------------------------

    @property
    def _prefix(self) -> str:
        return f"{self._registry.rstrip('/')}/" if self._registry else ""

    def _base(self, spec: EnvironmentSpec, name: str, log: Log) -> tuple[str, str]:
        if spec.dockerfile is not None:
            return self._from_dockerfile(spec.dockerfile, log)
        found = self._engine.inspect_image(name)
        if found is None:
            log(f"fetching image {name} …")
            self._engine.pull(name)
            found = self._engine.inspect_image(name)
            if found is None:
                raise ComputeTargetException(f"{self._engine.where}: image {name!r} is gone again")
        return str(found["Id"]), name

    def _from_dockerfile(self, text: str, log: Log) -> tuple[str, str]:
        digest = digest_document("ml-pipelines/dockerfile/1", {"text": text})[:32]
        tag = f"{self._prefix}ml-pipelines-dockerfile:{digest}"
        with self._alone(digest, lambda: log("waiting for the image of the Dockerfile, which is being made")):
            found = self._engine.inspect_image(tag)
            if found is None:
                log("making the image of the Dockerfile …")
                self._build_dockerfile(text, tag)
                if self._registry:
                    self._engine.push(tag)
                found = self._engine.inspect_image(tag)
        assert found is not None
        return str(found["Id"]), tag

    def _build_dockerfile(self, text: str, tag: str) -> None:
        last: deque[str] = deque(maxlen=SHOWN_LINES)
        client = self._engine.client
        for base in _FROM.findall(text):
            self._engine.log_in(base)
        with self._engine.errors("build the Dockerfile"):
            for event in client.build(
                fileobj=io.BytesIO(text.encode()), tag=tag, rm=True, forcerm=True, decode=True
            ):
                if "error" in event:
                    said = "\n".join([*last, str(event["error"]).strip()])
                    raise EnvironmentBuildError(f"the Dockerfile can't be built:\n{mask_secrets(said, ())}")
                last.extend(str(event.get("stream", "")).strip().splitlines())

    # --- packages ------------------------------------------------------------------------------------------------

    def _built(
        self, spec: EnvironmentSpec, wanted: Requirements, base: str, python: str, own: bool, log: Log
    ) -> tuple[str, str]:
        digest = digest_document(
            "ml-pipelines/image/1",
            {
                "base": base,
                "interpreter": python,
                "pip": sorted(wanted.pip),
                "options": list(wanted.options),
                "sees_base": own,
            },
        )[:32]
        name = f"{self._prefix}{_REPOSITORY}:{digest}"
        what = f"environment {spec.name!r}" if spec.name else "the step's environment"
        found = self._engine.inspect_image(name)
        if found is None:
            with self._alone(digest, lambda: log(f"waiting for the image of {what}, which is being made")):
                found = self._engine.inspect_image(name) or self._from_registry(name, log)
                if found is None:
                    try:
                        self._make(what, wanted, base, python, name, own, log)
                    except EnvironmentBuildError as error:
                        raise EnvironmentBuildError(f"the image of {what} can't be made: {error}") from None
                    found = self._engine.inspect_image(name)
        assert found is not None
        return str(found["Id"]), name

    def _from_registry(self, name: str, log: Log) -> dict[str, Any] | None:
        if not self._registry:
            return None
        with suppress(ComputeTargetException):  # nobody has pushed it yet
            self._engine.pull(name)
            log(f"found image {name} in the registry")
        return self._engine.inspect_image(name)

    def _make(
        self, what: str, wanted: Requirements, base: str, python: str, name: str, own: bool, log: Log
    ) -> None:
        for warning in wanted.warnings:
            log(f"warning: {what}: {warning}")
        log(f"making the image of {what} ({wanted.packages} package{'' if wanted.packages == 1 else 's'}) …")
        started = time.monotonic()
        repository, _, tag = name.rpartition(":")
        with _Builder(self._engine, base, python, tag, self._network) as builder:
            builder.install(wanted, sees_base=own)
            builder.commit(repository, tag)
        log(f"… made in {time.monotonic() - started:.1f} s: {name}")
        if self._registry:
            self._engine.push(name)
            log(f"pushed {name}")

    @contextmanager
    def _alone(self, digest: str, waiting: Any) -> Iterator[None]:
        self._cache.mkdir(parents=True, exist_ok=True)
        with locked(self._cache / f"{digest}.lock", waiting):
            yield


class _Builder:
    """A container in which packages are installed."""

    def __init__(
        self, engine: DockerEngine, base: str, python: str, digest: str, network: str | None
    ) -> None:
        self._engine = engine
        self._client = engine.client
        self._base = base
        self._python = python
        self._digest = digest
        self._network = network
        self._id = ""

    def __enter__(self) -> Self:
        host = self._client.create_host_config(init=True, network_mode=self._network)
        with self._engine.errors("make an image"):
            self._id = self._client.create_container(
                self._base,
                entrypoint=[self._python],
                command=["-c", "import time; time.sleep(86400)"],
                user="0:0",
                labels={LABEL: self._digest},
                host_config=host,
            )["Id"]
            self._client.start(self._id)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # the first error counts
            self._client.remove_container(self._id, force=True, v=True)

    def install(self, wanted: Requirements, *, sees_base: bool) -> None:
        variables = self._hand_over_certificates()
        options = list(wanted.options)
        sees = ["--system-site-packages"] if sees_base else []
        if self._has_uv():
            extra, options = uv_options(wanted.options)
            venv = [f"{_BUILD}/uv", "venv", "--no-project", "--python", self._python, *sees, _ENVIRONMENT]
            install = [f"{_BUILD}/uv", "pip", "install", "--no-cache", "--compile-bytecode"]
            install += ["--python", f"{_ENVIRONMENT}/bin/python", *extra]
        else:
            venv = [self._python, "-m", "venv", *sees, _ENVIRONMENT]
            install = [f"{_ENVIRONMENT}/bin/python", "-m", "pip", "install", "--no-cache-dir"]
        text, secrets = fill_in((*options, *wanted.pip))
        self._put({"requirements.txt": (text.encode(), 0o600)})
        self._run(venv, variables)
        self._run([*install, "--requirement", f"{_BUILD}/requirements.txt"], variables, secrets)

    def commit(self, repository: str, tag: str) -> None:
        clean = f"import shutil; shutil.rmtree({_BUILD!r})"
        self._run([self._python, "-c", clean], {})
        with self._engine.errors("make an image"):
            self._client.commit(self._id, repository, tag, changes=["ENTRYPOINT []", "CMD []"])

    def _hand_over_certificates(self) -> dict[str, str]:
        variables = _index_variables(os.environ)
        bundle = next(
            (path for name in _BUNDLES if (path := os.environ.get(name)) and os.path.isfile(path)), None
        )
        if bundle is not None:
            self._put({"certificates.pem": (Path(bundle).read_bytes(), 0o644)})
            variables |= dict.fromkeys(_BUNDLES, f"{_BUILD}/certificates.pem")
        return variables

    def _has_uv(self) -> bool:
        uv = find_uv()
        if uv is None or not self._engine.is_local:  # elsewhere the machine may be of another kind
            return False
        self._put({"uv": (Path(uv).read_bytes(), 0o755)})
        try:
            self._run([f"{_BUILD}/uv", "--version"], {})
        except EnvironmentBuildError:  # the image has another C library
            return False
        return True

    def _put(self, files: Mapping[str, tuple[bytes, int]]) -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, (data, mode) in files.items():
                entry = tarfile.TarInfo(f"{_BUILD.lstrip('/')}/{name}")
                entry.size, entry.mode = len(data), mode
                tar.addfile(entry, io.BytesIO(data))
        with self._engine.errors("make an image"):
            self._client.put_archive(self._id, "/", out.getvalue())

    def _run(self, command: Sequence[str], variables: Mapping[str, str], secrets: Sequence[str] = ()) -> None:
        last: deque[str] = deque(maxlen=SHOWN_LINES)
        with self._engine.errors("make an image"):
            made = self._client.exec_create(
                self._id, list(command), environment=dict(variables), user="0:0", workdir="/"
            )
            said: bytes = self._client.exec_start(made["Id"])
            code = self._client.exec_inspect(made["Id"])["ExitCode"]
        last.extend(said.decode("utf-8", "replace").splitlines())
        if code:
            text = mask_secrets("\n".join(line for line in last if line), secrets)
            raise EnvironmentBuildError(f"`{_short(command)}` failed (exit code {code}):\n{text}")


def _short(command: Sequence[str]) -> str:
    words = [command[0].rpartition("/")[2]]
    for word in command[1:]:
        if "/" in word or word.startswith("--"):
            break
        words.append(word)
    return " ".join(words)


def _index_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what says where packages come from; files of this machine mean nothing in a container."""
    chosen = {
        name: value
        for name, value in environment.items()
        if (name.startswith(("PIP_", "UV_")) and any(part in name for part in _INDEX))
        or name.lower() in _PROXIES
    }
    return {
        **{name: value for name, value in chosen.items() if not value.startswith(("/", "file:"))},
        "NO_COLOR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "true",
        "UV_LINK_MODE": "copy",
    }
