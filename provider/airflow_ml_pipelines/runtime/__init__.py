"""What goes along with a user's script, and what starts it.

Standard library only. The modules that the script imports (``Run`` and what hangs on it) keep to Python 3.8, since a
step's environment may have another interpreter than the one that starts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_ml_pipelines.runtime.run import Run, RunEnvironmentException

__all__ = ["Run", "RunEnvironmentException"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from airflow_ml_pipelines.runtime import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
