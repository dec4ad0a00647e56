"""Write machine-learning pipelines, run them here, and make Airflow DAGs of them.

Every name is imported when it is first used, so that a script or a DAG file pays for what it uses alone. The modules are
in rooms that import each other in one direction only:

===============  ==================================================================================
``terminal``     what is said on a terminal or a pipe: lines, tables, meters, the account of a run
``compute``      compute targets and environments
``models``       the models behind a ``*.pipeline.yaml`` document
``resolve``      definitions into specs, with every name resolved, and specs back into documents
``definitions``  pipelines as people write them down: read, checked, written
``graphs``       the graph of a pipeline, and how it is drawn
``dags``         Airflow DAGs of definitions and of published pipelines
``ports``        what a step reads and writes, and the parameters of a pipeline
``datastores``   datastores, and how files get to them and from them
``datasets``     datasets: made, registered, compared, fetched
``steps``        the kinds of steps, and how steps become a pipeline
``runs``         experiments and runs: of this process, of another one, of a scheduler
``publishing``   what others run: published pipelines, endpoints, schedules
``pipelines``    pipelines that are made in code, and drafts of them
``workspace``    opens everything that is known by its name
``convert``      definitions of Azure ML's CLI v2, as ours
``migrate``      code of Azure ML SDK v1, as ours
``commands``     the commands of ``ml-pipelines``, one a module
===============  ==================================================================================

A room imports from rooms above it in this list.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_ml_pipelines import __version__
    from airflow_ml_pipelines.core.errors import (
        ComputeTargetException,
        DataError,
        DefinitionError,
        MlPipelinesError,
        ParameterError,
        StepFailedError,
        WorkspaceError,
    )
    from airflow_ml_pipelines.runtime.run import Run, RunEnvironmentException
    from dag_factory.compute.conda import CondaDependencies
    from dag_factory.compute.environment import Environment, RunConfiguration
    from dag_factory.compute.libraries import (
        EggLibrary,
        JarLibrary,
        MavenLibrary,
        PyPiLibrary,
        RCranLibrary,
    )
    from dag_factory.compute.spark import AdlaCompute, DatabricksCompute
    from dag_factory.compute.target import AmlCompute, ComputeTarget
    from dag_factory.dags.compile import build_dag
    from dag_factory.dags.loader import load_pipelines
    from dag_factory.datasets.dataset import Dataset, FileDataset, TabularDataset
    from dag_factory.datastores.datastore import Datastore
    from dag_factory.datastores.port_data_reference import PortDataReference
    from dag_factory.definitions.definition import PipelineDefinition
    from dag_factory.pipelines.draft import PipelineDraft
    from dag_factory.pipelines.pipeline import Pipeline
    from dag_factory.ports.data import (
        DataPath,
        DataPathComputeBinding,
        DataReference,
        DatasetConsumptionConfig,
    )
    from dag_factory.ports.outputs import OutputFileDatasetConfig, OutputTabularDatasetConfig
    from dag_factory.ports.parameter import PipelineParameter
    from dag_factory.ports.pipeline_data import InputPortBinding, PipelineData, PipelineOutputFileDataset
    from dag_factory.ports.sql_data_reference import SqlDataReference
    from dag_factory.publishing.endpoint import PipelineEndpoint
    from dag_factory.publishing.published_pipeline import PublishedPipeline
    from dag_factory.publishing.recurrence import ScheduleRecurrence
    from dag_factory.publishing.schedule import Schedule
    from dag_factory.runs.experiment import Experiment
    from dag_factory.runs.run import PipelineRun
    from dag_factory.runs.step_run import StepRun, StepRunOutput
    from dag_factory.steps.adla import AdlaStep
    from dag_factory.steps.assemble import StepSequence
    from dag_factory.steps.data_transfer import DataTransferStep
    from dag_factory.steps.databricks import DatabricksStep
    from dag_factory.steps.step import PythonScriptStep
    from dag_factory.workspace import Workspace

__all__ = [
    "AdlaCompute",
    "AdlaStep",
    "AmlCompute",
    "ComputeTarget",
    "ComputeTargetException",
    "CondaDependencies",
    "DataError",
    "DataPath",
    "DataPathComputeBinding",
    "DataReference",
    "DataTransferStep",
    "DatabricksCompute",
    "DatabricksStep",
    "Dataset",
    "DatasetConsumptionConfig",
    "Datastore",
    "DefinitionError",
    "EggLibrary",
    "Environment",
    "Experiment",
    "FileDataset",
    "InputPortBinding",
    "JarLibrary",
    "MavenLibrary",
    "MlPipelinesError",
    "OutputFileDatasetConfig",
    "OutputTabularDatasetConfig",
    "ParameterError",
    "Pipeline",
    "PipelineData",
    "PipelineDefinition",
    "PipelineDraft",
    "PipelineEndpoint",
    "PipelineOutputFileDataset",
    "PipelineParameter",
    "PipelineRun",
    "PortDataReference",
    "PublishedPipeline",
    "PyPiLibrary",
    "PythonScriptStep",
    "RCranLibrary",
    "Run",
    "RunConfiguration",
    "RunEnvironmentException",
    "Schedule",
    "ScheduleRecurrence",
    "SqlDataReference",
    "StepFailedError",
    "StepRun",
    "StepRunOutput",
    "StepSequence",
    "TabularDataset",
    "Workspace",
    "WorkspaceError",
    "__version__",
    "build_dag",
    "load_pipelines",
]

_ERRORS = "airflow_ml_pipelines.core.errors"
_HOMES = {
    "__version__": "airflow_ml_pipelines",
    "AdlaCompute": "dag_factory.compute.spark",
    "AdlaStep": "dag_factory.steps.adla",
    "AmlCompute": "dag_factory.compute.target",
    "ComputeTarget": "dag_factory.compute.target",
    "ComputeTargetException": _ERRORS,
    "CondaDependencies": "dag_factory.compute.conda",
    "DataError": _ERRORS,
    "DataPath": "dag_factory.ports.data",
    "DataPathComputeBinding": "dag_factory.ports.data",
    "DataReference": "dag_factory.ports.data",
    "DataTransferStep": "dag_factory.steps.data_transfer",
    "DatabricksCompute": "dag_factory.compute.spark",
    "DatabricksStep": "dag_factory.steps.databricks",
    "Dataset": "dag_factory.datasets.dataset",
    "DatasetConsumptionConfig": "dag_factory.ports.data",
    "Datastore": "dag_factory.datastores.datastore",
    "DefinitionError": _ERRORS,
    "EggLibrary": "dag_factory.compute.libraries",
    "Environment": "dag_factory.compute.environment",
    "Experiment": "dag_factory.runs.experiment",
    "FileDataset": "dag_factory.datasets.dataset",
    "InputPortBinding": "dag_factory.ports.pipeline_data",
    "JarLibrary": "dag_factory.compute.libraries",
    "MavenLibrary": "dag_factory.compute.libraries",
    "MlPipelinesError": _ERRORS,
    "OutputFileDatasetConfig": "dag_factory.ports.outputs",
    "OutputTabularDatasetConfig": "dag_factory.ports.outputs",
    "ParameterError": _ERRORS,
    "Pipeline": "dag_factory.pipelines.pipeline",
    "PipelineData": "dag_factory.ports.pipeline_data",
    "PipelineDefinition": "dag_factory.definitions.definition",
    "PipelineDraft": "dag_factory.pipelines.draft",
    "PipelineEndpoint": "dag_factory.publishing.endpoint",
    "PipelineOutputFileDataset": "dag_factory.ports.pipeline_data",
    "PipelineParameter": "dag_factory.ports.parameter",
    "PipelineRun": "dag_factory.runs.run",
    "PortDataReference": "dag_factory.datastores.port_data_reference",
    "PublishedPipeline": "dag_factory.publishing.published_pipeline",
    "PyPiLibrary": "dag_factory.compute.libraries",
    "PythonScriptStep": "dag_factory.steps.step",
    "RCranLibrary": "dag_factory.compute.libraries",
    "Run": "airflow_ml_pipelines.runtime.run",
    "RunConfiguration": "dag_factory.compute.environment",
    "RunEnvironmentException": "airflow_ml_pipelines.runtime.run",
    "Schedule": "dag_factory.publishing.schedule",
    "ScheduleRecurrence": "dag_factory.publishing.recurrence",
    "SqlDataReference": "dag_factory.ports.sql_data_reference",
    "StepFailedError": _ERRORS,
    "StepRun": "dag_factory.runs.step_run",
    "StepRunOutput": "dag_factory.runs.step_run",
    "StepSequence": "dag_factory.steps.assemble",
    "TabularDataset": "dag_factory.datasets.dataset",
    "Workspace": "dag_factory.workspace",
    "WorkspaceError": _ERRORS,
    "build_dag": "dag_factory.dags.compile",
    "load_pipelines": "dag_factory.dags.loader",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
