"""Gives a script what it may import, before its first line, and has no other part in how it runs.

Python imports a module of this name when it starts. So the script runs as ``python script.py`` would run it, with the
same ``__main__``, tracebacks and exit codes; and Python processes that it starts itself (the workers of a pool,
distributed training) can import the same. Another ``sitecustomize`` of the environment still takes effect.
"""

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

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:  # noqa: ARG002
        """Return where a module of these packages is, None for all others.

        :raises ModuleNotFoundError: for one that the stand-in lacks; the text says what it has.
        """
        package, _, rest = name.partition(".")
        if package not in _PACKAGES:
            return None
        from importlib.machinery import PathFinder

        place = os.path.join(_PACKAGES[package], *rest.split(".")) if rest else _PACKAGES[package]
        # in a folder or an archive
        spec = PathFinder.find_spec(name, [os.path.dirname(place)])
        if spec is not None:
            return spec
        above = sys.modules.get(name.rpartition(".")[0])
        if package == "azureml" and (getattr(above, "__file__", None) or "").startswith(_PACKAGES[package]):
            has = ", ".join(getattr(above, "__all__", ()))
            # without the attribute `name`, which would turn it into a shorter error that does not say what there is
            raise ModuleNotFoundError(
                f"there is no {name} here: azureml-core is not installed in the step's environment, and what stands in "
                f"for it has only {has}. Add azureml-core to the environment to have the rest."
            )
        return None


def _chain() -> None:
    """Run the sitecustomize that would have been found without this one."""
    for finder in sys.meta_path:
        spec = finder.find_spec("sitecustomize", sys.path) if hasattr(finder, "find_spec") else None
        if spec is not None and spec.loader is not None:
            module = type(sys)("sitecustomize")
            module.__file__ = spec.origin
            spec.loader.exec_module(module)
            return


def _watch(descriptor: int) -> None:
    """End this process group when the other end of a pipe is closed, as it is when the launcher is gone."""
    os.read(descriptor, 1)
    os.killpg(os.getpgrp(), 9)


def _start() -> None:
    # so that the script's own imports do not look here, nor the search for another sitecustomize
    sys.path[:] = [entry for entry in sys.path if entry != _HERE]
    if "ML_PIPELINES_RUN" in os.environ and os.getpgrp() == os.getpid():  # the script, none of its children
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(line_buffering=True)  # a line is seen when it is written
        descriptor = os.environ.pop("ML_PIPELINES_WATCH", None)
        if descriptor is not None:
            import _thread

            _thread.start_new_thread(_watch, (int(descriptor),))
    sys.meta_path.append(StandIn())  # type: ignore[arg-type]
    _chain()


_start()
