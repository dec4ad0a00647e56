"""Libraries of steps on Spark, as classes of the reference, as text, and as Databricks' API has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_ml_pipelines.core.databricks.libraries import file_library
from airflow_ml_pipelines.core.errors import DefinitionError
from dag_factory._check import checked, expect, kind_of

__all__ = ["EggLibrary", "JarLibrary", "MavenLibrary", "PyPiLibrary", "RCranLibrary", "make_libraries"]


class MavenLibrary:
    """A library of a Maven repository.

    :param coordinates: such as ``com.databricks:spark-csv_2.12:1.5.0``.
    :param repo: the repository; Maven's central one if left out.
    :param exclusions: what it would bring and is not to, such as ``slf4j:slf4j``.
    """

    @checked
    def __init__(
        self, coordinates: str | None = None, repo: str | None = None, exclusions: Sequence[str] | None = None
    ) -> None:
        self.coordinates: str = expect(
            "MavenLibrary(coordinates=…)", coordinates, str, what="group:artifact:version"
        )
        self.repo = repo
        self.exclusions = list(exclusions or ())

    def to_api(self) -> dict[str, Any]:
        """Return it as Databricks' API has it."""
        fields = {"coordinates": self.coordinates, "repo": self.repo, "exclusions": self.exclusions}
        return {"maven": {name: value for name, value in fields.items() if value}}


class _Package:
    kind = ""

    @checked
    def __init__(self, package: str | None = None, repo: str | None = None) -> None:
        self.package: str = expect(
            f"{type(self).__name__}(package=…)", package, str, what="the name of a package"
        )
        self.repo = repo

    def to_api(self) -> dict[str, Any]:
        """Return it as Databricks' API has it."""
        fields = {"package": self.package, "repo": self.repo}
        return {self.kind: {name: value for name, value in fields.items() if value}}


class PyPiLibrary(_Package):
    """A library of a Python package index, such as ``pandas==2.2.3``."""

    kind = "pypi"


class RCranLibrary(_Package):
    """A library of CRAN."""

    kind = "cran"


class _File:
    kind = ""

    @checked
    def __init__(self, library: str | None = None) -> None:
        self.library: str = expect(
            f"{type(self).__name__}(library=…)", library, str, what="the URI of a file"
        )

    def to_api(self) -> dict[str, Any]:
        """Return it as Databricks' API has it."""
        return file_library(self.kind, self.library)


class EggLibrary(_File):
    """An egg or a wheel, by its URI."""

    kind = "egg"


class JarLibrary(_File):
    """A JAR, by its URI."""

    kind = "jar"


_CLASSES: Mapping[str, type[Any]] = {
    "maven_libraries": MavenLibrary,
    "pypi_libraries": PyPiLibrary,
    "egg_libraries": EggLibrary,
    "jar_libraries": JarLibrary,
    "rcran_libraries": RCranLibrary,
}


def make_libraries(where: str, lists: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return libraries as Databricks' API has them.

    :param lists: by the names of the parameters; an item may be text, a mapping or an object.
    :raises TypeError: where one is something else.
    """
    found = []
    for name, kind in _CLASSES.items():
        items = lists.get(name) or ()
        if isinstance(items, str | Mapping) or not isinstance(items, Sequence):
            raise TypeError(f"{where}({name}=…): expected a list, found {kind_of(items)}")
        for item in items:
            if isinstance(item, str):
                made = kind(item)
            elif isinstance(item, Mapping):
                try:
                    made = kind(**item)
                except TypeError as error:
                    raise DefinitionError(f"{where}({name}=…): {error}") from None
            else:
                made = expect(f"{where}({name}=…)", item, kind, what=f"text or a {kind.__name__}")
            found.append(made.to_api())
    return tuple(found)
