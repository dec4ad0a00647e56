import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import SnapshotError
from airflow_ml_pipelines.core.files.ignore import IGNORE_FILES, NAMES, IgnoreRules
from airflow_ml_pipelines.core.files.walk import list_tree
from airflow_ml_pipelines.core.files.wildmatch import IgnorePattern
from airflow_ml_pipelines.core.globs import translate


def taken(folder, rules):
    return {path for path in list_tree(str(folder), rules).paths() if rules.takes(path)}


def make_tree(folder, paths):
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([], {"a.py", "a.log", "build/x", "src/a.log", "src/build/y", "src/deep/z.csv"}),
        (["*.log"], {"a.py", "build/x", "src/build/y", "src/deep/z.csv"}),
        (["/*.log"], {"a.py", "build/x", "src/a.log", "src/build/y", "src/deep/z.csv"}),
        (["build/"], {"a.py", "a.log", "src/a.log", "src/deep/z.csv"}),
        (["/build"], {"a.py", "a.log", "src/a.log", "src/build/y", "src/deep/z.csv"}),
        (["src/*", "!src/a.log"], {"a.py", "a.log", "build/x", "src/a.log"}),
        (["src/", "!src/a.log"], {"a.py", "a.log", "build/x"}),
        (["src/**/z.csv"], {"a.py", "a.log", "build/x", "src/a.log", "src/build/y"}),
        (["*", "!*.py"], {"a.py"}),
        (["build/", "!src/"], {"a.py", "a.log", "src/a.log", "src/deep/z.csv"}),
        (["# *.py", "", "   ", r"\#x", "a.log\r"], {"a.py", "build/x", "src/build/y", "src/deep/z.csv"}),
    ],
)
def test_patterns_mean_what_they_mean_to_git(lines, left, tmp_path):
    make_tree(tmp_path, ["a.py", "a.log", "build/x", "src/a.log", "src/build/y", "src/deep/z.csv"])
    assert taken(tmp_path, IgnoreRules.of(lines)) == left


ATOMS = [
    "a",
    "b",
    "foo",
    "bar.txt",
    "*",
    "**",
    "*.txt",
    "fo?",
    "[ab]",
    "[!a]",
    "f*",
    "?",
    "[[:alpha:]]",
    "[z-a]",
    "[",
    "a\\",
]
PATTERNS = st.builds(
    lambda negated, anchored, parts, folder: negated + anchored + "/".join(parts) + folder,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3),
    st.sampled_from(["", "/", " "]),
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("git") / "tree"
    names = ["a", "b", "foo"]
    make_tree(folder, [f"{x}/{y}/{z}" for x in names for y in names for z in ["a", "b", "bar.txt", "x"]])
    make_tree(folder, ["bar.txt", "x", "a/bar.txt", "b/foo.txt"])
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "init", "-q", folder], check=True, env=environment)
    return folder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(PATTERNS, max_size=4))
def test_any_patterns_mean_what_they_mean_to_git(lines, repository, tmp_path):
    (tmp_path / "patterns").write_text("\n".join(lines))
    command = [
        "git",
        "-C",
        repository,
        "ls-files",
        "--others",
        "-z",
        f"--exclude-from={tmp_path / 'patterns'}",
    ]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert taken(repository, IgnoreRules.of(lines)) == set(filter(None, shown.split("\0")))


class TestFiles:
    def test_amlignore_replaces_gitignore(self, tmp_path):
        make_tree(tmp_path, ["a.log", "a.txt"])
        (tmp_path / ".gitignore").write_text("*.log")
        assert taken(tmp_path, IgnoreRules.read(tmp_path)) == {"a.txt"}
        (tmp_path / ".amlignore").write_text("*.txt")
        assert taken(tmp_path, IgnoreRules.read(tmp_path)) == {"a.log"}

    def test_an_empty_amlignore_replaces_gitignore(self, tmp_path):
        make_tree(tmp_path, ["a.log", ".amlignore"])
        (tmp_path / ".gitignore").write_text("*.log")
        assert taken(tmp_path, IgnoreRules.read(tmp_path)) == {"a.log"}

    def test_patterns_of_the_step_come_last(self, tmp_path):
        make_tree(tmp_path, ["a.log", "b.log", "c"])
        (tmp_path / ".gitignore").write_text("*.log")
        assert taken(tmp_path, IgnoreRules.read(tmp_path, ["!b.log", "c"])) == {"b.log"}

    def test_ignore_files_in_folders_mean_nothing_and_count_as_files(self, tmp_path):
        make_tree(tmp_path, ["folder/a.log"])
        (tmp_path / "folder/.gitignore").write_text("*.log")
        assert taken(tmp_path, IgnoreRules.read(tmp_path)) == {"folder/a.log", "folder/.gitignore"}

    def test_ignore_files_in_the_root_do_not_count(self, tmp_path):
        make_tree(tmp_path, [*IGNORE_FILES, "a"])
        assert taken(tmp_path, IgnoreRules.read(tmp_path)) == {"a"}

    def test_a_byte_order_mark_and_other_encodings_are_read(self, tmp_path):
        make_tree(tmp_path, ["a.log", os.fsdecode(b"caf\xe9"), "b"])
        (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbf*.log\r\ncaf\xe9\r\n")
        assert taken(tmp_path, IgnoreRules.read(tmp_path)) == {"b"}

    def test_an_ignore_file_that_can_not_be_read_is_named(self, tmp_path):
        (tmp_path / ".amlignore").mkdir()
        with pytest.raises(SnapshotError, match=r"\.amlignore can't be read"):
            IgnoreRules.read(tmp_path)


class TestAlwaysOut:
    @pytest.mark.parametrize("name", sorted(NAMES - {"pyvenv.cfg"}))
    def test_what_tools_leave_behind_never_counts(self, name, tmp_path):
        make_tree(tmp_path, [f"{name}/x", f"deep/{name}/x", "a"])
        assert taken(tmp_path, IgnoreRules.of(["!*"])) == {"a"}

    @pytest.mark.parametrize("name", ["a.pyc", ".a.py.swp", "a.py~", ".~lock.data.csv#"])
    def test_what_editors_leave_behind_never_counts(self, name, tmp_path):
        make_tree(tmp_path, [name, f"deep/{name}", "a"])
        assert taken(tmp_path, IgnoreRules.of([f"!{name}"])) == {"a"}

    def test_a_virtual_environment_of_any_name_never_counts(self, tmp_path):
        make_tree(
            tmp_path, ["env/pyvenv.cfg", "env/bin/python", "env/lib/x/y", "env/z", "environment/a", "a"]
        )
        assert taken(tmp_path, IgnoreRules()) == {"a", "environment/a"}


class TestKey:
    def test_the_key_does_not_vary_on_comments(self):
        assert IgnoreRules.of(["# one", "*.log", ""]).key == IgnoreRules.of(["*.log"]).key

    def test_the_key_varies_on_patterns_and_their_order(self):
        keys = {IgnoreRules.of(lines).key for lines in ([], ["a"], ["a", "!a"], ["!a", "a"])}
        assert len(keys) == 4


@pytest.mark.parametrize("line", ["", "   ", "# x", "!", "/", "!/"])
def test_a_line_without_a_pattern_is_none(line):
    assert IgnorePattern.parse(line) is None


def test_a_bracket_never_matches_a_slash():
    import re

    assert not re.match(translate("a[.-0]b"), "a/b")
    assert not re.match(translate("a[!x]b"), "a/b")
    assert re.match(translate("a[]x]b"), "a]b")
