"""How a job ended, as it is kept in the attempt's folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_ml_pipelines.core.errors import DocumentError
from airflow_ml_pipelines.core.files.manifest import Manifest
from airflow_ml_pipelines.runtime.decode import decode

__all__ = ["SCHEMA", "JobResult"]

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """How a job ended.

    :param status: ``finished`` only where every output is complete at its destination.
    :param exit_code: of the script; negative for the signal that ended it, None where it was not started.
    :param error: what went wrong; for ``canceled`` the reason.
    :param started: seconds since the epoch; so is ``finished``.
    :param outputs: what each output has; none unless the job finished.
    :param files: the logs, metrics and other files that were kept, by path in the attempt's folder.
    """

    status: Literal["finished", "failed", "canceled"]
    exit_code: int | None
    error: str | None
    started: float
    finished: float
    outputs: dict[str, Manifest] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a document."""
        return {
            "schema": SCHEMA,
            "status": self.status,
            "exit_code": self.exit_code,
            "error": self.error,
            "started": self.started,
            "finished": self.finished,
            "outputs": {name: manifest.to_dict() for name, manifest in self.outputs.items()},
            "files": list(self.files),
        }

    @classmethod
    def from_dict(cls, document: Any) -> JobResult:
        """Read a result.

        :raises NewerDocumentError: where a newer version of this package wrote it.
        :raises DocumentError: where a field is missing, of another type, or one that there is not.
        """
        plain = decode(_Plain, document, what="result", schema=SCHEMA)
        try:
            outputs = {name: Manifest.from_dict(manifest) for name, manifest in plain.outputs.items()}
        except DocumentError as error:
            raise type(error)(f"result: at $.outputs: {error}") from None
        return cls(**{**vars(plain), "outputs": outputs})


@dataclass(frozen=True, kw_only=True)
class _Plain:
    status: Literal["finished", "failed", "canceled"]
    exit_code: int | None
    error: str | None
    started: float
    finished: float
    outputs: dict[str, Any]
    files: tuple[str, ...]
