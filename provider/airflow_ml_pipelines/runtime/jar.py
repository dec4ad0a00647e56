"""Runs the main class of JARs by the ``spark-submit`` of the Spark that PySpark is of.

As a program: ``python -m airflow_ml_pipelines.runtime.jar DOCUMENT [ARGUMENT …]``. DOCUMENT is a file with a JSON object that
has ``main_class``. Master, JARs and configuration are those of ``PYSPARK_SUBMIT_ARGS``, so that main classes get what scripts
get.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

__all__ = ["command", "main"]

_VARIABLE = "PYSPARK_SUBMIT_ARGS"
_SHELL = "pyspark-shell"  # what ends the variable: the program that PySpark starts
_NO_FILE = (
    "spark-internal"  # what spark-submit takes where the main class is in one of the JARs that it is given
)


def command(main_class: str, arguments: list[str], options: str, home: str) -> list[str]:
    """Return the command that runs a main class.

    :param options: of ``spark-submit``, as ``PYSPARK_SUBMIT_ARGS`` has them.
    :param home: the folder of Spark.
    """
    words = [word for word in shlex.split(options) if word != _SHELL]
    return [str(Path(home, "bin", "spark-submit")), *words, "--class", main_class, _NO_FILE, *arguments]


def main(arguments: list[str]) -> None:
    """Become the program that runs the main class."""
    from pyspark.find_spark_home import _find_spark_home

    document = json.loads(Path(arguments[0]).read_text())
    options = os.environ.pop(_VARIABLE, "")
    words = command(document["main_class"], arguments[1:], options, _find_spark_home())
    os.execv(words[0], words)  # noqa: S606 - it takes this one's place, and its signals


if __name__ == "__main__":
    main(sys.argv[1:])
