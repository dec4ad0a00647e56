"""Converts pipelines of Azure ML CLI v2 into definitions, and says what it could not carry over."""

from __future__ import annotations

from dag_factory.convert.convert_file import Conversion, convert_file

__all__ = ["Conversion", "convert_file"]
