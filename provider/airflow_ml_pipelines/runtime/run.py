"""The run of a step, as its script sees it: ``Run.get_context()``.

With or without an orchestrator the same calls work. What a script logs are events in the attempt's ``metrics.jsonl``;
what it logs about ``run.parent`` is about the pipeline's run.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from typing import TYPE_CHECKING, Any

from airflow_ml_pipelines.core.errors import DataError, MlPipelinesError
from airflow_ml_pipelines.core.metrics import read_events, read_metrics, read_properties, read_tags
from airflow_ml_pipelines.runtime.context import Context, present_context
from airflow_ml_pipelines.runtime.values import cell, check_name, plain_value, scalar, scalar_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_ml_pipelines.runtime.surroundings import Experiment

__all__ = ["OfflineRun", "Run", "RunEnvironmentException"]

_TYPES = {"step": "azureml.StepRun", "parent": "azureml.PipelineRun"}
_present: list[Run] = []


class RunEnvironmentException(MlPipelinesError):  # noqa: N818 - the name of the reference
    """There is no orchestrator, and the script insists on one."""


class Run:
    """A run: the step's own (``Run.get_context()``) or the pipeline's (``run.parent``)."""

    def __init__(self, context: Context, *, parent: bool = False) -> None:
        self._context = context
        self._is_parent = parent

    @classmethod
    def get_context(cls, allow_offline: bool = True, **_: Any) -> Run:
        """Return the run of the step whose script this is.

        Without an orchestrator it is an :class:`OfflineRun`, with one warning.

        :raises RunEnvironmentException: without an orchestrator, where ``allow_offline`` is false.
        """
        context = present_context(allow_offline=allow_offline)
        if context is None:
            raise RunEnvironmentException(
                "Run.get_context(allow_offline=False): no orchestrator runs this script. Submit the pipeline, or allow "
                "the script to run offline."
            )
        if not _present:
            _present.append(OfflineRun(context) if context.offline else Run(context))
        return _present[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, status={self.status!r})"

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self._context.run["run" if self._is_parent else "id"])

    @property
    def number(self) -> int:
        """Which attempt at the step it is."""
        return 1 if self._is_parent else int(self._context.run["attempt"])

    @property
    def name(self) -> str:
        """The name of the step, or of the pipeline."""
        return str(self._context.run["pipeline" if self._is_parent else "step_name"])

    @property
    def display_name(self) -> str:
        """The same as :attr:`name`."""
        return self.name

    @property
    def type(self) -> str:
        """What kind of run it is, in the reference's words."""
        return _TYPES["parent" if self._is_parent else "step"]

    @property
    def status(self) -> str:
        """``Running``: a script only sees runs that do."""
        return "Running"

    def get_status(self) -> str:
        """Return :attr:`status`."""
        return self.status

    @property
    def experiment(self) -> Experiment:
        """The experiment, which knows the workspace."""
        from airflow_ml_pipelines.runtime.surroundings import Experiment, Workspace

        return Experiment(Workspace.of(self._context), str(self._context.run["experiment"]))

    @property
    def parent(self) -> Run | None:
        """The pipeline's run; None for that itself."""
        return None if self._is_parent else type(self)(self._context, parent=True)

    def get_children(self, recursive: bool = False, **_: Any) -> Iterator[Any]:  # noqa: ARG002
        """Yield the runs of the pipeline's steps so far; a step's run has no children."""
        if self._is_parent and self._context.parent_folder is not None:
            from airflow_ml_pipelines.runtime.children import find_children

            yield from find_children(self._context)

    def get_details(self) -> dict[str, Any]:
        """Return what is known of the run, as a dict."""
        started = self._context.started
        return {
            "runId": self.id,
            "target": "local",
            "status": self.status,
            "startTimeUtc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)) if started else None,
            "properties": self.get_properties(),
            "tags": self.get_tags(),
            "runDefinition": {"script": self._context.script, "parameters": dict(self._context.parameters)},
            "inputDatasets": sorted(self._context.inputs),
            "outputDatasets": sorted(self._context.outputs),
        }

    # --- data ----------------------------------------------------------------------------------------------------

    @property
    def input_datasets(self) -> Mapping[str, Any]:
        """The step's inputs by name: a path for ``mount`` and ``download``, a dataset for ``direct``."""
        from airflow_ml_pipelines.runtime.datasets import Inputs, open_dataset

        found = {}
        for name, item in self._context.inputs.items():
            direct = item["mode"] == "direct"
            found[name] = open_dataset(item["parts"], item.get("tabular"), name) if direct else item["value"]
        return Inputs(found, "input")

    @property
    def output_datasets(self) -> Mapping[str, str]:
        """The paths of the step's outputs by name."""
        from airflow_ml_pipelines.runtime.datasets import Inputs

        return Inputs(self._context.outputs, "output")

    # --- metrics -------------------------------------------------------------------------------------------------

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Log a number or text. Several values of one name are a list.

        :raises TypeError: for anything else.
        """
        self._metric(name, "scalar", scalar(value, "log", name), description, step)

    def log_list(self, name: str, value: Sequence[Any], description: str = "") -> None:
        """Log a list of numbers or texts. :raises TypeError: for anything else."""
        self._metric(name, "list", scalar_list(value, "log_list", name), description)

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """Log a row of a table. :raises TypeError: for a cell that is no number and no text."""
        row = {column: cell(value, "log_row", name) for column, value in kwargs.items()}
        self._metric(name, "row", row, description)

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Log a table: a dict of columns. :raises TypeError: for a cell that is no number and no text."""
        if not hasattr(value, "items"):
            raise TypeError(f"log_table({name!r}, …) takes a dict of columns, found {type(value).__name__}")
        table = {str(column): cell(cells, "log_table", name) for column, cells in value.items()}
        self._metric(name, "table", table, description)

    def log_image(self, name: str, path: str | None = None, plot: Any = None, description: str = "") -> None:
        """Log an image: a file, or a matplotlib figure (``plot``), which becomes a PNG.

        :raises ValueError: where neither or both are given.
        :raises DataError: where there is no such file.
        """
        if (path is None) is (plot is None):
            raise ValueError(f"log_image({name!r}, …) takes a path or a plot: give one of them")
        source: Any = path
        if plot is not None:
            source = io.BytesIO()
            plot.savefig(source, format="png")
            source.seek(0)
        ending = os.path.splitext(path)[1] if path else ".png"
        names = set(self._context.artifacts.names())
        stem = "outputs/images/" + (name.replace("/", "_").replace(os.sep, "_") or "image")
        artifact = stem + ending
        count = 1
        while artifact in names:
            count += 1
            artifact = f"{stem}-{count}{ending}"
        self.upload_file(artifact, source)
        self._metric(name, "image", artifact, description)

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Log a confusion matrix: a dict (or its JSON) with ``schema_type``, ``schema_version`` and ``data``."""
        self._document(name, value, "confusion_matrix", description)

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """Log an accuracy table: a dict (or its JSON) with ``schema_type``, ``schema_version`` and ``data``."""
        self._document(name, value, "accuracy_table", description)

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Log residuals: a dict (or its JSON) with ``schema_type``, ``schema_version`` and ``data``."""
        self._document(name, value, "residuals", description)

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Log predictions: a dict (or its JSON) with ``schema_type``, ``schema_version`` and ``data``."""
        self._document(name, value, "predictions", description)

    def get_metrics(
        self,
        name: str | None = None,
        recursive: bool = False,
        run_type: str | None = None,  # noqa: ARG002
        populate: bool = False,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the metrics by name, see :func:`airflow_ml_pipelines.core.metrics.read_metrics`.

        :param name: only this one.
        :param recursive: those of this run and of its children, by the runs' ids.
        """
        metrics = read_metrics(self._events(), parent=self._is_parent)
        if name is not None:
            metrics = {known: value for known, value in metrics.items() if known == name}
        if not recursive:
            return metrics
        found = {self.id: metrics}
        found.update({child.id: child.get_metrics(name) for child in self.get_children()})
        return found

    def _metric(
        self, name: str, form: str, value: Any, description: str | None, step: int | None = None
    ) -> None:
        event = {"name": check_name(name), "form": form, "value": value}
        if description:
            event["description"] = description
        if step is not None:
            event["step"] = int(step)
        self._add("metric", **event)

    def _document(self, name: str, value: Any, kind: str, description: str) -> None:
        document = json.loads(value) if isinstance(value, (str, bytes)) else value
        if not isinstance(document, dict) or not {"schema_type", "schema_version", "data"} <= set(document):
            raise ValueError(
                f"log_{kind}({name!r}, …) takes a dict with 'schema_type', 'schema_version' and 'data', found {value!r:.80}"
            )
        self._metric(name, kind, json.loads(json.dumps(document, default=plain_value)), description)

    # --- files ---------------------------------------------------------------------------------------------------

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: str | None = None) -> None:  # noqa: ARG002
        """Add a file to the run. :raises DataError: where there is no such file, or the name is taken."""
        self._context.artifacts.add(name, path_or_stream)
        self._add("artifact", name=name)

    def upload_files(self, names: Sequence[str], paths: Sequence[str], **_: Any) -> None:
        """Add files to the run. :raises DataError: see :meth:`upload_file`."""
        if len(names) != len(paths):
            raise ValueError(
                f"upload_files takes a path for each name: found {len(names)} names and {len(paths)} paths"
            )
        for name, path in zip(names, paths):
            self.upload_file(name, path)

    def upload_folder(self, name: str, path: str, datastore_name: str | None = None) -> None:  # noqa: ARG002
        """Add a folder's files to the run, below a name. :raises DataError: see :meth:`upload_file`."""
        from airflow_ml_pipelines.runtime.artifacts import list_files

        if not os.path.isdir(path):
            raise DataError(f"can't add folder {name!r} to the run: {path!r} is no folder")
        for file in list_files(path):
            self.upload_file(f"{name.rstrip('/')}/{file}", os.path.join(path, file))

    def download_file(self, name: str, output_file_path: str | None = None, **_: Any) -> None:
        """Copy a file of the run to a local path (its name in the current directory for None)."""
        import shutil

        source = self._context.artifacts.find(name)
        target = output_file_path or os.path.basename(name)
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(name))
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        with contextlib.suppress(shutil.SameFileError):
            shutil.copyfile(source, target)

    def download_files(
        self, prefix: str | None = None, output_directory: str | None = None, **_: Any
    ) -> None:
        """Copy the files of the run whose names begin so to a local folder, below their names."""
        for name in self.get_file_names():
            if name.startswith(prefix or ""):
                self.download_file(name, os.path.join(output_directory or ".", *name.split("/")))

    def get_file_names(self) -> list[str]:
        """Return the names of the run's files, with those in ``./outputs`` and ``./logs``."""
        return [] if self._is_parent else self._context.artifacts.names()

    def register_model(self, model_name: str, **_: Any) -> None:
        """There is no model registry. :raises NotImplementedError: always, with what to do instead."""
        raise NotImplementedError(
            f"register_model({model_name!r}): there is no model registry. Write the model to an output of the step and "
            "give that output a name with register_on_complete(); it is then a versioned dataset of the workspace."
        )

    # --- tags and properties -------------------------------------------------------------------------------------

    def tag(self, key: str, value: Any = None) -> None:
        """Set a tag."""
        self._add("tag", name=check_name(key), value="" if value is None else str(value))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags."""
        for key, value in tags.items():
            self.tag(key, value)

    def get_tags(self) -> dict[str, str]:
        """Return the run's tags, with those that it was submitted with."""
        return {**self._context.tags, **read_tags(self._events(), parent=self._is_parent)}

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add properties. :raises ValueError: where one has another value already: they can't be changed."""
        known = self.get_properties()
        for key, value in properties.items():
            if known.get(key, str(value)) != str(value):
                raise ValueError(
                    f"property {key!r} is {known[key]!r} already, and properties can't be changed: use a tag"
                )
        for key, value in properties.items():
            if key not in known:
                self._add("property", name=check_name(key), value=str(value))

    def get_properties(self) -> dict[str, str]:
        """Return the run's properties; what git knew of the source is among them."""
        return {**read_properties(self._events(), parent=self._is_parent), **self._context.properties}

    # --- its end, which the launcher decides -----------------------------------------------------------------------

    def flush(self, timeout_seconds: float = 300) -> None:
        """Do nothing: every call has written what it logs before it returns."""

    def complete(self, _set_status: bool = True) -> None:
        """Do nothing: a step is complete when its script has ended with exit code 0."""

    def fail(self, error_details: Any = None, error_code: Any = None, **_: Any) -> None:
        """Log why the step is going to fail; it fails when its script ends with another exit code than 0."""
        self._add("note", name="fail", value=str(error_details or error_code or ""))

    def wait_for_completion(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Return what is known of the run: a script can't wait for its own end."""
        return self.get_details()

    def __enter__(self) -> Run:  # noqa: PYI034 - Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        pass

    # --- inside --------------------------------------------------------------------------------------------------

    def _add(self, kind: str, **event: Any) -> None:
        if self._is_parent:
            event["parent"] = True
        self._context.journal.add(kind=kind, **event)

    def _events(self) -> list[dict[str, Any]]:
        own = self._context.journal.events()
        if not self._is_parent or self._context.parent_folder is None:
            return own
        from airflow_ml_pipelines.runtime.children import read_attempts

        others = [
            event for attempt in read_attempts(self._context) for event in read_events(attempt.events())
        ]
        return sorted([*others, *own], key=lambda event: event.get("at") or 0.0)


class OfflineRun(Run):
    """A run without an orchestrator: metrics are printed, files go to ``./outputs``."""

    @property
    def input_datasets(self) -> Mapping[str, Any]:
        """Inputs by name: those whose path an environment variable ``AZUREML_DATAREFERENCE_<name>`` has."""
        from airflow_ml_pipelines.runtime.datasets import Inputs, LocalData

        prefix = "AZUREML_DATAREFERENCE_"
        found = {
            name[len(prefix) :]: LocalData(os.environ[name]) for name in os.environ if name.startswith(prefix)
        }
        hint = f" No orchestrator runs this script: set the environment variable {prefix}<name> to a path."
        return Inputs(found, "input", hint)
