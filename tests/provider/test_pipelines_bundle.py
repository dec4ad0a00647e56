from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from dag_processing import bag, dag_files, parse

from airflow_ml_pipelines.bundles.pipelines import PipelinesBundle
from airflow_ml_pipelines.core.errors import DefinitionError

GOOD = "steps: {a: {script: a.py}}\n"
BROKEN = "steps:\n  a: {scrpt: a.py}\n"
GIT = "airflow.providers.git.bundles.git.GitDagBundle"


class Folder:
    """A folder with definitions, and the bundle of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.write("a.py")

    def write(self, name: str, text: str = "") -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def bundle(self, **options) -> PipelinesBundle:
        """A bundle as the DAG processor has it."""
        bundle = PipelinesBundle(name="pipelines", folder=self.path, **options)
        bundle.initialize()
        bundle.refresh()
        return bundle


@pytest.fixture(autouse=True)
def storage(tmp_path, monkeypatch):
    """Where bundles keep what they make."""
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "storage"))
    monkeypatch.delenv("ML_PIPELINES_WORKSPACE", raising=False)
    return tmp_path / "storage"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "folder")


def content(top: Path) -> dict[str, object]:
    """All that is in a folder: the targets of links, the bytes and time stamps of files."""
    found: dict[str, object] = {}
    for place, folders, files in os.walk(top):
        for name in folders + files:
            path = Path(place, name)
            known = path.relative_to(top).as_posix()
            if path.is_symlink():
                found[known] = os.readlink(path)
            elif path.is_file():
                found[known] = (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
            else:
                found[known] = None
    return found


# --- DAG files ----------------------------------------------------------------------------------------------------


def test_every_definition_is_a_dag_file_of_its_own(folder):
    folder.write("one.pipeline.yaml", GOOD)
    folder.write("sub/deep/two.pipeline.yml", GOOD)
    folder.write("sub/deep/a.py")
    bundle = folder.bundle()
    assert dag_files(bundle.path) == ["one.pipeline.yaml.py", "sub/deep/two.pipeline.yml.py"]
    parsed = parse(bundle.path)
    assert parsed.errors == {}
    assert {dag: data["relative_fileloc"] for dag, data in parsed.dags.items()} == {
        "one": "one.pipeline.yaml.py",
        "two": "sub/deep/two.pipeline.yml.py",
    }


def test_the_code_that_airflow_shows_is_the_yaml(folder):
    from airflow.models.dagcode import DagCode

    file = folder.write("one.pipeline.yaml", GOOD)
    dag = parse(folder.bundle().path).dags["one"]
    assert dag["fileloc"] == str(file)
    assert DagCode.get_code_from_file(dag["fileloc"]) == GOOD


def test_what_is_wrong_with_a_definition_is_its_own_import_error(folder):
    folder.write("one.pipeline.yaml", GOOD)
    folder.write("sub/bad.pipeline.yaml", BROKEN)
    folder.write("sub/worse.pipeline.yaml", "x: [")
    parsed = parse(folder.bundle().path)
    assert parsed.dags.keys() == {"one"}
    assert parsed.errors.keys() == {"sub/bad.pipeline.yaml.py", "sub/worse.pipeline.yaml.py"}
    text = parsed.errors["sub/bad.pipeline.yaml.py"]
    assert "sub/bad.pipeline.yaml:2:7: steps.a.scrpt: unknown field. Did you mean 'script'?" in text
    assert "  2 |   a: {scrpt: a.py}\n    |       ^^^^^" in text
    assert "sub/worse.pipeline.yaml:1:" in parsed.errors["sub/worse.pipeline.yaml.py"]


def test_errors_have_the_same_paths_in_every_checkout(folder):
    folder.write("sub/bad.pipeline.yaml", "steps: {a: {script: missing.py}}\n")
    text = parse(folder.bundle().path).errors["sub/bad.pipeline.yaml.py"]
    assert str(folder.path) not in text.partition("DefinitionError: ")[2]


def test_an_error_that_nobody_thought_of_names_the_definition(folder, monkeypatch):
    import dag_factory.dags.compile

    def build(*_, **__):
        raise RuntimeError("out of luck")

    folder.write("one.pipeline.yaml", GOOD)
    bundle = folder.bundle()
    monkeypatch.setattr(dag_factory.dags.compile, "build_dag", build)
    assert "one.pipeline.yaml: RuntimeError: out of luck" in parse(bundle.path).errors["one.pipeline.yaml.py"]


def test_a_name_that_another_definition_has_is_an_error_of_the_second(folder):
    folder.write("one.pipeline.yaml", GOOD)
    second = folder.write("sub/two.pipeline.yaml", f"{GOOD}name: one\n")
    folder.write("sub/a.py")
    bundle = folder.bundle()
    parsed = parse(bundle.path)
    assert parsed.dags["one"]["relative_fileloc"] == "one.pipeline.yaml.py"
    error = parsed.errors["sub/two.pipeline.yaml.py"]
    assert "sub/two.pipeline.yaml:2:7: name: one.pipeline.yaml has the name 'one' already" in error
    second.write_text(f"{GOOD}name: two\n")
    bundle.refresh()
    assert parse(bundle.path).dags.keys() == {"one", "two"}


def test_the_workspace_is_relative_to_the_folder(folder, wanted):
    folder.write("sub/one.pipeline.yaml", GOOD)
    folder.write("sub/a.py")
    bundle = folder.bundle(workspace="config/workspace.yaml")
    dag = bag(bundle.path / "sub/one.pipeline.yaml.py", bundle.path).dags["one"]
    assert dag.get_task("plan").workspace == str(folder.path / "config/workspace.yaml")


def test_dag_files_in_python_work_as_before(folder):
    folder.write("one.pipeline.yaml", GOOD)
    folder.write("tools/__init__.py")
    folder.write("tools/names.py", "NAME = 'written'\n")
    folder.write("sub/query.sql", "select 1")
    folder.write("sub/two.pipeline.yaml", GOOD)
    folder.write("sub/a.py")
    folder.write(
        "sub/written.py",
        "from pathlib import Path\nfrom airflow.sdk import DAG\nfrom tools.names import NAME\n"
        "dag = DAG(NAME, schedule=None, description=(Path(__file__).parent / 'query.sql').read_text())\n",
    )
    bundle = folder.bundle()
    parsed = parse(bundle.path)
    assert parsed.errors == {}
    assert parsed.dags.keys() == {"one", "two", "written"}
    assert parsed.dags["written"]["description"] == "select 1"
    assert parsed.dags["written"]["relative_fileloc"] == "sub/written.py"


# --- .airflowignore -----------------------------------------------------------------------------------------------


def test_what_airflowignore_names_is_left_out(folder):
    folder.write(".airflowignore", "draft/\ntwo*\n")
    for name in ("one", "two", "draft/three", ".hidden/four", "sub/five", "sub/six"):
        folder.write(f"{name}.pipeline.yaml", GOOD)
    folder.write("sub/.airflowignore", "six.*\n")
    folder.write("draft/dag.py", "# airflow dag")
    assert dag_files(folder.bundle().path) == ["one.pipeline.yaml.py", "sub/five.pipeline.yaml.py"]


def test_scripts_that_airflowignore_names_hide_no_definition(folder):
    folder.write(".airflowignore", "*.py")
    folder.write("sub/.airflowignore", "*.py\n# nothing else")
    folder.write("train.py", "# for the airflow dag")
    folder.write("one.pipeline.yaml", GOOD)
    folder.write("sub/two.pipeline.yaml", GOOD)
    assert dag_files(folder.bundle().path) == ["one.pipeline.yaml.py", "sub/two.pipeline.yaml.py"]


def test_airflowignore_may_have_regular_expressions(folder, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX", "regexp")
    folder.write(".airflowignore", "draft\ntw[o]  # and no other\n(\n")
    for name in ("one", "two", "draft/three"):
        folder.write(f"{name}.pipeline.yaml", GOOD)
    assert dag_files(folder.bundle().path) == ["one.pipeline.yaml.py"]


# --- the view -----------------------------------------------------------------------------------------------------


def test_nothing_is_written_where_nothing_changed(folder):
    folder.write("one.pipeline.yaml", GOOD)
    folder.write("sub/two.pipeline.yaml", GOOD)
    folder.write("sub/three.pipeline.yaml", f"name: two\n{GOOD}")
    folder.write(".airflowignore", "x\n")
    bundle = folder.bundle()
    before = content(bundle.base_dir)
    bundle.refresh()
    folder.bundle()
    assert content(bundle.base_dir) == before


def test_a_dag_file_has_the_time_stamp_of_its_definition_so_that_changed_ones_are_read_first(folder):
    file = folder.write("one.pipeline.yaml", GOOD)
    bundle = folder.bundle()
    made = bundle.path / "one.pipeline.yaml.py"
    for stamp in (1_700_000_000_123_456_000, 1_700_000_009_000_000_000):
        os.utime(file, ns=(stamp, stamp))
        bundle.refresh()
        assert made.stat().st_mtime_ns == stamp


def test_a_change_of_a_file_that_a_definition_extends_is_a_change_of_the_definition(folder):
    file = folder.write(
        "sub/one.pipeline.yaml", "extends: ../team.yaml  # ours\nsteps: {a: {script: a.py}}\n"
    )
    other = folder.write("two.pipeline.yaml", GOOD)
    team = folder.write("team.yaml", "extends: 'all.yaml'\n")
    everybody = folder.write("all.yaml", "extends: team.yaml\n")  # a circle is an error of its own
    for place in (file, other, team, everybody):
        os.utime(place, ns=(1_000_000_000, 1_000_000_000))
    bundle = folder.bundle()
    for number, place in enumerate((everybody, team, file), 2):
        os.utime(place, ns=(number * 1_000_000_000,) * 2)
        bundle.refresh()
        assert (bundle.path / "sub/one.pipeline.yaml.py").stat().st_mtime == number
        assert (bundle.path / "two.pipeline.yaml.py").stat().st_mtime == 1


def test_a_refresh_takes_over_what_changed_in_the_folder(folder):
    folder.write("one.pipeline.yaml", GOOD)
    gone = folder.write("gone/two.pipeline.yaml", GOOD)
    folder.write("later/dag.py", "# airflow dag")
    bundle = folder.bundle()
    assert (bundle.path / "later").is_symlink()
    gone.unlink()
    gone.parent.rmdir()
    folder.write("later/three.pipeline.yaml", GOOD)
    bundle.refresh()
    assert dag_files(bundle.path) == ["later/dag.py", "later/three.pipeline.yaml.py", "one.pipeline.yaml.py"]
    assert not (bundle.path / "gone").exists()
    assert sorted(os.listdir(folder.path / "later")) == ["dag.py", "three.pipeline.yaml"]
    (folder.path / "one.pipeline.yaml").unlink()
    (folder.path / "later/three.pipeline.yaml").unlink()
    bundle.refresh()
    assert dag_files(bundle.path) == ["later/dag.py"]


def test_a_definition_that_was_removed_since_the_last_refresh_is_no_import_error(folder):
    file = folder.write("one.pipeline.yaml", GOOD)
    bundle = folder.bundle()
    file.unlink()
    assert parse(bundle.path) == ({}, {})


def test_a_file_of_the_same_name_is_not_replaced(folder):
    folder.write("one.pipeline.yaml", GOOD)
    folder.write("one.pipeline.yaml.py", "# no DAG")
    bundle = folder.bundle()
    assert (bundle.path / "one.pipeline.yaml.py").read_text() == "# no DAG"


def test_names_with_quotes_line_breaks_and_braces_are_data(folder):
    for name in ("it's", 'say "x"', "new\nline", "{file}", "größe", "%s \\ '''"):
        folder.write(f"{name}.pipeline.yaml", BROKEN)
    bundle = folder.bundle()
    parsed = parse(bundle.path)
    assert len(parsed.errors) == 6
    assert all("steps.a.scrpt: unknown field" in text for text in parsed.errors.values())


def test_a_folder_that_is_gone_takes_no_dag_away(folder):
    folder.write("one.pipeline.yaml", GOOD)
    bundle = folder.bundle()
    folder.path.rename(folder.path.with_name("away"))
    with pytest.raises(DefinitionError, match=r"there is no folder .*folder with pipeline definitions"):
        bundle.refresh()
    assert dag_files(bundle.path) == ["one.pipeline.yaml.py"]


def test_a_folder_that_is_not_there_is_an_error_that_airflow_goes_on_after(tmp_path):
    from airflow_ml_pipelines._airflow import AirflowException

    bundle = PipelinesBundle(name="pipelines", folder=tmp_path / "nowhere")
    with pytest.raises(AirflowException, match=r"bundle 'pipelines': there is no folder .*nowhere"):
        bundle.initialize()
    assert not bundle.is_initialized


def test_views_that_nothing_needs_are_removed(folder, tmp_path):
    folder.write("one.pipeline.yaml", GOOD)
    other = Folder(tmp_path / "other").bundle()
    before = folder.bundle(workspace="elsewhere")
    assert other.path.exists()
    assert before.path.exists()
    other.wrapped.path.joinpath("a.py").unlink()
    other.wrapped.path.rmdir()
    now = folder.bundle()
    assert [entry.name for entry in (now.base_dir / "views").iterdir()] == [now.path.parent.name]


MANY = """
import sys
from airflow_ml_pipelines.bundles.pipelines import PipelinesBundle
bundle = PipelinesBundle(name="pipelines", folder=sys.argv[1])
for _ in range(15):
    bundle.initialize()
    assert (bundle.path / "always.pipeline.yaml.py").read_bytes().endswith(b")\\n")
    if sys.argv[2] == "processor":
        bundle.refresh()
