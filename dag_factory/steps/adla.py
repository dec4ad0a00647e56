"""Steps of Azure Data Lake Analytics, which is no more: they can be built and looked at, and not run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.spec import AdlaSpec
from dag_factory._check import checked, expect
from dag_factory.steps.step import PipelineStep, check_paths, check_step_target

if TYPE_CHECKING:
    from dag_factory.compute.target import ComputeTarget

__all__ = ["AdlaStep"]

_WHERE = "AdlaStep"


class AdlaStep(PipelineStep):
    """A step with a U-SQL script.

    Nothing runs it: Azure Data Lake Analytics was retired on 29 February 2024. What is said when it is run shows the
    :class:`~dag_factory.steps.databricks.DatabricksStep` with the same inputs and outputs.

    :param script_name: the script, relative to ``source_directory``; ``@@name@@`` in it stands for a port or a param.
    :param name: what people call it; the script's name if left out.
    :param inputs: what it reads.
    :param outputs: what it writes.
    :param params: values of names in the script.
    :param degree_of_parallelism: kept; so are ``priority`` and ``runtime_version``.
    :param compute_target: an :class:`~dag_factory.compute.spark.AdlaCompute`, or its name.
    :param source_directory: the folder of the script.
    :param allow_reuse: kept.
    :param version: kept.
    :param hash_paths: kept.
    :raises DefinitionError: where the script's name or a number can't be.
    """

    @checked
    def __init__(
        self,
        script_name: str,
        name: str | None = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        params: Mapping[str, Any] | None = None,
        degree_of_parallelism: int | None = None,
        priority: int | None = None,
        runtime_version: str | None = None,
        compute_target: ComputeTarget | str | tuple[str, str] | None = None,
        source_directory: str | os.PathLike[str] | None = None,
        allow_reuse: bool = True,
        version: str | None = None,
        hash_paths: Sequence[str] | None = None,
    ) -> None:
        expect(f"{_WHERE}(script_name=…)", script_name, str, what="the path of a script")
        self.script_name = script_name.replace("\\", "/").removeprefix("./")
        if not self.script_name or self.script_name.startswith("/") or ".." in self.script_name.split("/"):
            raise DefinitionError(f"{_WHERE}: script_name {script_name!r} is not a path in source_directory")
        for field, value in (("degree_of_parallelism", degree_of_parallelism), ("priority", priority)):
            if value is not None and expect(f"{_WHERE}({field}=…)", value, int, what="a number") < 1:
                raise DefinitionError(f"{_WHERE}({field}=…): expected a number above 0, found {value}")
        self.adla = AdlaSpec(
            degree_of_parallelism=degree_of_parallelism, priority=priority, runtime_version=runtime_version
        )
        self.source_directory = None if source_directory is None else os.fspath(source_directory)
        self.allow_reuse: bool = expect(f"{_WHERE}(allow_reuse=…)", allow_reuse, bool, what="True or False")
        self.version = None if version is None else str(version)
        self.hash_paths = tuple(check_paths(f"{_WHERE}(hash_paths=…)", hash_paths))
        self.compute_target = check_step_target(f"{_WHERE}(compute_target=…)", compute_target)
        super().__init__(name or self.script_name, inputs, outputs, None, params)

    def spec_fields(self) -> dict[str, Any]:
        """Return what of a step's spec is of this kind."""
        return {
            "kind": "adla",
            "adla": self.adla,
            "script": self.script_name,
            "hash_paths": self.hash_paths,
            "compute_target": self.compute_target_name,
            "allow_reuse": self.allow_reuse,
            "version": self.version,
        }
