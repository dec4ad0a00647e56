"""What a workspace file may say, as pydantic models, and what is said of one that is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from airflow_ml_pipelines.core.errors import ComputeTargetException, WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.stores.credentials import (
    check_environment,
    check_options,
    check_url,
    variable_name,
)
from airflow_ml_pipelines.core.workspaces.server import TOKEN, AirflowServer, find_server
from airflow_ml_pipelines.core.workspaces.workspace import (
    BLOB_STORE,
    FILE_STORE,
    LOCAL_TARGET,
    ComputeTargetSpec,
    DatastoreSpec,
    Workspace,
)
from airflow_ml_pipelines.execution.targets.registry import check_target
from airflow_ml_pipelines.written.model import WrittenModel
from airflow_ml_pipelines.written.problems import Path as DocumentPath
from airflow_ml_pipelines.written.problems import Problem
from airflow_ml_pipelines.written.source import Source

__all__ = [
    "DEFAULT_ROOT",
    "SCHEMA_VERSION",
    "ComputeTargetModel",
    "DatastoreModel",
    "EnvironmentModel",
    "WorkspaceFile",
    "WorkspaceSource",
    "find_problems",
]

SCHEMA_VERSION = 1
DEFAULT_ROOT = ".ml-pipelines"
_MLFLOW_LOGIN = (
    "name who logs in by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
)

_SOME_TEXT = {"type": "string", "minLength": 1}


class _Model(WrittenModel, BaseModel):  # named again, so that ruff knows what it is
    pass


class DatastoreModel(_Model):
    """A datastore; text is short for its URL.

    :param url: a path (relative to the workspace file), or a URL that fsspec knows.
    :param connection: the id of an Airflow connection that has the credentials.
    :param options: for fsspec; never secrets.
    :param credentials: options whose values are in environment variables, as ``env:NAME``.
    """

    short_forms: ClassVar = (_SOME_TEXT,)

    url: Annotated[str, Field(min_length=1)]
    connection: str | None = None
    options: dict[str, Any] = {}
    credentials: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


class ComputeTargetModel(_Model):
    """A compute target: its type, and whatever that type takes; text is short for its type.

    :param type: where steps run; ``local`` is the worker's machine.
    """

    model_config = ConfigDict(extra="allow")
    short_forms: ClassVar = (_SOME_TEXT,)

    type: Annotated[str, Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value


class EnvironmentModel(_Model):
    """An environment.

    :param python: a version such as ``"3.12"``, in quotes; that of the interpreter that runs the pipeline if left out.
    :param pip: packages for pip.
    :param pip_options: options for pip, such as ``--index-url``.
    :param conda: packages for conda.
    :param channels: channels for conda.
    :param variables: environment variables; ``env:NAME`` takes the value from the process that starts the step.
    :param user_managed: whether to install nothing and run ``interpreter``; so it is where nothing is asked for.
    :param interpreter: a path or a command, for ``user_managed``.
    :param image: a container image, for compute targets that run containers.
    :param dockerfile: the text of a Dockerfile, in place of ``image``.
    """

    python: str | None = None
    pip: list[str] = []
    pip_options: list[str] = []
    conda: list[str] = []
    channels: list[str] = []
    variables: dict[str, str] = {}
    user_managed: bool | None = None
    interpreter: str | None = None
    image: str | None = None
    dockerfile: str | None = None

    def to_spec(self, name: str) -> EnvironmentSpec:
        """Return the environment as a step has it.

        :raises WorkspaceError: where it asks for packages and says that it is managed by its user.
        """
        asked = [field for field in ("python", "pip", "conda") if getattr(self, field)]
        user_managed = (not asked) if self.user_managed is None else self.user_managed
        if user_managed and asked:
            raise WorkspaceError(
                f"user_managed: true installs nothing: take it out, or take out {', '.join(asked)}"
            )
        if not user_managed and self.interpreter is not None:
            raise WorkspaceError(
                "interpreter is for user_managed: true, where nothing is installed: take one of them out"
            )
        spec = EnvironmentSpec(
            name=name,
            python=self.python,
            user_managed=user_managed,
            interpreter=self.interpreter or "python",
            conda=tuple(self.conda),
            conda_channels=tuple(self.channels),
            pip=tuple(self.pip),
            pip_options=tuple(self.pip_options),
            variables=dict(self.variables),
            image=self.image,
            dockerfile=self.dockerfile,
        )
        check_environment(spec, f"environment {name!r}")
        return spec


class ServerModel(_Model):
    """The Airflow server of a workspace; text is short for its address.

    :param url: its address, such as ``https://airflow.example.com``.
    :param token: ``env:NAME``: the environment variable that has a token of Airflow's REST API.
    """

    short_forms: ClassVar = (_SOME_TEXT,)

    url: Annotated[str, Field(min_length=1)]
    token: str = f"env:{TOKEN}"

    @model_validator(mode="before")
    @classmethod
    def _read_short(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


class WorkspaceFile(_Model):
    """A workspace file.

    :param schema_version: the version of this language.
    :param name: shown to people and scripts; the folder's name if left out.
    :param root: where everything is kept; a path (relative to the file), or a URL.
    :param datastores: by name; ``workspaceblobstore`` and ``workspacefilestore``, under the root, always exist.
    :param default_datastore: where data and outputs are that name no datastore; ``workspaceblobstore`` if left out.
    :param compute_targets: where steps run, by name.
    :param default_compute_target: of steps that name none.
    :param environments: by the names under which steps refer to them.
    :param airflow: the Airflow server that runs what is published; ``$AIRFLOW_API_URL`` if left out.
    :param mlflow: the address of the MLflow server that is told what steps log; ``$MLFLOW_TRACKING_URI`` if left out.
    :param amlcompute: which kind of compute target one is that code creates as ``AmlCompute``.
    :param lease_seconds: how long a step that others wait for may give no sign of life.
    :param cache_directory: for environments and what is known of files; ``$ML_PIPELINES_CACHE`` or a folder under the
        home if left out.
    """

    schema_version: int = SCHEMA_VERSION
    name: Annotated[str, Field(min_length=1)] | None = None
    root: DatastoreModel = DatastoreModel(url=DEFAULT_ROOT)
    datastores: dict[str, DatastoreModel] = {}
    default_datastore: str | None = None
    compute_targets: dict[str, ComputeTargetModel] = {}
    default_compute_target: str = LOCAL_TARGET
    amlcompute: str = LOCAL_TARGET
    environments: dict[str, EnvironmentModel] = {}
    airflow: ServerModel | None = None
    mlflow: str | None = None
    lease_seconds: Annotated[float, Field(ge=1)] = 60
    cache_directory: str | None = None

    def to_workspace(self, file: Path) -> Workspace:
        """Return the workspace that this file describes, with paths relative to the file."""
        folder = file.parent
        cache = self.cache_directory
        return Workspace(
            self.name or folder.name or "workspace",
            _datastore("root", self.root, folder),
            file=file,
            datastores=[_datastore(name, model, folder) for name, model in self.datastores.items()],
            default_datastore=self.default_datastore,
            compute_targets=[_compute_target(name, model) for name, model in self.compute_targets.items()],
            default_compute_target=self.default_compute_target,
            aml_compute_kind=self.amlcompute,
            environments=[model.to_spec(name) for name, model in self.environments.items()],
            server=AirflowServer(self.airflow.url, self.airflow.token) if self.airflow else None,
            mlflow=self.mlflow,
            lease_seconds=self.lease_seconds,
            cache_directory=Path(_below(folder, cache)) if cache else None,
            identify_image=_identify_image,
        )


def _identify_image(target: ComputeTargetSpec, image: str) -> str:
    from airflow_ml_pipelines.execution.targets import registry

    return registry.identify_image(target, image)


def _datastore(name: str, model: DatastoreModel, folder: Path) -> DatastoreSpec:
    return DatastoreSpec(name, _below(folder, model.url), model.options, model.connection, model.credentials)


def _compute_target(name: str, model: ComputeTargetModel) -> ComputeTargetSpec:
    return ComputeTargetSpec(name, model.type, dict(model.model_extra or {}))


def _below(folder: Path, path: str) -> str:
    return path if "://" in path else os.path.normpath(folder / os.path.expanduser(path))


# --- what is wrong with it ---------------------------------------------------------------------------------------


class WorkspaceSource(Source):
    """The text of a workspace file."""

    error = WorkspaceError


def find_problems(model: WorkspaceFile) -> Iterator[Problem]:
    """Yield what is wrong with a file beyond single fields; no text repeats what may be a secret."""
    if model.schema_version > SCHEMA_VERSION:
        yield Problem(
            ("schema_version",),
            f"expected at most {SCHEMA_VERSION}, found {model.schema_version}: it needs a newer version of "
            "airflow-provider-ml-pipelines",
        )
    stores: list[tuple[DocumentPath, DatastoreModel]] = [(("root",), model.root)]
    stores += [(("datastores", name), item) for name, item in model.datastores.items()]
    for path, store in stores:
        what = "the root" if path == ("root",) else f"datastore {path[-1]!r}"
        yield from _caught((*path, "url"), check_url, store.url, what)
        yield from _caught((*path, "options"), check_options, store.options, what)
        for option, reference in store.credentials.items():
            yield from _caught(
                (*path, "credentials", option), variable_name, reference, f"credential {option!r}"
            )
    yield from _find_server_problems(model)
    for name, target in model.compute_targets.items():
        path = ("compute_targets", name)
        yield from _caught(path, check_options, target.model_extra or {}, f"compute target {name!r}")
        yield from _caught(path, check_target, _compute_target(name, target))
    for name, environment in model.environments.items():
        if not name or ":" in name:
            yield Problem(("environments", name), "expected a name without ':'", at_key=True)
        yield from _caught(("environments", name), environment.to_spec, name)
    for field, known in (
        ("default_datastore", {BLOB_STORE, FILE_STORE, *model.datastores}),
        ("default_compute_target", {LOCAL_TARGET, *model.compute_targets}),
    ):
        value = getattr(model, field)
        if value is not None and value not in known:
            noun = field.removeprefix("default_").replace("_", " ")
            yield Problem((field,), f"there is no {noun} {value!r} in this file.{did_you_mean(value, known)}")


def _find_server_problems(model: WorkspaceFile) -> Iterator[Problem]:
    if model.airflow is not None:
        yield from _caught(("airflow", "url"), find_server, AirflowServer(model.airflow.url))
        yield from _caught(
            ("airflow", "token"), variable_name, model.airflow.token, "the Airflow server's token"
        )
    if model.mlflow is not None:
        yield from _caught(("mlflow",), check_url, model.mlflow, "MLflow's address", _MLFLOW_LOGIN)


def _caught(path: DocumentPath, check: Callable[..., object], *arguments: Any) -> Iterator[Problem]:
    try:
        check(*arguments)
    except (ComputeTargetException, WorkspaceError) as error:
        yield Problem(path, str(error))
