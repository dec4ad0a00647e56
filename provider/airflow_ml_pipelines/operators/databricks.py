"""Runs one step: a notebook, a script or a main class on a Spark cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from airflow_ml_pipelines.core.databricks.libraries import LIBRARY_LISTS, read_libraries
from airflow_ml_pipelines.core.databricks.rules import FORMS, find_wrong, make_databricks
from airflow_ml_pipelines.core.errors import DefinitionError
from airflow_ml_pipelines.core.spec import DatabricksSpec, OutputSpec, PipelineSpec, StepSpec
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.targets.port import Running
from airflow_ml_pipelines.links import DatabricksRunLink
from airflow_ml_pipelines.operators.step import StepOperator
from airflow_ml_pipelines.operators.step_arguments import (
    GivenArguments,
    InputSource,
    check_arguments,
    check_told,
    make_arguments,
    make_inputs,
    make_outputs,
    refuse_secrets,
)

__all__ = ["DatabricksOperator"]

_COUNTS = ("num_workers", "min_workers", "max_workers")

Library = str | Mapping[str, Any]


class DatabricksOperator(StepOperator):
    """Runs a step on a Spark cluster, unless an earlier run made the same from the same.

    It is told what to run in one of two ways. In a DAG that a :class:`~airflow_ml_pipelines.operators.plan.PlanOperator`
    plans: by ``pipeline`` and ``step``. In any other DAG: by one of ``notebook_path``, ``python_script_path``,
    ``python_script_name`` and ``main_class_name``, and what follows them; the task then decides by itself::

        clean = DatabricksOperator(task_id="clean", notebook_path="/Shared/clean", num_workers=2,
                                   notebook_params={"since": "{{ params.since }}"},
                                   inputs={"prepared": prepare.output_of("data")}, outputs=["cleaned"],
                                   compute_target="bricks")

    A notebook gets each input and output as a widget of its name, a script and a main class as ``--<name>`` unless an
    argument names it. Parameters of the DAG are not given to it.

    While a run of Databricks goes on, the task is deferred where the compute target has an Airflow connection, unless
    ``deferrable`` or the target says otherwise. Killing the task cancels the run.

    :param pipeline: the pipeline that the run's plan is of, or its name.
    :param step: the step; its id is enough where the run has a plan. Nothing of it is a template.
    :param notebook_path: a notebook: of the Databricks workspace where it begins with ``/``, else of
        ``source_directory``.
    :param notebook_params: values of the notebook's widgets. Texts are templates.
    :param python_script_path: a script on Databricks, such as ``dbfs:/scripts/x.py``.
    :param python_script_name: a script in ``source_directory``, whose files are brought there.
    :param main_class_name: of a JAR among ``jar_libraries`` or ``maven_libraries``.
    :param arguments: of the script or main class: texts, places of inputs and outputs
        (:class:`~airflow_ml_pipelines.core.spec.InputPath`, :class:`~airflow_ml_pipelines.core.spec.OutputPath`), or
        tuples of these that make up one argument. Texts are templates.
    :param name: what people call the step; None for the task's id.
    :param source_directory: what the snapshot is taken of, relative to the DAG file's folder, which it is if left out.
    :param inputs: the data of each input: an output of another such operator (:meth:`output_of`), data or a registered
        dataset (:mod:`airflow_ml_pipelines.core.spec`), a URL, or an ``InputSpec`` where more is to be said.
    :param outputs: names, or ``OutputSpec`` where more is to be said.
    :param existing_cluster_id: a cluster that is there; instead of what describes a new one.
    :param permit_cluster_restart: whether an existing cluster that was ended may be started.
    :param serverless: run without a cluster of one's own.
    :param spark_version: of a new cluster, such as ``15.4.x-scala2.12``; so are the following.
    :param node_type: the type of its machines, such as ``Standard_D3_v2``.
    :param instance_pool_id: the pool that its machines are of, instead of ``node_type``.
    :param num_workers: how many machines it has besides the driver's.
    :param min_workers: with ``max_workers``, how many it has at least and at most, instead of ``num_workers``.
    :param spark_conf: Spark's configuration.
    :param spark_env_variables: environment variables; ``env:NAME`` takes a value from the worker, which is how secrets
        are given.
    :param init_scripts: scripts that its machines run first, by their paths.
    :param cluster_log_dbfs_path: where its logs are kept.
    :param maven_libraries: Maven coordinates, or mappings as in Databricks' API; so are the following.
    :param pypi_libraries: requirements.
    :param egg_libraries: URIs of eggs or wheels.
    :param jar_libraries: URIs of JARs.
    :param rcran_libraries: packages of CRAN.
    :param run_name: what Databricks calls the run.
    :param timeout_seconds: after how many seconds the run is ended.
    :param compute_target: one of type ``databricks`` or ``spark``; None for the workspace's default.
    :param allow_reuse: False: always run.
    :param version: a change of it makes the step run.
    :param hash_paths: files and folders that matter besides the snapshot.
    :param ignore: git patterns of files to leave out of the snapshot.
    :param workspace: the workspace's file or folder; None for the one that ``[ml_pipelines] workspace`` or the
        environment names.
    :param deferrable: True: wait in the triggerer; False: in the worker; None: as the compute target says, else in the
        triggerer where it has a connection.
    :param poll_interval: seconds between two looks for the result of another run that is making the same.
    :param kwargs: of every operator.
    """

    template_fields: Sequence[str] = ("arguments", "notebook_params", "definition_digest")
    operator_extra_links: tuple[Any, ...] = (*StepOperator.operator_extra_links, DatabricksRunLink())
    ui_color = "#ffdfd6"

    job_poll_interval = 10.0
    run_url = ""

    def __init__(
        self,
        *,
        pipeline: PipelineSpec | str | None = None,
        step: StepSpec | str | None = None,
        notebook_path: str | None = None,
        notebook_params: Mapping[str, str | int | float | bool] | None = None,
        python_script_path: str | None = None,
        python_script_name: str | None = None,
        main_class_name: str | None = None,
        arguments: GivenArguments = (),
        name: str | None = None,
        source_directory: str | Path | None = None,
        inputs: Mapping[str, InputSource] | None = None,
        outputs: Sequence[str | OutputSpec] = (),
        existing_cluster_id: str | None = None,
        permit_cluster_restart: bool | None = None,
        serverless: bool = False,
        spark_version: str | None = None,
        node_type: str | None = None,
        instance_pool_id: str | None = None,
        num_workers: int | None = None,
        min_workers: int | None = None,
        max_workers: int | None = None,
        spark_conf: Mapping[str, str | int | float | bool] | None = None,
        spark_env_variables: Mapping[str, str] | None = None,
        init_scripts: Sequence[str] = (),
        cluster_log_dbfs_path: str | None = None,
        maven_libraries: Sequence[Library] = (),
        pypi_libraries: Sequence[Library] = (),
        egg_libraries: Sequence[str] = (),
        jar_libraries: Sequence[str] = (),
        rcran_libraries: Sequence[Library] = (),
        run_name: str | None = None,
        timeout_seconds: timedelta | float | None = None,
        compute_target: str | None = None,
        allow_reuse: bool = True,
        version: str | None = None,
        hash_paths: Sequence[str] = (),
        ignore: Sequence[str] = (),
        workspace: str | None = None,
        deferrable: bool | None = None,
        poll_interval: float = 5,
        **kwargs: Any,
    ) -> None:
        given = locals()
        forms = [form for form in FORMS if given[form] is not None]
        check_told(kwargs.get("task_id"), step, "one of " + ", ".join(FORMS), bool(forms))
        super().__init__(
            pipeline=pipeline,
            step=step,
            workspace=workspace,
            deferrable=deferrable,
            poll_interval=poll_interval,
            **kwargs,
        )
        self.arguments = check_arguments(arguments, self.task_id)
        self.notebook_params = dict(notebook_params or {})
        if step is not None:
            return
        databricks, script = _read(given, self.task_id)
        timeout = (
            timeout_seconds.total_seconds() if isinstance(timeout_seconds, timedelta) else timeout_seconds
        )
        self._define(
            StepSpec(
                id=self.task_id,
                name=name or self.task_id,
                kind="databricks",
                databricks=databricks,
                script=script,
                source_directory=str(source_directory or "."),
                ignore=tuple(ignore),
                hash_paths=tuple(hash_paths),
                inputs=make_inputs(inputs or {}),
                outputs=make_outputs(outputs),
                compute_target=compute_target,
                allow_reuse=allow_reuse,
                version=version,
                timeout=timeout,
            ),
            self.arguments,
            self.notebook_params,
            inputs=inputs,
        )

    def _filled_in(self, workspace: Workspace, map_index: int | None) -> StepSpec:
        refuse_secrets(
            self.task_id,
            self.arguments,
            self.notebook_params,
            called="notebook parameter",
            instead="let the code read it where it runs, from a secret scope, or give it by spark_env_variables as env:NAME",
        )
        spec = super()._filled_in(workspace, map_index)
        return msgspec.structs.replace(
            spec,
            arguments=(*spec.arguments, *make_arguments(self.arguments, spec)),
            parameters={**spec.parameters, **self.notebook_params},
        )

    def _handed_over(self, running: Running, context: Any) -> None:
        self.run_url = str(getattr(running, "url", ""))
        if self.run_url:
            context["ti"].xcom_push(DatabricksRunLink().xcom_key, self.run_url)

    def _defers_by_itself(self, target: ComputeTargetSpec) -> bool:
        # what another environment variable than a connection's gives, the triggerer need not have
        return bool(target.options.get("connection"))


def _read(arguments: Mapping[str, Any], task_id: str) -> tuple[DatabricksSpec, str]:
    """Return what the arguments of an operator say, and the script in the source directory.

    :raises DefinitionError: where they do not go together; the text says what to choose.
    """
    where = f"task {task_id!r}"
    given = dict(arguments)
    for name in _COUNTS:
        if not isinstance(given[name], int | None) or isinstance(given[name], bool):
            raise DefinitionError(f"{where}: {name}: expected a number of workers, found {given[name]!r}")
    notebook = given["notebook_path"] is not None
    if given["arguments"] and not notebook:
        given["jar_params" if given["main_class_name"] is not None else "python_script_params"] = True
    wrong = [f"{item.field}: {item.message}" for item in find_wrong(given)]
    if given["arguments"] and notebook and not wrong:
        wrong = ["arguments: a notebook has widgets and no arguments: use notebook_params"]
    if wrong:
        raise DefinitionError(f"{where}: {'; '.join(wrong)}")
    try:
        libraries = read_libraries({name: given[name] for name in LIBRARY_LISTS})
        made, script = make_databricks(given, libraries)
        msgspec.convert(msgspec.to_builtins(made), DatabricksSpec)
    except (msgspec.ValidationError, DefinitionError) as error:
        raise DefinitionError(f"{where}: {error}") from None
    return made, script
