"""Code that was written for Azure ML SDK v1 is moved; what has no counterpart is found."""

from __future__ import annotations

import ast
import json
import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag_factory.cli import main
from dag_factory.migrate.counterparts import read_counterparts
from dag_factory.migrate.notebook import Notebook
from dag_factory.migrate.rewrite import rewrite_module

REWRITTEN = {
    "a class": ("from azureml.core import Workspace", "from dag_factory import Workspace"),
    "another name for it": (
        "from azureml.core import Workspace as W, Dataset",
        "from dag_factory import Workspace as W, Dataset",
    ),
    "parentheses and comments": (
        "from azureml.pipeline.core import (\n    Pipeline,  # one\n    PipelineData,\n)  # two",
        "from dag_factory import (\n    Pipeline,  # one\n    PipelineData,\n)  # two",
    ),
    "an error with another name": (
        "from azureml.exceptions import UserErrorException, ComputeTargetException",
        "from dag_factory import MlPipelinesError as UserErrorException, ComputeTargetException",
    ),
    "a module": (
        "import azureml.core\nws = azureml.core.Workspace.from_config()",
        "import dag_factory\nws = dag_factory.Workspace.from_config()",
    ),
    "a module by another name": (
        "import azureml.core as aml, os\nws = aml.Workspace.from_config()",
        "import os\nimport dag_factory\nws = dag_factory.Workspace.from_config()",
    ),
    "a deeper module": (
        "import azureml.core.compute\nazureml.core.compute.AmlCompute(ws, 'x')",
        "import dag_factory\ndag_factory.AmlCompute(ws, 'x')",
    ),
    "the version": (
        "import azureml.core\nprint(azureml.core.VERSION)",
        "import dag_factory\nprint(dag_factory.__version__)",
    ),
    "in a function, with other statements": (
        "def f():\n\tfrom azureml.core import Dataset; return Dataset",
        "def f():\n\tfrom dag_factory import Dataset; return Dataset",
    ),
    "lines of Windows": (
        "# a\r\nfrom azureml.core import Dataset\r\nx = 1\r\n",
        "# a\r\nfrom dag_factory import Dataset\r\nx = 1\r\n",
    ),
    "two modules": (
        "import azureml.core, azureml.data.datapath\np = azureml.data.datapath.DataPath()",
        "import dag_factory\np = dag_factory.DataPath()",
    ),
    "a class that is in a module of ours": (
        "from azureml.core import Run, Experiment\nrun = Experiment(ws, 'a').submit(p)",
        "from dag_factory import Run, Experiment\nrun = Experiment(ws, 'a').submit(p)",
    ),
}


@pytest.mark.parametrize(("old", "new"), REWRITTEN.values(), ids=REWRITTEN)
def test_imports_are_rewritten(old, new):
    found = rewrite_module(old)
    assert found.text == new
    assert found.places == ()
    assert rewrite_module(new).text == new


