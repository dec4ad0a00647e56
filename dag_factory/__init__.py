"""Write machine-learning pipelines, run them here, and make Airflow DAGs of them.

Every name is imported when it is first used, so that a script or a DAG file pays for what it uses alone.
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
    from dag_factory.adla import AdlaStep
    from dag_factory.assemble import StepSequence
    from dag_factory.compile import build_dag
    from dag_factory.compute import AmlCompute, ComputeTarget
    from dag_factory.compute_spark import AdlaCompute, DatabricksCompute
    from dag_factory.conda import CondaDependencies
    from dag_factory.data import DataPath, DataPathComputeBinding, DataReference, DatasetConsumptionConfig
    from dag_factory.data_transfer import DataTransferStep
    from dag_factory.databricks import DatabricksStep
    from dag_factory.databricks_libraries import (
        EggLibrary,
        JarLibrary,
        MavenLibrary,
        PyPiLibrary,
        RCranLibrary,
    )
    from dag_factory.dataset import Dataset, FileDataset, TabularDataset
    from dag_factory.datastore import Datastore
    from dag_factory.definition import PipelineDefinition
    from dag_factory.environment import Environment, RunConfiguration
    from dag_factory.experiment import Experiment
    from dag_factory.loader import load_pipelines
    from dag_factory.outputs import (
        InputPortBinding,
        OutputFileDatasetConfig,
        OutputTabularDatasetConfig,
        PipelineData,
        PipelineOutputFileDataset,
    )
    from dag_factory.pipeline import Pipeline
    from dag_factory.pipeline_draft import PipelineDraft
    from dag_factory.pipeline_endpoint import PipelineEndpoint
    from dag_factory.pipeline_parameter import PipelineParameter
    from dag_factory.published_pipeline import PublishedPipeline
    from dag_factory.run import PipelineRun
    from dag_factory.schedule import Schedule
    from dag_factory.schedule_recurrence import ScheduleRecurrence
    from dag_factory.sql_data_reference import SqlDataReference
    from dag_factory.step_run import PortDataReference, StepRun, StepRunOutput
    from dag_factory.steps import PythonScriptStep
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
    "AdlaCompute": "dag_factory.compute_spark",
    "AdlaStep": "dag_factory.adla",
    "AmlCompute": "dag_factory.compute",
    "ComputeTarget": "dag_factory.compute",
    "ComputeTargetException": _ERRORS,
    "CondaDependencies": "dag_factory.conda",
    "DataError": _ERRORS,
    "DataPath": "dag_factory.data",
    "DataPathComputeBinding": "dag_factory.data",
    "DataReference": "dag_factory.data",
    "DataTransferStep": "dag_factory.data_transfer",
    "DatabricksCompute": "dag_factory.compute_spark",
    "DatabricksStep": "dag_factory.databricks",
    "Dataset": "dag_factory.dataset",
    "DatasetConsumptionConfig": "dag_factory.data",
    "Datastore": "dag_factory.datastore",
    "DefinitionError": _ERRORS,
    "EggLibrary": "dag_factory.databricks_libraries",
    "Environment": "dag_factory.environment",
    "Experiment": "dag_factory.experiment",
    "FileDataset": "dag_factory.dataset",
    "InputPortBinding": "dag_factory.outputs",
    "JarLibrary": "dag_factory.databricks_libraries",
    "MavenLibrary": "dag_factory.databricks_libraries",
    "MlPipelinesError": _ERRORS,
    "OutputFileDatasetConfig": "dag_factory.outputs",
    "OutputTabularDatasetConfig": "dag_factory.outputs",
    "ParameterError": _ERRORS,
    "Pipeline": "dag_factory.pipeline",
    "PipelineData": "dag_factory.outputs",
    "PipelineDefinition": "dag_factory.definition",
    "PipelineDraft": "dag_factory.pipeline_draft",
    "PipelineEndpoint": "dag_factory.pipeline_endpoint",
    "PipelineOutputFileDataset": "dag_factory.outputs",
    "PipelineParameter": "dag_factory.pipeline_parameter",
    "PipelineRun": "dag_factory.run",
    "PortDataReference": "dag_factory.step_run",
    "PublishedPipeline": "dag_factory.published_pipeline",
    "PyPiLibrary": "dag_factory.databricks_libraries",
    "PythonScriptStep": "dag_factory.steps",
    "RCranLibrary": "dag_factory.databricks_libraries",
    "Run": "airflow_ml_pipelines.runtime.run",
    "RunConfiguration": "dag_factory.environment",
    "RunEnvironmentException": "airflow_ml_pipelines.runtime.run",
    "Schedule": "dag_factory.schedule",
    "ScheduleRecurrence": "dag_factory.schedule_recurrence",
    "SqlDataReference": "dag_factory.sql_data_reference",
    "StepFailedError": _ERRORS,
    "StepRun": "dag_factory.step_run",
    "StepRunOutput": "dag_factory.step_run",
    "StepSequence": "dag_factory.assemble",
    "TabularDataset": "dag_factory.dataset",
    "Workspace": "dag_factory.workspace",
    "WorkspaceError": _ERRORS,
    "build_dag": "dag_factory.compile",
    "load_pipelines": "dag_factory.loader",
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
