"""JARs for tests, of Java that is compiled here."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

from servers.process import lacking


def make_jar(folder: Path, name: str, source: str) -> Path:
    """Return a JAR with one class, which may use Spark.

    :param name: of the class, without a package.
    """
    compiler = shutil.which("javac")
    if compiler is None:
        lacking("javac", "install a JDK of Java 17 or later")
    import pyspark

    work = folder / "classes"
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"{name}.java"
    file.write_text(source)
    spark = Path(pyspark.__file__).parent / "jars"
    subprocess.run(
        [compiler, "-nowarn", "-cp", f"{spark}/*", "-d", work, file], check=True, capture_output=True
    )
    jar = folder / f"{name.lower()}.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for made in sorted(work.glob("*.class")):
            archive.writestr(zipfile.ZipInfo(made.name), made.read_bytes())
    return jar
