"""Starts the launcher in a container, from an archive of its modules, without compiling what was compiled before.

Many images come without compiled modules, the official ones of Python among them, and compiling what the launcher
imports takes longer than starting a container. ``start.py --compile FILE`` writes down what Python compiles, in one
container of an image; ``start.py FILE job.json stores.json`` runs a job with that, in all others of the same image. The
modules themselves are found as ever, and a file that is not the one that was compiled is compiled as ever.

It is run by its path, beside ``lib.zip``, and imports nothing before that is set up.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib.machinery import SourceFileLoader
from types import CodeType

__all__ = ["compile_launcher", "main", "use_compiled"]

_compile = SourceFileLoader.get_code
_VERSION = sys.version.encode()


def compile_launcher(path: str) -> None:
    """Import what the launcher imports, and write a file of what had to be compiled for it."""
    found: dict[str, tuple[float, int, bytes]] = {}

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        code = _compile(loader, name)
        if code is not None:
            found[loader.path] = (*_state(loader.path), marshal.dumps(code))
        return code

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
    import airflow_ml_pipelines.runtime.launcher  # noqa: F401

    with open(path, "wb") as file:
        file.write(_VERSION + marshal.dumps(found))


def use_compiled(path: str) -> None:
    """Take modules from a file that :func:`compile_launcher` wrote; without one that fits, nothing is taken."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return
    if not data.startswith(_VERSION):
        return
    known = marshal.loads(data[len(_VERSION) :])  # noqa: S302 - from a container of the same image

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        modified, size, code = known.get(loader.path) or (0, -1, b"")
        if (modified, size) != _state(loader.path):
            return _compile(loader, name)
        return marshal.loads(code)  # type: ignore[no-any-return]  # noqa: S302

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]


def _state(path: str) -> tuple[float, int]:
    state = os.stat(path)
    return state.st_mtime, state.st_size


def _check_version() -> None:
    wanted = os.environ.get("ML_PIPELINES_PYTHON", "")
    found = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if sys.version_info < (3, 11) or not f"{found}.".startswith(wanted):
        sys.exit(
            f"error: the image has Python {found}, and {wanted.strip('.') or '3.11 or later'} is wanted: take an image of "
            "that version, or say python: in the environment"
        )


def main(arguments: list[str]) -> int:
    """Compile the launcher or run it."""
    _check_version()
    sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib.zip")
    if arguments[0] == "--compile":
        compile_launcher(arguments[1])
        return 0
    use_compiled(arguments[0])
    from airflow_ml_pipelines.runtime import launcher

    return launcher.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
