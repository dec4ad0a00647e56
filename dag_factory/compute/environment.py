"""Environments: what a step's script needs around it, and run configurations, which name one and a compute target."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, core_of, expect, kind_of
from dag_factory.compute.conda import CondaDependencies

if TYPE_CHECKING:
    import os

    from airflow_ml_pipelines.core.spec import EnvironmentSpec
    from dag_factory.compute.target import ComputeTarget
    from dag_factory.workspace import Workspace

__all__ = ["DockerSection", "Environment", "PythonSection", "RunConfiguration"]


class PythonSection:
    """Which Python an environment has, and which packages.

    ``user_managed_dependencies`` True means that nothing is installed and ``interpreter_path`` runs the script;
    False, that the packages of ``conda_dependencies`` are installed.
    """

    def __init__(self) -> None:
        self.interpreter_path = "python"
        self._user_managed: bool | None = None
        self._conda: CondaDependencies | None = None

    @property
    def user_managed_dependencies(self) -> bool:
        """Whether nothing is to be installed."""
        return bool(self._user_managed)

    @user_managed_dependencies.setter
    def user_managed_dependencies(self, value: bool) -> None:
        where = "environment.python.user_managed_dependencies"
        self._user_managed = bool(expect(where, value, bool, what="True or False"))

    @property
    def conda_dependencies(self) -> CondaDependencies:
        """The packages to install."""
        if self._conda is None:
            self._conda = CondaDependencies()
        return self._conda

    @conda_dependencies.setter
    def conda_dependencies(self, value: CondaDependencies) -> None:
        where = "environment.python.conda_dependencies"
        self._conda = expect(where, value, CondaDependencies, what="a CondaDependencies")

    @property
    def is_set(self) -> bool:
        """Whether anything was said about Python."""
        named = self._conda is not None and not self._conda.is_empty
        return named or self._user_managed is not None or self.interpreter_path != "python"


class DockerSection:
    """Which image an environment is made from, for compute targets that run containers."""

    def __init__(self) -> None:
        self.base_image: str | None = None
        self.base_dockerfile: str | None = None
        self.enabled = False

    def to_dockerfile(self) -> str | None:
        """Return the text of the Dockerfile, which may be given as the path of a file.

        :raises DefinitionError: where there is no such file.
        """
        given = self.base_dockerfile
        if given is None or "\n" in given.strip() or given.lstrip().upper().startswith(("FROM ", "ARG ")):
            return given
        try:
            return Path(given).read_text("utf-8")
        except UnicodeDecodeError:
            raise DefinitionError(
                f"environment.docker.base_dockerfile: {given!r} is no Dockerfile: it is no text in UTF-8"
            ) from None
        except OSError as error:
            raise DefinitionError(
                f"environment.docker.base_dockerfile: expected the text of a Dockerfile or the path of one, and {given!r} "
                f"can't be read: {error.strerror}"
            ) from None


class Environment:
    """What a script needs around it: a Python, packages, variables.

    :param name: the name under which it can be registered.
    """

    @checked
    def __init__(self, name: str) -> None:
        self.name: str = expect("Environment(name=…)", name, str, what="a name")
        self.version: str | None = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.environment_variables: dict[str, str] = {}
        self._is_known = False  # whether the workspace's registry gave its content

    def __repr__(self) -> str:
        return f"Environment({self.name!r}, version={self.version!r})"

    @classmethod
    @checked
    def get(
        cls, workspace: Workspace, name: str, version: str | int | None = None, label: str | None = None
    ) -> Environment:
        """Return a registered environment.

        A curated one of the reference (``AzureML-…``) that nobody registered is the interpreter that runs the
        pipeline.

        :param version: the latest if left out.
        :param label: ``latest`` or None.
        :raises WorkspaceError: where there is none of that name and version.
        """
        if label not in (None, "latest"):
            raise DefinitionError(
                f"Environment.get(label=…): expected 'latest' or a version; found {label!r}"
            )
        core = core_of("Environment.get(workspace=…)", workspace)
        return cls.from_spec(core.environment(name, None if version is None else str(version)))

    @staticmethod
    @checked
    def list(workspace: Workspace) -> dict[str, Environment]:
        """Return the latest version of every environment by its name."""
        return workspace.environments

    @classmethod
    @checked
    def from_conda_specification(cls, name: str, file_path: str | os.PathLike[str]) -> Environment:
        """Return an environment with the packages of a conda environment file."""
        environment = cls(name)
        environment.python.conda_dependencies = CondaDependencies(str(file_path))
        environment.python.user_managed_dependencies = False
        return environment

    @classmethod
    @checked
    def from_existing_conda_environment(cls, name: str, conda_environment_name: str) -> Environment:
        """Return an environment with the packages of a conda environment of this machine, with their versions."""
        environment = cls(name)
        known = expect(
            "Environment.from_existing_conda_environment(conda_environment_name=…)",
            conda_environment_name,
            str,
            what="a name",
        )
        environment.python.conda_dependencies = CondaDependencies.from_installed(known)
        environment.python.user_managed_dependencies = False
        return environment

    @classmethod
    @checked
    def from_pip_requirements(
        cls,
        name: str,
        file_path: str | os.PathLike[str],
        pip_version: str | None = None,  # noqa: ARG003 - another installer is used
    ) -> Environment:
        """Return an environment with the packages of a pip requirements file."""
        environment = cls(name)
        environment.python.conda_dependencies = CondaDependencies.from_requirements(Path(file_path))
        environment.python.user_managed_dependencies = False
        return environment

    @classmethod
    @checked
    def from_docker_image(
        cls,
        name: str,
        image: str,
        container_registry: Any = None,  # noqa: ARG003 - the compute target has the registry's login
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """Return an environment that is made from an image, with the packages of a file where one is given."""
        environment = cls._with_packages(name, conda_specification, pip_requirements)
        environment.docker.base_image = _named("Environment.from_docker_image(image=…)", image, "an image")
        return environment

    @classmethod
    @checked
    def from_dockerfile(
        cls,
        name: str,
        dockerfile: str,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """Return an environment that is made from a Dockerfile (its text or path), with the packages of a file."""
        environment = cls._with_packages(name, conda_specification, pip_requirements)
        environment.docker.base_dockerfile = _named(
            "Environment.from_dockerfile(dockerfile=…)", dockerfile, "a Dockerfile"
        )
        return environment

    @classmethod
    def _with_packages(cls, name: str, conda: Any, pip: Any) -> Environment:
        if conda is not None:
            return cls.from_conda_specification(name, conda)
        if pip is not None:
            return cls.from_pip_requirements(name, pip)
        environment = cls(name)
        environment.python.user_managed_dependencies = True
        return environment

    @checked
    def register(self, workspace: Workspace) -> Environment:
        """Register it in the workspace; return it with its version, which is new where anything in it is."""
        core = core_of("Environment.register(workspace=…)", workspace)
        return Environment.from_spec(core.register_environment(self.to_spec()))

    @checked
    def clone(self, new_name: str) -> Environment:
        """Return an equal one of another name."""
        other = copy.deepcopy(self)
        other.name, other.version = (
            expect("Environment.clone(new_name=…)", new_name, str, what="a name"),
            None,
        )
        return other

    @classmethod
    def from_spec(cls, spec: EnvironmentSpec) -> Environment:
        """Return an environment as runs know it."""
        environment = cls(spec.name)
        environment.version = spec.version
        environment.environment_variables = dict(spec.variables)
        environment.docker.base_image = spec.image
        environment.docker.base_dockerfile = spec.dockerfile
        environment.python.interpreter_path = spec.interpreter
        environment.python.user_managed_dependencies = spec.user_managed
        environment.python.conda_dependencies = CondaDependencies.from_spec(spec)
        environment._is_known = True
        return environment

    @property
    def is_reference(self) -> bool:
        """Whether it only names a registered one: by name and version, with nothing in it."""
        docker = self.docker.base_image or self.docker.base_dockerfile
        empty = not (self.python.is_set or self.environment_variables or docker)
        return empty and self.version is not None and not self._is_known

    def to_spec(self, *, own: bool = True) -> EnvironmentSpec:
        """Return what runs know of the environment.

        :param own: False for the one that a run configuration has by itself, where nothing said about Python means
            the interpreter that runs the pipeline.
        :raises WorkspaceError: where it has a secret in it.
        """
        from airflow_ml_pipelines.core.spec import EnvironmentSpec
        from airflow_ml_pipelines.core.stores.credentials import check_environment

        where = f"environment {self.name!r}"
        python = self.python
        managed = python.user_managed_dependencies if python.is_set or own else True
        expect(
            f"{where}: environment_variables",
            self.environment_variables,
            Mapping,
            what="a dict of names to text",
        )
        variables = {
            str(name): str(expect(f"{where}: environment_variables[{name!r}]", value, str, what="text"))
            for name, value in self.environment_variables.items()
        }
        spec = EnvironmentSpec(
            name=self.name,
            version=self.version,
            user_managed=managed,
            interpreter=python.interpreter_path if managed else "python",
            variables=variables,
            image=self.docker.base_image,
            dockerfile=self.docker.to_dockerfile(),
        )
        if not managed:
            spec = python.conda_dependencies.fill(spec)
        check_environment(spec, where)
        return spec


def _named(where: str, value: Any, what: str) -> str:
    text: str = expect(where, value, str, what=what)
    if not text.strip():
        raise DefinitionError(f"{where}: expected {what}, found an empty text")
    return text


class RunConfiguration:
    """Where a step runs, and in which environment. Any number of steps can share one.

    :param script: has no meaning here; the step names its script.
    :param arguments: has no meaning here; the step has its own.
    :param framework: ``Python``.
    :param communicator: ``None``.
    :param conda_dependencies: packages for its environment.
    """

    @checked
    def __init__(
        self,
        script: str | None = None,
        arguments: Any = None,
        framework: str | None = None,
        communicator: str | None = None,
        conda_dependencies: CondaDependencies | None = None,
        command: Any = None,
    ) -> None:
        if command is not None:
            raise DefinitionError(
                "RunConfiguration(command=…): a PythonScriptStep runs a script: leave it out"
            )
        self.script = script
        self.arguments = arguments
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self.node_count = 1
        self.max_run_duration_seconds: float | None = None
        self.target: str | ComputeTarget = "local"
        self._environment = self._default = Environment("default-environment")
        if conda_dependencies is not None:
            self._environment.python.conda_dependencies = conda_dependencies
            self._environment.python.user_managed_dependencies = False

    def __repr__(self) -> str:
        return f"RunConfiguration(target={self.target!r}, environment={self.environment!r})"

    @property
    def environment(self) -> Environment:
        """The environment of the steps that have this configuration."""
        return self._environment

    @environment.setter
    def environment(self, value: Environment) -> None:
        if not isinstance(value, Environment):
            raise TypeError(
                f"RunConfiguration.environment: expected an Environment, such as Environment.get(workspace, name) "
                f"returns; found {kind_of(value)}"
            )
        self._environment = value

    def environment_spec(self) -> EnvironmentSpec | str:
        """Return the environment as runs know it, or ``name:version`` of a registered one."""
        environment = self._environment
        own = environment is not self._default
        renamed = not own and environment.name != "default-environment" and not environment.python.is_set
        if environment.is_reference or (renamed and not environment.environment_variables):
            return f"{environment.name}:{environment.version}" if environment.version else environment.name
        return environment.to_spec(own=own)

    def timeout(self) -> float | None:
        """Return after how many seconds the script is ended."""
        limit = self.max_run_duration_seconds
        return None if not limit else float(limit)