KEPT = {
    "nothing of the SDK": "import os\nprint('azureml.core')",
    "a module of the user's own": "from .azureml import Workspace\nimport azureml_tools",
    "a step's script": "from azureml.core import Run\nrun = Run.get_context()\nrun.log('a', 1)",
    "a step's script with data": (
        "from azureml.core import Dataset\nfrom azureml.core.run import Run as R\nws = R.get_context().experiment"
    ),
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_needs_no_change_stays(text):
    assert rewrite_module(text)[:2] == (text, ())


FOUND = {
    "no class of that name": (
        "from azureml.core import Webservice, Workspace",
        "from azureml.core import Webservice\nfrom dag_factory import Workspace",
        [(1, 26, "there is no Webservice here: models are not served here")],
    ),
    "a step of another kind": (
        "x = 1\nfrom azureml.pipeline.steps import HyperDriveStep",
        None,
        [(2, 36, "there is no HyperDriveStep here: `PythonScriptStep` with a search in the script")],
    ),
    "a name that nobody knows": (
        "from azureml.opendatasets import MNIST",
        None,
        [(1, 34, "azureml.opendatasets.MNIST has no counterpart here")],
    ),
    "everything": (
        "from azureml.core import *",
        None,
        [(1, 1, "expected names, found `*`: name what is used of azureml.core")],
    ),
    "a method of a class": (
        "from azureml.core import Workspace\nws = Workspace.get('a')",
        "from dag_factory import Workspace\nws = Workspace.get('a')",
        [(2, 16, "there is no Workspace.get here: `Workspace.from_config(path)`")],
    ),
    "a method that only one class has": (
        "from azureml.core import Dataset\nDataset.get_by_name(ws, 'a').to_spark_dataframe()",
        "from dag_factory import Dataset\nDataset.get_by_name(ws, 'a').to_spark_dataframe()",
        [(2, 30, "there is no to_spark_dataframe() here: read the URL with Spark")],
    ),
    "a class of a module": (
        "import azureml.core\na = azureml.core.Webservice\nb = azureml.core.Workspace",
        "import azureml.core\nimport dag_factory\na = azureml.core.Webservice\nb = dag_factory.Workspace",
        [(2, 18, "there is no Webservice here")],
    ),
}


@pytest.mark.parametrize(("old", "new", "places"), FOUND.values(), ids=FOUND)
def test_what_has_no_counterpart_is_found_and_stays(old, new, places):
    found = rewrite_module(old)
    assert found.text == (old if new is None else new)
    assert [(place.line, place.column) for place in found.places] == [place[:2] for place in places]
    for place, (_, _, message) in zip(found.places, places, strict=True):
        assert place.message.startswith(message)


NAMES = sorted(read_counterparts())


@given(st.lists(st.sampled_from([*NAMES, "Nobody"]), min_size=1, unique=True), st.booleans())
def test_no_name_is_lost_whatever_is_imported(names, brackets):
    inner = ", ".join(names)
    old = f"from azureml.core import {f'({inner},)' if brackets else inner}  # why\n"
    found = rewrite_module(old)
    bound = [alias.asname or alias.name for node in ast.parse(found.text).body for alias in node.names]
    assert sorted(bound) == sorted(names)
    assert found.text.count("# why") == 1
    gone = [
        alias.name
        for node in ast.parse(found.text).body
        if node.module != "dag_factory"
        for alias in node.names
    ]
    assert len(gone) == len(found.places)


def notebook(*sources: str | list[str], **layout) -> str:
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": source} for source in sources]
    document = {"cells": cells, "metadata": {"a": "é"}, "nbformat": 4, "nbformat_minor": 2}
    return json.dumps(document, **{"indent": 1, "ensure_ascii": False, **layout}) + "\n"


def test_cells_of_a_notebook_are_rewritten_and_all_else_stays(tmp_path, capsys):
    old = notebook(
        "%matplotlib inline\n!pip install azureml-core\nimport azureml.core\nazureml.core.VERSION",
        ["x = 1\n", "if x:\n", "    %time from azureml.core import Workspace"],
        "%%writefile train.py\nfrom azureml.core import Workspace",
        "%%bash\nfrom azureml.core import Workspace",
        "this is no Python: azureml",
        "Workspace?\nws = azureml.core.Workspace.get('a')",
    )
    file = tmp_path / "a.ipynb"
    file.write_text(old)
    assert main(["migrate", "--write", str(file)]) == 3
    new = file.read_text()
    changed = json.loads(new)["cells"]
    assert changed[0]["source"] == (
        "%matplotlib inline\n!pip install azureml-core\nimport dag_factory\ndag_factory.__version__"
    )
    assert changed[5]["source"] == "Workspace?\nws = dag_factory.Workspace.get('a')"
    differing = [pair for pair in zip(old.splitlines(), new.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(differing) == 2
    assert f"{file}:cell 6:2:29: there is no Workspace.get here" in capsys.readouterr().err


@pytest.mark.parametrize("layout", [{"indent": 2}, {"indent": None}, {"indent": 4, "ensure_ascii": True}])
def test_a_notebook_keeps_its_layout(layout):
    old = notebook("from azureml.core import Dataset", ["é = 1\n", "y"], **layout)
    book = Notebook(old, "a.ipynb")
    new, changes = book.changed(rewrite_module(book.module).text)
    assert new == old.replace("azureml.core", "dag_factory")
    assert changes == {1: "from dag_factory import Dataset"}


@given(st.lists(st.text("ab \n%!?#'\"\\=():\t", max_size=30), max_size=5))
def test_an_unchanged_module_is_an_unchanged_notebook(sources):
    text = notebook(*sources)
    book = Notebook(text, "a.ipynb")
    assert book.changed(book.module) == (text, {})


def test_a_folder_is_migrated_whole(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = "from azureml.core import Dataset\n"
    for name in ("a.py", "src/b.py", "venv/c.py", "env/lib/d.py", ".git/e.py", "src/readme.md"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(good)
    Path("env/pyvenv.cfg").touch()
    Path("step.py").write_text("from azureml.core import Run\nRun.get_context()\n")
    os.chmod("a.py", 0o755)
    assert main(["migrate", "."]) == 0
    shown = capsys.readouterr()
    assert shown.out == (
        "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-from azureml.core import Dataset\n+from dag_factory import Dataset\n"
        "--- src/b.py\n+++ src/b.py\n@@ -1 +1 @@\n-from azureml.core import Dataset\n"
        "+from dag_factory import Dataset\nstep.py: the script of a step: it runs as it is\n"
    )
    assert shown.err == "2 of 3 files would change: --write does it\n"
    assert Path("a.py").read_text() == good
    assert main(["migrate", ".", "--write", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(item["file"], item["changed"]) for item in document["files"]] == [
        ("a.py", True),
        ("src/b.py", True),
        ("step.py", False),
    ]
    assert Path("a.py").read_text() == Path("src/b.py").read_text() == "from dag_factory import Dataset\n"
    assert stat.S_IMODE(os.stat("a.py").st_mode) == 0o755
    assert Path("venv/c.py").read_text() == Path("env/lib/d.py").read_text() == good
    assert sorted(os.listdir()) == [".git", "a.py", "env", "src", "step.py", "venv"]
    assert main(["migrate", "."]) == 0
    assert capsys.readouterr().err == "0 of 3 files would change: --write does it\n"


BROKEN = {
    "no such file": (None, "there is no {file}"),
    "python 2": (
        b"from azureml.core import Run\nprint 'a'\n",
        "{file}:2:1: expected Python 3: Missing parentheses",
    ),
    "other bytes": (b"from azureml.core import Run\n# \xff\n", "{file}: expected utf-8, found byte 0xff"),
    "an unknown encoding": (b"# coding: klingon\nimport azureml\n", "{file}: unknown encoding: klingon"),
    "too deep": (
        b"import azureml\nx = " + b"(" * 3000 + b")" * 3000,
        "{file}",
    ),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_is_said_and_nothing_is_written(data, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.py").write_text("from azureml.core import Dataset\n")
    if data is not None:
        Path("x.py").write_bytes(data)
    assert main(["migrate", "--write", "good.py", "x.py"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: " + message.format(file="x.py"))
    assert said.out == ""
    assert Path("good.py").read_text() == "from azureml.core import Dataset\n"


@pytest.mark.parametrize(
    "text", ["", "azureml", "[]", '{"cells": 3}', '{"cells": [{"azureml": 1}]}', "[" * 100_000]
)
def test_what_is_no_notebook_is_refused(text, tmp_path, capsys):
    file = tmp_path / "a.ipynb"
    file.write_text(f"{text} " if "azureml" in text else f'"azureml"{text}')
    assert main(["migrate", str(file)]) == 1
    assert "expected a Jupyter notebook of format 4" in capsys.readouterr().err


def test_without_libcst_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "libcst", None)
    assert main(["migrate", "."]) == 2
    assert "pip install 'airflow-provider-ml-pipelines[migrate]'" in capsys.readouterr().err


def test_a_link_is_kept(tmp_path):
    real = tmp_path / "real.py"
    real.write_text("from azureml.core import Dataset\n")
    link = tmp_path / "link.py"
    link.symlink_to(real)
    assert main(["migrate", "--write", str(link)]) == 0
    assert link.is_symlink()
    assert real.read_text() == "from dag_factory import Dataset\n"
