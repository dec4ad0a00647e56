"""Tables and queries of databases, as a data transfer reads and writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, expect
from dag_factory.ports.bases import AnyDatastore
from dag_factory.ports.port import InputPort, check_input_name
from dag_factory.resolve.tables import check_table, select_all

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import Data
    from dag_factory.datastores.datastore import Datastore

__all__ = ["SqlDataReference"]


class SqlDataReference:
    """A table, or what a query returns, of a database that is a datastore.

    :param datastore: the database, or its name.
    :param data_reference_name: for people.
    :param sql_table: a table, which may be ``schema.table``; to be read whole, or to be appended to.
    :param sql_query: what is asked, to be read.
    :param sql_stored_procedure: is refused: ask it with a query, as databases differ in how.
    :param sql_stored_procedure_params: as ``sql_stored_procedure``.
    :param query_timeout: how many seconds the database may take to answer.
    :raises DefinitionError: where it is neither a table nor a query.
    """

    @checked
    def __init__(
        self,
        datastore: Datastore | str,
        data_reference_name: str | None = None,
        sql_table: str | None = None,
        sql_query: str | None = None,
        sql_stored_procedure: str | None = None,
        sql_stored_procedure_params: Sequence[Any] | None = None,
        *,
        query_timeout: float = 600,
    ) -> None:
        where = "SqlDataReference"
        expect(
            f"{where}(datastore=…)",
            datastore,
            AnyDatastore,
            str,
            what="a database that is a datastore, or its name",
        )
        self.datastore_name: str = datastore.name if isinstance(datastore, AnyDatastore) else datastore
        self.data_reference_name = check_input_name(f"{where}(data_reference_name=…)", data_reference_name)
        if sql_stored_procedure is not None or sql_stored_procedure_params:
            raise DefinitionError(
                f"{where}: each database calls stored procedures in a way of its own: give sql_query that does"
            )
        if (sql_table is None) == (sql_query is None):
            given = "both" if sql_table is not None else "none of them"
            raise DefinitionError(f"{where}: expected sql_table or sql_query, found {given}")
        if sql_table is not None and (problem := check_table(sql_table)):
            raise DefinitionError(f"{where}(sql_table=…): {problem}")
        if sql_query is not None and not sql_query.strip():
            raise DefinitionError(f"{where}(sql_query=…): the query is empty")
        self.sql_table = sql_table
        self.sql_query = sql_query
        self.query_timeout = query_timeout

    def __repr__(self) -> str:
        return f"SqlDataReference({self.datastore_name!r}, {self.sql_table or self.sql_query!r})"

    def to_port(self) -> InputPort:
        """Return what is read, and how."""
        query = self.sql_query or select_all(str(self.sql_table))
        source = _query(self.datastore_name, query, self.query_timeout)
        return InputPort(name=self.data_reference_name, source=source, mode="direct")


def _query(datastore: str, query: str, timeout: float) -> Data:
    from airflow_ml_pipelines.core.spec import Data, Location, TabularFormat

    return Data(
        locations=(Location(datastore=datastore, path=""),),
        tabular=TabularFormat(format="parquet"),
        query=query.strip(),
        query_timeout=timeout,
    )
