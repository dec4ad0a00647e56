from __future__ import annotations

import subprocess
import time

import pytest
from living import is_alive

from airflow_ml_pipelines.core.files import git
from airflow_ml_pipelines.core.files.git import git_facts


@pytest.fixture(autouse=True)
def plain_git(monkeypatch, tmp_path):
    for variable in git._OVERRIDES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-such-config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def run(folder, *command):
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false")
    result = subprocess.run(
        ["git", *identity, *command], cwd=folder, check=True, capture_output=True, text=True
    )
    return result.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    (folder / "src").mkdir(parents=True)
    run(folder, "init", "-q", "-b", "trunk")
    (folder / "src" / "a.py").write_text("a = 1\n")
    run(folder, "add", ".")
    run(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_checkout_is_known_by_its_commit_and_branch(repository):
    assert git_facts(repository) == {
        "commit": run(repository, "rev-parse", "HEAD"),
        "branch": "trunk",
        "dirty": "false",
    }


def test_a_folder_in_the_repository_is_known_as_well(repository):
    assert git_facts(repository / "src")["commit"] == run(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("path", ["src/a.py", "new file"])
def test_changed_and_new_files_make_it_dirty(repository, path):
    (repository / path).write_text("a = 2\n")
    assert git_facts(repository)["dirty"] == "true"


def test_ignored_files_do_not_make_it_dirty(repository):
    (repository / ".git" / "info" / "exclude").write_text("*.log\n")
    (repository / "x.log").write_text("x")
    assert git_facts(repository)["dirty"] == "false"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:hunter2@host:8443/a/b.git", "https://host:8443/a/b.git"),
        ("https://hunter2@host/a/b.git?token=hunter2", "https://host/a/b.git"),
        ("ssh://git@host/a/b.git", "ssh://host/a/b.git"),
        ("git@host:a/b.git", "git@host:a/b.git"),
        ("user:hunter2@host:a/b.git", "host:a/b.git"),
        ("/srv/a.git", "/srv/a.git"),
    ],
)
def test_a_remotes_url_has_no_password(repository, url, shown):
    run(repository, "remote", "add", "origin", url)
    assert git_facts(repository)["repository"] == shown


def test_the_branchs_remote_comes_before_origin(repository):
    run(repository, "remote", "add", "origin", "https://host/fork")
    run(repository, "remote", "add", "upstream", "https://host/main")
    run(repository, "config", "branch.trunk.remote", "upstream")
    assert git_facts(repository)["repository"] == "https://host/main"


def test_any_remote_is_better_than_none(repository):
    run(repository, "remote", "add", "mine", "https://host/mine")
    assert git_facts(repository)["repository"] == "https://host/mine"


def test_a_detached_head_has_no_branch(repository):
    run(repository, "checkout", "-q", "--detach")
    assert set(git_facts(repository)) == {"commit", "dirty"}


def test_before_the_first_commit_there_is_a_branch_only(tmp_path):
    run(tmp_path, "init", "-q", "-b", "trunk", "new")
    assert git_facts(tmp_path / "new") == {"branch": "trunk", "dirty": "false"}


