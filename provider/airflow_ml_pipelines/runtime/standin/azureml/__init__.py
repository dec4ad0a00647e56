"""Stands in for Azure ML SDK v1 in a script that runs as a step: the few names that scripts use at run time.

It is found only where ``azureml-core`` is not installed. Whatever is not here says so, and what there is.
"""

from __future__ import annotations

__all__ = ["core", "data", "exceptions"]
