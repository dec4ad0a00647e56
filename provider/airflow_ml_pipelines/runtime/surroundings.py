"""What a run is in, as a script sees it: its experiment, the workspace and the workspace's datastores and datasets."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from airflow_ml_pipelines.core.errors import DataError, WorkspaceError, did_you_mean
from airflow_ml_pipelines.core.layout import segment
from airflow_ml_pipelines.runtime.context import Context, present_context
from airflow_ml_pipelines.runtime.datasets import FileDataset, TabularDataset, open_dataset
from airflow_ml_pipelines.runtime.places import (
    copy_from,
    copy_to,
    folder_names,
    join_place,
    list_part,
    read_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DataPath", "Dataset", "Datastore", "Experiment", "Workspace", "find_dataset"]


class Workspace:
    """The workspace that a run belongs to."""

    def __init__(self, name: str, root: str, datastores: Mapping[str, str], default_datastore: str) -> None:
        self.name = name
        self.root = root
        self.datastores = {name: Datastore(self, name, url) for name, url in datastores.items()}
        self._default = default_datastore

    @classmethod
    def of(cls, context: Context) -> Workspace:
        """Return the workspace of a run."""
        known = context.workspace
        return cls(known["name"], known["root"], known["datastores"], known["default_datastore"])

    @classmethod
    def from_config(cls, *_: Any, **__: Any) -> Workspace:
        """Return the workspace of the present run, whatever file is asked for."""
        context = present_context()
        assert context is not None
        return cls.of(context)

    @classmethod
    def get(cls, name: str | None = None, **_: Any) -> Workspace:
        """Return the workspace of the present run.

        :raises WorkspaceError: where it has another name.
        """
        workspace = cls.from_config()
        if name not in (None, workspace.name):
            raise WorkspaceError(f"a step has one workspace, {workspace.name!r}: there is no {name!r} here")
        return workspace

    def __repr__(self) -> str:
        return f"Workspace({self.name!r})"

    def get_default_datastore(self) -> Datastore:
        """Return the default datastore."""
        return Datastore.get(self, self._default)

    @property
    def datasets(self) -> list[str]:
        """The names of the registered datasets."""
        return folder_names(join_place(self.root, "datasets"))


class Experiment:
    """The experiment that a run belongs to."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name
        self.id = name

    def __repr__(self) -> str:
        return f"Experiment({self.name!r}, workspace={self.workspace.name!r})"


class DataPath(NamedTuple):
    """A path on a datastore."""

    datastore: Datastore
    path_on_datastore: str

    @property
    def url(self) -> str:
        """The local path, or the URL."""
        return join_place(self.datastore.url, self.path_on_datastore)

    def __str__(self) -> str:
        return self.url

    def __fspath__(self) -> str:
        return self.url


class Datastore:
    """A datastore of the workspace: a name and a local path or URL."""

    def __new__(cls, workspace: Workspace, name: str, url: str | None = None) -> Datastore:  # noqa: PYI034
        """Return a datastore by its name. :raises WorkspaceError: where the workspace has none of that name."""
        return cls.get(workspace, name) if url is None else super().__new__(cls)

    def __init__(self, workspace: Workspace, name: str, url: str | None = None) -> None:
        if url is not None:
            self.workspace = workspace
            self.name = name
            self.url = url

    @staticmethod
    def get(workspace: Workspace, datastore_name: str) -> Datastore:
        """Return a datastore by its name. :raises WorkspaceError: where the workspace has none of that name."""
        try:
            return workspace.datastores[datastore_name]
        except KeyError:
            raise WorkspaceError(
                f"workspace {workspace.name!r} has no datastore {datastore_name!r}."
                + did_you_mean(datastore_name, workspace.datastores)
            ) from None

    @staticmethod
    def get_default(workspace: Workspace) -> Datastore:
        """Return the workspace's default datastore."""
        return workspace.get_default_datastore()

    def __repr__(self) -> str:
        return f"Datastore({self.name!r}, {self.url!r})"

    def path(self, path: str = "") -> DataPath:
        """Return a path on the datastore."""
        return DataPath(self, path)

    def upload(self, src_dir: str, target_path: str = "", overwrite: bool = False, **_: Any) -> None:
        """Copy the files of a local folder to the datastore.

        :raises DataError: where a file is there already and ``overwrite`` is false.
        """
        files = list_part({"place": src_dir, "kind": "folder"})
        self._copy(
            [(file.place, join_place(target_path, file.path).lstrip("/")) for file in files],
            overwrite=overwrite,
        )

    def upload_files(
        self,
        files: Sequence[str],
        relative_root: str | None = None,
        target_path: str = "",
        overwrite: bool = False,
        **_: Any,
    ) -> None:
        """Copy local files to the datastore, by their paths relative to a folder (None: their names).

        :raises DataError: where a file is there already and ``overwrite`` is false.
        """
        pairs = []
        for file in files:
            name = os.path.relpath(file, relative_root) if relative_root else os.path.basename(file)
            pairs.append((file, join_place(target_path, name.replace(os.sep, "/")).lstrip("/")))
        self._copy(pairs, overwrite=overwrite)

    def download(self, target_path: str, prefix: str = "", overwrite: bool = False, **_: Any) -> int:
        """Copy the files below a folder of the datastore to a local folder, with that folder's path; return how many."""
        top = join_place(self.url, prefix)
        files = list_part({"place": top, "kind": "auto"})
        count = 0
        for file in files:
            name = prefix if file.place == top else os.path.join(prefix, file.path)
            target = os.path.join(target_path, name)
            if overwrite or not os.path.exists(target):
                os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
                copy_from(file.place, target)
                count += 1
        return count

    def _copy(self, pairs: list[tuple[str, str]], *, overwrite: bool) -> None:
        if not overwrite:
            folders = {path.rpartition("/")[0] for _, path in pairs}
            there = {folder: set(folder_names(join_place(self.url, folder))) for folder in folders}
            for _, path in pairs:
                folder, _, name = path.rpartition("/")
                if name in there[folder]:
                    raise DataError(
                        f"{path} is on datastore {self.name!r} already: use overwrite=True to replace it"
                    )
        for source, path in pairs:
            copy_to(source, join_place(self.url, path))