def test_a_linked_work_tree_is_a_checkout_too(repository, tmp_path):
    run(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    assert git_facts(tmp_path / "side")["branch"] == "side"


def test_where_there_is_no_repository_git_is_not_asked(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(git.subprocess, "Popen", lambda *a, **k: asked.append(a))
    monkeypatch.setattr(git, "_has_repository", lambda folder: False)
    assert git_facts(tmp_path) == {}
    assert asked == []


def test_the_repository_is_looked_for_upwards(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    found = git._has_repository(str(tmp_path))
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    assert git._has_repository(str(tmp_path / "a" / "b"))
    assert not found or git._has_repository("/")


@pytest.mark.parametrize("content", [None, "gitdir: /no/such/place\n", "rubbish"])
def test_a_broken_repository_has_no_facts(tmp_path, content):
    if content is None:
        (tmp_path / ".git").mkdir()
    else:
        (tmp_path / ".git").write_text(content)
    assert git_facts(tmp_path) == {}


def test_without_git_there_are_no_facts(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert git_facts(repository) == {}


def test_variables_come_first_and_need_no_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("AZUREML_GIT_COMMIT", "abc")
    monkeypatch.setenv("AZUREML_GIT_DIRTY", "True")
    monkeypatch.setenv("AZUREML_GIT_REPOSITORY_URI", "https://u:hunter2@host/a")
    monkeypatch.setenv("AZUREML_GIT_BUILD_ID", "7")
    facts = git_facts(tmp_path)
    assert facts == {"commit": "abc", "dirty": "True", "repository": "https://host/a", "build_id": "7"}


def test_variables_of_a_hook_do_not_lead_to_another_repository(repository, tmp_path, monkeypatch):
    run(tmp_path, "init", "-q", "-b", "other", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert git_facts(repository)["branch"] == "trunk"


def test_asked_again_at_once_git_is_not_started_again(repository, monkeypatch):
    first = git_facts(repository)
    monkeypatch.setenv("PATH", "")
    again = git_facts(repository)
    assert again == first
    again["commit"] = "changed by the caller"
    assert git_facts(repository) == first


def test_a_git_that_hangs_is_ended_with_all_that_it_started(repository, monkeypatch, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / "git"
    script.write_text(f"#!/bin/sh\n/bin/sleep 60 &\necho $! >> {tmp_path}/started\nwait\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(git, "_TIMEOUT", 0.2)
    monkeypatch.setattr(git, "_GRACE", 0.2)
    assert git_facts(repository) == {}
    deadline = time.monotonic() + 20
    started = [int(line) for line in (tmp_path / "started").read_text().split()]
    assert started
    while any(is_alive(process) for process in started):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_that_a_repositorys_configuration_names_is_started(repository, tmp_path):
    traces = tmp_path / "traces"
    traces.mkdir()

    def trap(name):
        script = tmp_path / f"trap-{name}"
        script.write_text(f"#!/bin/sh\ntouch {traces}/{name}\ncat\n")
        script.chmod(0o755)
        return str(script)

    for name in ("b.txt", "c.md"):
        (repository / name).write_text("a = 1\n")
        run(repository, "add", name)
    included = tmp_path / "included"
    included.write_text(f'[filter "included"]\n\tclean = {trap("included")}\n')
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-index-change").symlink_to(trap("hook"))
    for name in (
        "core.pager",
        "core.sshCommand",
        "core.askPass",
        "diff.external",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.process.process",
        "gpg.program",
        "credential.helper",
    ):
        run(repository, "config", name, trap(name))
    run(repository, "config", "filter.evil.required", "true")
    run(repository, "config", "include.path", str(included))
    (repository / ".git" / "info" / "attributes").write_text(
        "*.py filter=evil\n*.txt filter=included\n*.md filter=process\n"
    )
    for name in ("src/a.py", "b.txt", "c.md"):
        (repository / name).write_text("a = 2\n")  # of the same size, so that the content has to be looked at
    run(repository, "config", "core.hooksPath", str(hooks))
    run(repository, "config", "core.fsmonitor", trap("core.fsmonitor"))
    assert git_facts(repository)["dirty"] == "true"
    assert [trace.name for trace in traces.iterdir()] == []
    run_quietly(repository, "status")
    started = {trace.name for trace in traces.iterdir()}
    assert started >= {"core.fsmonitor", "filter.evil.clean", "included", "filter.process.process"}


def test_a_filter_that_can_not_be_switched_off_is_not_started(repository, tmp_path):
    trace = tmp_path / "trace"
    with (repository / ".git" / "config").open("a") as config:
        config.write(f'[filter "a=b"]\n\tclean = touch {trace}; cat\n')
    (repository / ".git" / "info" / "attributes").write_text("*.py filter=a=b\n")
    (repository / "src" / "a.py").write_text("a = 2\n")
    assert git_facts(repository) == {"commit": run(repository, "rev-parse", "HEAD"), "branch": "trunk"}
    assert not trace.exists()
    run_quietly(repository, "status")
    assert trace.exists()


def test_what_takes_too_long_to_look_through_is_known_by_its_commit(repository, monkeypatch):
    monkeypatch.setattr(git, "_status", lambda *arguments: None)
    run(repository, "remote", "add", "origin", "https://host/a")
    commit = run(repository, "rev-parse", "HEAD")
    assert git_facts(repository) == {"commit": commit, "branch": "trunk", "repository": "https://host/a"}


def run_quietly(folder, *command):
    subprocess.run(["git", *command], cwd=folder, check=False, capture_output=True)


def test_a_filter_of_the_users_own_configuration_is_used(repository, tmp_path, monkeypatch):
    config = tmp_path / "global"
    config.write_text('[filter "upper"]\n\tclean = tr a-z A-Z\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    (repository / ".gitattributes").write_text("*.txt filter=upper\n")
    (repository / "b.txt").write_text("abc\n")
    run(repository, "add", ".")
    run(repository, "commit", "-q", "-m", "second")
    (repository / "b.txt").write_text("aBc\n")
    assert git_facts(repository)["dirty"] == "false"
