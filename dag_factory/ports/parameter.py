"""Parameters of a pipeline: values that each run may set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError, ParameterError
from dag_factory._check import check_name, checked, kind_of
from dag_factory.calls import Made
from dag_factory.ports.bases import DataValue

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import ParameterSpec
    from dag_factory.datasets.dataset import FileDataset, TabularDataset
    from dag_factory.ports.data import DataPath

__all__ = ["PipelineParameter", "data_document"]


class PipelineParameter(Made):
    """A value that each run of a pipeline may set, by name.

    It stands in ``arguments`` or ``params`` of any number of steps, or, with data as its default, in ``inputs``.

    :param name: letters, digits and ``_``.
    :param default_value: text, a number, a boolean, a :class:`~dag_factory.DataPath` or a dataset. Its type is the
        parameter's type: a run can set no value of another one.
    :param enum: the values that are allowed; all if left out.
    :param minimum: the least value of a number.
    :param maximum: the greatest value of a number.
    :param description: shown where a run is started.
    :param title: shown instead of the name where a run is started.
    :param section: under which heading it is shown where a run is started.
    :raises TypeError: for a default of another type.
    :raises DefinitionError: for a default that is not among the allowed values.
    """

    @checked
    def __init__(
        self,
        name: str,
        default_value: str | float | bool | DataPath | FileDataset | TabularDataset,
        *,
        enum: Sequence[Any] = (),
        minimum: float | None = None,
        maximum: float | None = None,
        description: str | None = None,
        title: str | None = None,
        section: str | None = None,
    ) -> None:
        self.name = check_name("PipelineParameter(name=…)", name)
        self.default_value = default_value
        self.enum = tuple(enum)
        self.minimum = minimum
        self.maximum = maximum
        self.description = description
        self.title = title
        self.section = section
        self._check_default()

    def __repr__(self) -> str:
        return f"PipelineParameter(name={self.name!r}, default_value={self.default_value!r})"

    @property
    def is_data(self) -> bool:
        """Whether its values are data."""
        return _type_of(self.default_value) == "data"

    def to_spec(self) -> ParameterSpec:
        """Return what runs know of the parameter."""
        from airflow_ml_pipelines.core.spec import ParameterSpec

        kind = _type_of(self.default_value)
        value: Any = self.default_value
        number = float if kind == "number" else lambda item: item
        return ParameterSpec(
            name=self.name,
            type=kind,  # type: ignore[arg-type]
            default=data_document(value) if kind == "data" else value,
            enum=tuple(map(number, self.enum)),
            minimum=None if self.minimum is None else float(self.minimum),
            maximum=None if self.maximum is None else float(self.maximum),
            description=self.description,
            title=self.title,
            section=self.section,
        )

    def _check_default(self) -> None:
        kind = _type_of(self.default_value)
        where = f"PipelineParameter({self.name!r})"
        if kind is None:
            raise TypeError(
                f"{where}: expected a default of text, a number, a boolean, a DataPath or a dataset, since it says "
                f"what type the values have; found {kind_of(self.default_value)}"
            )
        bounded = self.minimum is not None or self.maximum is not None
        if bounded and kind not in ("integer", "number"):
            raise DefinitionError(
                f"{where}: only a number has a minimum or maximum, and its default is a {kind}"
            )
        if kind == "data":
            if self.enum:
                raise DefinitionError(f"{where}: data can't have an enum")
            return
        from airflow_ml_pipelines.core.parameters import check_value

        try:
            check_value(self.to_spec(), self.default_value)
        except ParameterError as error:
            raise DefinitionError(f"PipelineParameter: the default does not fit: {error}") from None


def data_document(value: DataValue) -> dict[str, Any]:
    """Return data as the value that a parameter of type ``data`` has."""
    from dag_factory.resolve.data_value import data_value

    return data_value(value.to_spec())


def _type_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "data" if isinstance(value, DataValue) else None