_Path = Union[str, DataPath, "tuple[Datastore, str]"]


class Dataset:
    """Datasets that a script makes itself, or finds by name. What they hold is not a part of the step's reuse key."""

    class File:
        """Datasets of files."""

        @staticmethod
        def from_files(path: _Path | Sequence[_Path], **_: Any) -> FileDataset:
            """Return a dataset of files, folders or patterns."""
            return FileDataset(_parts(path))

    class Tabular:
        """Datasets that are tables."""

        @staticmethod
        def from_delimited_files(path: _Path | Sequence[_Path], **options: Any) -> TabularDataset:
            """Return a table of delimited files; options as of ``Dataset.Tabular.from_delimited_files``."""
            options.pop("validate", None)
            return TabularDataset(_parts(path), options)

    @staticmethod
    def get_by_name(
        workspace: Workspace, name: str, version: str | int = "latest"
    ) -> FileDataset | TabularDataset:
        """Return a registered dataset. :raises WorkspaceError: where there is none of that name and version."""
        return find_dataset(workspace, name, version)


def find_dataset(
    workspace: Workspace, name: str, version: str | int = "latest"
) -> FileDataset | TabularDataset:
    """Return a registered dataset. :raises WorkspaceError: where there is none of that name and version."""
    folder = join_place(workspace.root, f"datasets/{segment(name)}")
    versions = sorted(
        int(file[:-5]) for file in folder_names(folder) if file.endswith(".json") and file[:-5].isdigit()
    )
    if not versions:
        raise WorkspaceError(
            f"there is no dataset {name!r} in workspace {workspace.name!r}."
            + did_you_mean(name, workspace.datasets)
        )
    number = versions[-1] if version in (None, "latest") else version
    if str(number) not in map(str, versions):
        raise WorkspaceError(
            f"dataset {name!r} has no version {version}." + did_you_mean(str(version), versions)
        )
    document = json.loads(read_bytes(join_place(folder, f"{number}.json")))
    data = document["data"]
    parts = []
    for location in data["locations"]:
        store = location.get("datastore")
        if store is None:
            parts.append({"place": location["path"], "kind": "auto", "label": location["path"]})
        else:
            path = DataPath(Datastore.get(workspace, store), location["path"])
            parts.append({"place": path.url, "kind": "auto", "label": "/" + location["path"]})
    return open_dataset(parts, data.get("tabular"), name)


def _parts(path: Any) -> list[dict[str, str]]:
    several = isinstance(path, list)
    return [_part(item) for item in (path if several else [path])]


def _part(item: Any) -> dict[str, str]:
    if isinstance(item, tuple):
        place = DataPath(*item)
        return {"place": place.url, "kind": "auto", "label": "/" + place.path_on_datastore.lstrip("/")}
    if isinstance(item, (str, os.PathLike)):
        text = os.fspath(item)
        return {"place": text, "kind": "auto", "label": text}
    raise DataError(f"expected a path, a URL or (datastore, path), found {item!r}")
