"""How files are read as a table."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Strict, WithJsonSchema

from dag_factory.models.fields import ANY_TEXT, DefinitionModel
from dag_factory.models.scalars import as_header

__all__ = [
    "TabularOptions",
]


_NAMES = {"type": "array", "items": ANY_TEXT, "minItems": 1}

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}

_WHOLE = {"type": "integer"}

_FIELDS_OF_OPERATIONS: dict[str, dict[str, Any]] = {
    "keep": {"columns": _NAMES},
    "drop": {"columns": _NAMES},
    "take": {"count": {**_WHOLE, "minimum": 0}},
    "skip": {"count": {**_WHOLE, "minimum": 0}},
    "filter": {"where": {"type": "array", "minItems": 2}},
    "sample": {"probability": _SHARE, "seed": _WHOLE},
    "split": {"percentage": _SHARE, "seed": _WHOLE, "rest": {"type": "boolean"}},
}

_OPERATIONS = [
    {
        "type": "object",
        "properties": {"do": {"const": name}, **fields},
        "required": ["do", *fields],
        "additionalProperties": False,
    }
    for name, fields in _FIELDS_OF_OPERATIONS.items()
]


def _operation(value: Any) -> Any:
    from airflow_ml_pipelines.runtime.operations import check_operation

    return check_operation(value) if isinstance(value, dict) else value


_Operation = Annotated[dict[str, Any], BeforeValidator(_operation), WithJsonSchema({"anyOf": _OPERATIONS})]


class TabularOptions(DefinitionModel):
    """How files are read as a table; names and defaults of ``Dataset.Tabular.from_delimited_files``.

    :param format: of the files; what follows is of delimited ones.
    :param operations: what is done with the rows: mappings with ``do`` and what that takes.
    :param timestamp: the column with the time of a row.
    :param partition_timestamp: the column of ``partition_format`` with the time of a row.
    :param include_path: whether the table has a column ``Path`` with the file that a row is from.
    :param infer_column_types: whether the types of columns are found out; else all of them are text.
    :param set_column_types: types of columns by their names: ``string``, ``long``, ``double``, ``boolean``, ``datetime``.
    :param separator: what stands between two values.
    :param header: whether the files begin with the names of the columns, or which of them do.
    :param partition_format: the form of paths such as ``{year:yyyy}/{file}.csv``, whose parts become columns.
    :param support_multi_line: whether a value in quotes may have line breaks.
    :param empty_as_string: whether empty values are empty text; else they are missing.
    :param encoding: the encoding of the files.
    """

    format: Literal["delimited", "parquet", "json_lines"] = "delimited"
    operations: Annotated[tuple[_Operation, ...], Strict(strict=False)] = ()
    timestamp: str | None = None
    partition_timestamp: str | None = None
    include_path: bool = False
    infer_column_types: bool = True
    set_column_types: dict[str, str] | None = None
    separator: str = ","
    header: Annotated[
        bool | Literal["all_files_same", "only_first_file", "none", "all_files_different"],
        BeforeValidator(as_header),
    ] = True
    partition_format: str | None = None
    support_multi_line: bool = False
    empty_as_string: bool = False
    encoding: str = "utf8"
