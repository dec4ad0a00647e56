"""What the REST calls take and answer."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "DataPath",
    "DatasetDefinition",
    "Endpoint",
    "EndpointPage",
    "Explained",
    "File",
    "FilePage",
    "Parameter",
    "Pipeline",
    "PipelinePage",
    "Refusal",
    "Run",
    "RunPage",
    "Status",
    "Step",
    "Submission",
    "Submitted",
]

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no database keeps: NUL, and halves of characters."""

_MOST = 1000
_SHOWN = 200


def _printable(name: str) -> str:
    if not (name.strip() and name.isprintable()):
        raise ValueError("expected a name that can be printed")
    return name


Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=250), AfterValidator(_printable)]
Note = Annotated[str, Field(max_length=1000)]
"""As long as Airflow keeps it."""


class _Given(BaseModel):
    """What a request has; a field that is none is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class DataPath(_Given):
    """A path on a datastore."""

    DataStoreName: Name
    RelativePath: Text


class SavedDataSet(_Given):
    """A registered dataset, by its id."""

    Id: Name


class DatasetDefinition(_Given):
    """A dataset as the value of a parameter."""

    SavedDataSetReference: SavedDataSet


class Submission(_Given):
    """A run to be started; the names are those of Azure ML's REST calls."""

    ExperimentName: Name | None = None
    RunSource: Text | None = None
    Description: Note | None = None
    ParentRunId: Name | None = None
    ParameterAssignments: Annotated[dict[str, Any], Field(max_length=_MOST)] = {}
    DataPathAssignments: Annotated[dict[str, DataPath], Field(max_length=_MOST)] = {}
    DataSetDefinitionValueAssignments: Annotated[dict[str, DatasetDefinition], Field(max_length=_MOST)] = {}
    Tags: Annotated[dict[str, Text], Field(max_length=_MOST)] = {}
    ContinueRunOnStepFailure: bool | None = None
    RegenerateOutputs: bool = False

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        """Refuse what Airflow's database can't keep."""
        left: list[Any] = [self.model_dump()]
        while left:
            match left.pop():
                case dict() as found:
                    left += found.keys()
                    left += found.values()
                case list() as found:
                    left += found
                case str() as text if _NO_TEXT.search(text):
                    raise ValueError(f"expected text, found {text[:_SHOWN]!a}")
                case float() as number if not math.isfinite(number):
                    raise ValueError(f"expected a number, found {number}")
        return self


class Refusal(BaseModel):
    """Why a call is refused: a text, or what is wrong with each field."""

    detail: str | list[dict[str, Any]]


class Submitted(BaseModel):
    """A run that was started.

    ``Id`` is the run's, below ``PipelineId``, which is the DAG's as well.
    """

    Id: str
    PipelineId: str
    ExperimentName: str
    Status: str
    Url: str


class Parameter(BaseModel):
    """A parameter of a pipeline."""

    name: str
    type: str
    required: bool
    default: Any = None
    enum: list[Any] = []
    minimum: float | None = None
    maximum: float | None = None
    description: str | None = None


class Pipeline(BaseModel):
    """A published pipeline."""

    id: str
    name: str
    number: int
    version: str | None
    description: str | None
    status: str
    created: float
    steps: list[str]
    parameters: list[Parameter]
    git: dict[str, str]


class PipelinePage(BaseModel):
    """Some of the published pipelines."""

    total: int
    items: list[Pipeline]


class Endpoint(BaseModel):
    """A pipeline endpoint; ``versions`` has the id of each version's published pipeline."""

    id: str
    name: str
    description: str | None
    status: str
    default_version: str
    versions: list[str]
    created: float


class EndpointPage(BaseModel):
    """Some of the pipeline endpoints."""

    total: int
    items: list[Endpoint]


class Status(_Given):
    """A new status."""

    status: Literal["Active", "Disabled"]


class Run(BaseModel):
    """A run."""

    id: str
    pipeline: str
    experiment: str
    status: str
    started: float
    parameters: dict[str, Any]
    tags: dict[str, str]
    git: dict[str, str]
    seconds_saved: float


class RunPage(BaseModel):
    """Some runs of a pipeline, the latest first."""

    total: int
    items: list[Run]


class Step(BaseModel):
    """How a step of a run went; ``outputs`` says where each output lies and how large it is."""

    id: str
    name: str
    status: str
    reasons: list[str]
    attempt: int
    seconds: float | None
    seconds_saved: float
    reused_from: dict[str, Any] | None
    outputs: dict[str, dict[str, Any]]
    error: str | None


class File(BaseModel):
    """A file of a run; ``digest`` is that of its content, where it is known."""

    path: str
    size: int
    digest: str | None = None


class FilePage(BaseModel):
    """Some of the files, by their paths."""

    total: int
    items: list[File]


class Explained(BaseModel):
    """What became of a step and why; ``explanation`` is the difference to an earlier result, by what differs."""

    step: str
    name: str
    state: str
    reasons: list[str]
    explanation: dict[str, Any] | None
