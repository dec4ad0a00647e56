"""Gives a script what it may import, before its first line, without a part in how it runs.

Python imports a module of this name when it starts. So the script runs as ``python script.py`` would run it, with the
same ``__main__``, tracebacks and exit codes, and whatever Python processes it starts itself (workers of a pool,
distributed training) can import the same. Another ``sitecustomize`` of the environment still takes effect.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_RUNTIME = os.path.dirname(_HERE)
_PACKAGES = {
    "airflow_ml_pipelines": os.path.dirname(_RUNTIME),
    "azureml": os.path.join(_RUNTIME, "standin", "azureml"),
}


class StandIn:
    """Finds ``azureml`` and ``airflow_ml_pipelines`` where nobody else does: it is asked last."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        package, _, rest = name.partition(".")
        if package not in _PACKAGES:
            return None
        place = os.path.join(_PACKAGES[package], *rest.split("."))
        from importlib.util import spec_from_file_location

        file = os.path.join(place, "__init__.py")
        if os.path.isfile(file):
            return spec_from_file_location(name, file, submodule_search_locations=[place])
        file = os.path.normpath(place) + ".py"
        if os.path.isfile(file):
            return spec_from_file_location(name, file)
        parent = sys.modules.get(name.rpartition(".")[0])
        if package == "azureml" and (getattr(parent, "__file__", None) or "").startswith(_PACKAGES[package]):
            raise ModuleNotFoundError(_missing(parent, name.rpartition(".")[2]))
        return None


def _missing(module, name):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (
        "%s has no %r here: azureml-core is not installed in the step's environment, and the stand-in for it has only "
        "%s. Add azureml-core to the environment to have the rest."
        % (module.__name__, name, ", ".join(module.__all__))
    )


def _chain():  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Run the sitecustomize that would have been found without this one."""
    for finder in sys.meta_path:
        if not isinstance(finder, StandIn):
            spec = finder.find_spec("sitecustomize", sys.path)
            if spec is not None and spec.loader is not None:
                module = type(sys)("sitecustomize")
                module.__file__ = spec.origin
                spec.loader.exec_module(module)
                return


def _watch(descriptor):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """End this process group when the other end of a pipe is closed, as it is when the launcher is gone."""
    os.read(descriptor, 1)
    os.killpg(os.getpgrp(), 9)


def _start():  # type: ignore[no-untyped-def]  # noqa: ANN202
    # so that the script's own imports do not look here, and that the search for another sitecustomize does not
    sys.path[:] = [entry for entry in sys.path if entry != _HERE]
    sys.meta_path.append(StandIn())
    if "ML_PIPELINES_RUN" in os.environ and os.getpgrp() == os.getpid():  # the script, none of its children
        if sys.stdout is not None:
            sys.stdout.reconfigure(line_buffering=True)  # a line is seen when it is written
        descriptor = os.environ.pop("ML_PIPELINES_WATCH", None)
        if descriptor is not None:
            import _thread

            _thread.start_new_thread(_watch, (int(descriptor),))
    _chain()


_start()
