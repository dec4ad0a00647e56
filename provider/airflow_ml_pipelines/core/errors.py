"""The exceptions of this package.

::

    MlPipelinesError
    ├── DefinitionError            a pipeline, step or argument that can't be built
    │   └── ParameterError         a parameter value that the pipeline does not take
    ├── WorkspaceError             a workspace file, datastore, environment or dataset that is missing or wrong
    ├── StoreError                 a store that can't be read or written
    │   ├── NotFoundError          no such object
    │   └── InvalidPathError       a path that would leave the store
    ├── DocumentError              a stored document that can't be read
    │   └── NewerDocumentError     … because a newer version of this package wrote it
    ├── SnapshotError              a source directory that can't be taken as a snapshot
    ├── DataError                  input data that is missing, or output data that is
    ├── EnvironmentBuildError      an environment that can't be made
    ├── ComputeTargetException     a compute target that does not exist or can't do what is asked
    └── StepError                  a step that did not end well
        ├── StepFailedError        … its script failed
        └── StepCanceledError      … it was canceled

The text of an error says what was expected, what was found (and where), and what to do.
"""

from __future__ import annotations

import errno

__all__ = [
    "ComputeTargetException",
    "DataError",
    "DefinitionError",
    "DocumentError",
    "EnvironmentBuildError",
    "InvalidPathError",
    "MlPipelinesError",
    "NewerDocumentError",
    "NotFoundError",
    "ParameterError",
    "SnapshotError",
    "StepCanceledError",
    "StepError",
    "StepFailedError",
    "StoreError",
    "WorkspaceError",
    "did_you_mean",
    "explain_os_error",
]


class MlPipelinesError(Exception):
    """Base of every error that this package raises on purpose.

    :ivar problems: each single problem with its place in a document, where there are several.
    :ivar findings: each single problem with its place in a file, where it has one.
    """

    problems: tuple[object, ...] = ()
    findings: tuple[object, ...] = ()


class DefinitionError(MlPipelinesError, ValueError):
    """A pipeline, step or argument that can't be built."""


class ParameterError(DefinitionError):
    """A parameter value that the pipeline does not take."""


class WorkspaceError(MlPipelinesError):
    """A workspace file, datastore, environment or dataset that is missing or wrong."""


class StoreError(MlPipelinesError, OSError):
    """A store that can't be read or written."""


class NotFoundError(StoreError):
    """No such object in the store."""


class InvalidPathError(StoreError):
    """A path that would leave the store or that no store can hold."""


class DocumentError(MlPipelinesError):
    """A stored document that can't be read."""


class NewerDocumentError(DocumentError):
    """A stored document that a newer version of this package wrote."""


class SnapshotError(MlPipelinesError):
    """A source directory that can't be taken as a snapshot."""


class DataError(MlPipelinesError):
    """Input data that is missing or changed, or output data that is missing."""


class EnvironmentBuildError(MlPipelinesError):
    """An environment that can't be made."""


class ComputeTargetException(MlPipelinesError):  # noqa: N818 - the name of the reference
    """A compute target that does not exist or can't do what is asked."""


class StepError(MlPipelinesError):
    """A step that did not end well."""


class StepFailedError(StepError):
    """A step whose script failed."""


class StepCanceledError(StepError):
    """A step that was canceled."""


_TO_DO = {
    errno.ENOSPC: "make room there, then start again",
    errno.EDQUOT: "make room there, then start again",
    errno.EROFS: "make it writable, or name another place",
}


def explain_os_error(error: OSError, *, place: bool = True) -> str:
    """Return what the system says of an error, and what to do where that is known.

    :param place: whether the file is named, where the error has one.
    """
    text = error.strerror or str(error)
    if error.errno in _TO_DO:
        text = f"{text}: {_TO_DO[error.errno]}"
    return f"{error.filename}: {text}" if place and error.filename and error.strerror else text


def did_you_mean(name: str, known: object) -> str:
    """Return `` Did you mean 'x'? There are: …`` for a name that is not among the known ones."""
    import difflib

    names = sorted(str(item) for item in known)  # type: ignore[attr-defined]
    if not names:
        return " There are none."
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
    return f"{hint} There are: {shown}."
