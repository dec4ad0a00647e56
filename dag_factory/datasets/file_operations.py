"""Makes datasets of some of the files of a dataset."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DefinitionError, did_you_mean
from dag_factory._check import checked, expect
from dag_factory.datasets.files import split_files

if TYPE_CHECKING:
    from airflow_ml_pipelines.core.spec import Data
    from airflow_ml_pipelines.runtime.expressions import Expression
    from dag_factory.datasets.dataset import FileDataset
    from dag_factory.datasets.fetch import DataFile

__all__ = ["FileOperations"]


class FileOperations:
    """What makes a dataset of files smaller.

    A table is made smaller without a look at it. Which files there are has to be looked at: these do it when called.
    """

    data: Data
    partition_keys: Any

    def _select(self, choose: Callable[[list[DataFile]], list[DataFile]]) -> FileDataset:
        """Return the dataset of the files that are chosen."""
        raise NotImplementedError

    @checked
    def take(self, count: int) -> FileDataset:
        """Return the dataset of the first files, by path."""
        return self._select(lambda files: files[: _count("FileDataset.take", count)])

    @checked
    def skip(self, count: int) -> FileDataset:
        """Return the dataset without its first files, by path."""
        return self._select(lambda files: files[_count("FileDataset.skip", count) :])

    @checked
    def take_sample(self, probability: float, seed: int | None = None) -> FileDataset:
        """Return the dataset of some of the files, each taken with a probability."""
        return self._select(lambda files: split_files(files, probability, seed)[0])

    @checked
    def random_split(self, percentage: float, seed: int | None = None) -> tuple[FileDataset, FileDataset]:
        """Return two datasets that have all files between them, the first one about this share of them."""
        number = random.SystemRandom().randrange(2**31) if seed is None else seed
        first, rest = (
            self._select(lambda files, side=side: split_files(files, percentage, number)[side])  # type: ignore[misc]
            for side in (0, 1)
        )
        return first, rest

    @checked
    def filter(self, expression: Expression) -> FileDataset:
        """Return the dataset of the files for which a condition is true.

        :param expression: of :meth:`file_metadata`, and of parts of the path that ``partition_format`` has names for:
            ``(images["Country"] == "DE") & (images.file_metadata("Size") > 0)``.
        """
        from dag_factory.datasets.files import matching

        form = self.data.partition_format
        return self._select(lambda files: matching(expression, files, form))

    @checked
    def __getitem__(self, name: str) -> Expression:
        """Return a part of the path that ``partition_format`` has a name for, for :meth:`filter`."""
        from airflow_ml_pipelines.runtime.expressions import column

        if name not in self.partition_keys:
            raise DefinitionError(
                f"FileDataset[…]: there is no {name!r}.{did_you_mean(name, self.partition_keys)} Give "
                "partition_format=… to from_files, such as '/{Country}/{Day:yyyy-MM-dd}/*.jpg'"
            )
        return column(name)

    def file_metadata(self, name: str) -> Expression:
        """Return what the store says of a file, for :meth:`filter`: ``Size`` in bytes, ``LastModifiedTime``, ``Path``."""
        from airflow_ml_pipelines.runtime.expressions import column
        from dag_factory.datasets.files import METADATA

        if name not in METADATA:
            raise DefinitionError(
                f"FileDataset.file_metadata: there is no {name!r}.{did_you_mean(name, METADATA)}"
            )
        return column(name)


def _count(where: str, count: int) -> int:
    expect(f"{where}(count=…)", count, int, what="a number of files")
    if count < 0:
        raise DefinitionError(f"{where}(count=…): expected a number from 0 on, found {count}")
    return count
