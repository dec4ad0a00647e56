"""Runs a script as a step would, on a laptop: ``python -m airflow_ml_pipelines.runtime SCRIPT ARGUMENTS``.

``azureml.core`` and ``airflow_ml_pipelines`` can be imported, and ``Run.get_context()`` works offline.
"""

from __future__ import annotations

import os
import sys

from airflow_ml_pipelines.runtime.context import VARIABLE

__all__ = ["main"]


def main() -> None:
    """Become the script."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m airflow_ml_pipelines.runtime SCRIPT ARGUMENTS", file=sys.stderr)  # noqa: T201
        sys.exit(0 if arguments else 2)
    if not os.path.isfile(arguments[0]):
        print(f"error: there is no script {arguments[0]!r} in {os.getcwd()}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    bootstrap = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap")
    variables = {name: value for name, value in os.environ.items() if name != VARIABLE}
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, (bootstrap, variables.get("PYTHONPATH"))))
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *arguments], variables)  # noqa: S606 - the user's own script


if __name__ == "__main__":
    main()
