"""The base of models of what people write."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema

__all__ = ["WrittenModel"]


class WrittenModel(BaseModel):
    """A mapping of fields that people write: unknown ones are refused, no value is taken for one of another type.

    :cvar short_forms: JSON schemas of what may be written in place of the mapping.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, hide_input_in_errors=True
    )
    short_forms: ClassVar[tuple[dict[str, Any], ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema, with the short forms."""
        reference = handler(schema)
        if cls.short_forms:
            whole = handler.resolve_ref_schema(reference)
            long = dict(whole)
            whole.clear()
            whole["anyOf"] = [*cls.short_forms, long]
        return reference