"""


def test_many_processes_make_one_view_while_the_folder_changes(folder):
    folder.write("always.pipeline.yaml", GOOD)
    started = [
        subprocess.Popen([sys.executable, "-c", MANY, str(folder.path), kind], stderr=subprocess.PIPE)
        for kind in ("processor", "processor", "worker", "worker")
    ]
    over = threading.Event()

    def change():
        number = 0
        while not over.is_set():
            file = folder.write(f"f{number % 7}/p{number % 5}.pipeline.yaml", GOOD)
            folder.write(f"f{number % 7}/x{number % 3}.py")
            if number % 2:
                file.unlink()
            number += 1

    changer = threading.Thread(target=change)
    changer.start()
    errors = [process.communicate()[1].decode() for process in started]
    over.set()
    changer.join()
    assert [process.returncode for process in started] == [0, 0, 0, 0], errors
    bundle = folder.bundle()
    expected = {f"{file.relative_to(folder.path)}.py" for file in folder.path.rglob("*.pipeline.yaml")}
    assert set(dag_files(bundle.path)) == expected
    assert not list(folder.path.rglob("*.yaml.py"))
    assert [entry.name for entry in (bundle.base_dir / "views").iterdir()] == [bundle.path.parent.name]


# --- in a task ----------------------------------------------------------------------------------------------------


def test_a_worker_makes_the_view_without_a_dag_processor_and_reads_its_own_definition_alone(folder, wanted):
    folder.write("one.pipeline.yaml", GOOD)
    os.chmod(folder.write("two.pipeline.yaml", "x: ["), 0)
    bundle = PipelinesBundle(name="pipelines", folder=folder.path)
    bundle.initialize()
    wanted("one", "a.run")
    dag = bag(bundle.path / "one.pipeline.yaml.py", bundle.path).dags["one"]
    assert [task.task_id for task in dag.tasks] == ["plan", "a.reuse", "a.run"]


WATCH = """
import sys
from pathlib import Path
from airflow_ml_pipelines.bundles.pipelines import PipelinesBundle
opened = []
sys.addaudithook(lambda event, given: event == "open" and opened.append(str(given[0])))
PipelinesBundle(name="pipelines", folder=sys.argv[1]).initialize()
print([Path(file).name for file in opened if file.endswith(".yaml")])
"""


def test_a_worker_reads_no_definition_to_make_the_view(folder):
    for number in range(20):
        folder.write(f"p{number}.pipeline.yaml", GOOD)
    command = [sys.executable, "-c", WATCH, str(folder.path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    assert found == "[]"


def test_a_definition_that_is_new_since_the_last_refresh_can_be_run(folder, wanted):
    folder.write("one.pipeline.yaml", GOOD)
    folder.bundle()
    folder.write("new/two.pipeline.yaml", GOOD)
    folder.write("new/a.py")
    bundle = PipelinesBundle(name="pipelines", folder=folder.path)
    bundle.initialize()
    wanted("two")
    assert bag(bundle.path / "new/two.pipeline.yaml.py", bundle.path).dags.keys() == {"two"}


def test_a_task_whose_definition_is_called_otherwise_by_now_finds_no_dag(folder, wanted):
    folder.write("one.pipeline.yaml", f"name: other\n{GOOD}")
    bundle = folder.bundle()
    wanted("one")
    assert bag(bundle.path / "one.pipeline.yaml.py", bundle.path).dags == {}


def test_a_task_whose_definition_is_gone_says_so(folder, wanted):
    file = folder.write("one.pipeline.yaml", GOOD)
    bundle = folder.bundle()
    file.unlink()
    wanted("one")
    errors = bag(bundle.path / "one.pipeline.yaml.py", bundle.path).import_errors
    assert "one.pipeline.yaml: there is no such file" in errors["one.pipeline.yaml.py"]


# --- round another bundle -----------------------------------------------------------------------------------------


class Repository(Folder):
    """A git repository with definitions in a folder of its own."""

    def __init__(self, path: Path) -> None:
        self.git_folder = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        super().__init__(path / "dags")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", "-C", str(self.git_folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def bundle(self, *, version: str | None = None, **options) -> PipelinesBundle:
        kwargs = {"repo_url": str(self.git_folder), "tracking_ref": "main", "subdir": "dags"}
        bundle = PipelinesBundle(
            name="pipelines", version=version, bundle={"classpath": GIT, "kwargs": kwargs}, **options
        )
        bundle.initialize()
        if version is None:
            bundle.refresh()
        return bundle


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_GIT_DEFAULT", "git://")
    return Repository(tmp_path / "repository")


def version_of(bundle) -> str:
    found = bundle.get_current_version()
    return getattr(found, "version", found)


def test_round_a_git_bundle_its_versions_are_kept(repository):
    repository.write("one.pipeline.yaml", GOOD)
    first = repository.commit()
    bundle = repository.bundle()
    assert bundle.supports_versioning
    assert version_of(bundle) == first
    assert parse(bundle.path).dags.keys() == {"one"}
    repository.write("sub/two.pipeline.yaml", GOOD)
    repository.write("sub/a.py")
    second = repository.commit()
    bundle.refresh()
    assert version_of(bundle) == second
    assert parse(bundle.path).dags.keys() == {"one", "two"}


def test_a_run_is_pinned_to_its_commit(repository, wanted):
    repository.write("one.pipeline.yaml", GOOD)
    repository.write("a.py", "print('old')")
    first = repository.commit()
    repository.write("one.pipeline.yaml", "steps: {b: {script: b.py}}\n")
    repository.write("b.py", "print('new')")
    repository.git("rm", "--quiet", "dags/a.py")
    second = repository.commit()
    wanted("one")
    for version, step, script in ((first, "a", "print('old')"), (second, "b", "print('new')")):
        bundle = repository.bundle(version=version)
        assert version_of(bundle) == version
        dag = bag(bundle.path / "one.pipeline.yaml.py", bundle.path).dags["one"]
        pipeline = dag.get_task("plan").pipeline
        assert [found.id for found in pipeline.steps] == [step]
        assert Path(pipeline.base_directory, f"{step}.py").read_text() == script
        before = content(bundle.base_dir / "views")
        repository.bundle(version=version)
        assert content(bundle.base_dir / "views") == before


def test_the_view_of_a_version_goes_with_the_version(repository):
    import shutil

    repository.write("one.pipeline.yaml", GOOD)
    version = repository.commit()
    old = repository.bundle(version=version)
    bundle = repository.bundle()
    assert old.path.exists()
    shutil.rmtree(old.versions_dir / version)  # as Airflow does with versions that nobody used for long
    bundle.refresh()
    assert not old.path.exists()
    assert bundle.path.exists()


def test_the_address_of_a_commit_is_that_of_the_wrapped_bundle():
    kwargs = {"repo_url": "https://github.com/a/b.git", "tracking_ref": "main", "subdir": "dags"}
    bundle = PipelinesBundle(name="pipelines", bundle={"classpath": GIT, "kwargs": kwargs})
    assert bundle.view_url_template() == "https://github.com/a/b/tree/{version}/dags"
    assert bundle.subdir == "dags"


def test_without_a_folder_it_is_the_dags_folder(monkeypatch, folder):
    monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(folder.path))
    assert PipelinesBundle(name="pipelines").wrapped.path == folder.path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": 3}, "bundle 'p': folder: expected a path, found 3"),
        ({"folder": "x", "bundle": {"classpath": GIT}}, "bundle 'p': give a folder or a bundle, not both"),
        ({"bundle": "git"}, "bundle 'p': bundle: expected such as {\"classpath\": "),
        ({"bundle": {"kwargs": {}}}, "bundle 'p': bundle: expected such as {\"classpath\": "),
        (
            {"bundle": {"classpath": GIT, "kwarg": {}}},
            "bundle 'p': bundle: there is no 'kwarg'. Did you mean 'kwargs'?",
        ),
        (
            {"bundle": {"classpath": "no.such.Bundle"}},
            "bundle 'p': bundle: can't import 'no.such.Bundle': No",
        ),
        ({"bundle": {"classpath": "Bundle"}}, "bundle 'p': bundle: can't import 'Bundle': "),
        (
            {"bundle": {"classpath": "airflow.providers.git.nothing.Nothing"}},
            "install airflow-provider-ml-pipelines[git]",
        ),
        ({"bundle": {"classpath": "pathlib.Path"}}, "bundle 'p': bundle: 'pathlib.Path' is no DAG bundle"),
    ],
)
def test_a_configuration_that_is_wrong_says_what_to_do(options, message):
    with pytest.raises(DefinitionError) as caught:
        PipelinesBundle(name="p", **options)
    assert message in str(caught.value)
