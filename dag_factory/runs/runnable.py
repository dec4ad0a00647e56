"""What an experiment can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import PipelineSpec

__all__ = ["Runnable"]


class Runnable:
    """The base of :class:`~dag_factory.Pipeline` and :class:`~dag_factory.PublishedPipeline`."""

    def to_spec(self, name: str | None = None) -> PipelineSpec:
        """Return what runs know of it.

        :param name: the name where it has none of its own.
        """
        raise NotImplementedError

    def require_active(self) -> None:
        """Raise an error where it can't be run."""
