"""Options of delimited files, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, DefinitionError
from dag_factory._check import expect

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import TabularFormat

__all__ = ["check_partitions", "tabular_format"]

_HEADERS = ("all_files_same", "only_first_file", "none", "all_files_different")


def tabular_format(where: str, **options: Any) -> TabularFormat:
    """Return how delimited files are read.

    :param where: what an error begins with.
    :param options: the fields of :class:`~airflow_ml_pipelines.core.spec.TabularFormat`; None for the default.
    :raises DefinitionError: for a value that there is not.
    """
    from airflow_ml_pipelines.core.spec import TabularFormat
    from airflow_ml_pipelines.runtime.text_files import check_separator

    given = {name: value for name, value in options.items() if value is not None}
    for name in ("include_path", "infer_column_types", "support_multi_line", "empty_as_string"):
        if name in given:
            expect(f"{where}({name}=…)", given[name], bool, what="True or False")
    for name in ("separator", "partition_format", "encoding"):
        if name in given:
            expect(f"{where}({name}=…)", given[name], str, what="text")
    check_partitions(f"{where}(partition_format=…)", given.get("partition_format"))
    header = given.get("header", True)
    if not isinstance(header, bool) and header not in _HEADERS:
        shown = ", ".join(repr(item) for item in _HEADERS)
        raise DefinitionError(f"{where}: expected a header of True, False, {shown}; found {header!r}")
    if "separator" in given:
        try:
            check_separator(given["separator"])
        except DataError as error:
            raise DefinitionError(f"{where}(separator=…): {error}") from None
    types = given.get("set_column_types")
    if types is not None:
        expect(f"{where}(set_column_types=…)", types, Mapping, what="a dict of column name to type")
        given["set_column_types"] = {
            str(name): str(expect(f"{where}(set_column_types=…)[{name!r}]", kind, str, what="a type's name"))
            for name, kind in types.items()
        }
    return TabularFormat(**given)


def check_partitions(where: str, text: str | None) -> str | None:
    """Return the form of paths. :raises DefinitionError: where it is none."""
    from airflow_ml_pipelines.runtime.table_options import partition_pattern

    if text is not None:
        expect(where, text, str, what="the form of paths such as '/{Country}/{Day:yyyy-MM-dd}/*.jpg'")
        try:
            partition_pattern(text)
        except DataError as error:
            raise DefinitionError(f"{where}: {error}") from None
    return text
