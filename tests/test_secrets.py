"""Secrets that are planted wherever there may be one are found nowhere that anything is kept or said."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from documented import RUN

WORKSPACE = """\
name: planted
datastores:
  lake:
    url: {bucket}/lake
    connection: lake
  unreachable:
    url: s3://nowhere/data
    options: {{endpoint_url: "http://127.0.0.1:9"}}
    credentials: {{key: "env:UNREACHABLE_KEY", secret: "env:UNREACHABLE_SECRET"}}
  signed:
    url: abfss://data@account.dfs.core.windows.net
    options: {{account_name: account, account_host: "127.0.0.1:9"}}
    credentials: {{sas_token: "env:SIGNATURE"}}
airflow:
  url: http://127.0.0.1:9
  token: env:SERVER_TOKEN
"""

PIPELINE = """\
name: uses
parameters: {count: 1}
data:
  rows: {datastore: lake, path: rows}
steps:
  use:
    script: use.py
    source_directory: src
    inputs: {rows: rows}
    outputs: {made: {register: made}}
    arguments: ["${{ inputs.rows }}", "${{ outputs.made }}", "${{ parameters.count }}"]
    environment: {variables: {SERVICE: "env:SERVICE_SECRET", PRIVATE: "env:PRIVATE_LINES"}}
"""

USE = """\
import os, pathlib, sys, time
service = os.environ["SERVICE"]
assert len(service) > 20
print("the service is", service)
sys.stdout.write("in pieces " + service[:7]); sys.stdout.flush(); time.sleep(0.05); print(service[7:])
print(os.environ["PRIVATE"].splitlines()[1], file=sys.stderr)
if sys.argv[3] == "2":
    raise RuntimeError(f"{service} was refused")
text = "".join(path.read_text() for path in sorted(pathlib.Path(sys.argv[1]).iterdir()))
pathlib.Path(sys.argv[2], "made.txt").write_text(text + sys.argv[3])
"""

READS = """\
name: {name}
data: {{rows: {{datastore: {store}, path: rows}}}}
steps:
  use: {{script: use.py, source_directory: src, inputs: {{rows: rows}}, arguments: ["${{{{ inputs.rows }}}}"]}}
"""

PRIVATE_INDEX = """\
name: installs
steps:
  use:
    script: use.py
    source_directory: src
    environment:
      pip: [no-such-package-here]
      pip_options: ["--index-url http://user:${INDEX_TOKEN}@127.0.0.1:9/simple"]
"""

WRITTEN_DOWN = """\
name: {name}
steps:
  use:
    script: use.py
    source_directory: src
    {what}
"""


class Planted:
    """A project with a secret in every place, and all that was said in it."""

    def __init__(self, folder: Path, bucket: str, connection: dict) -> None:
        self.folder = folder / "project"
        self.cache = folder / "cache"
        self.tokens: dict[str, str] = {}
        self.said: dict[str, str] = {}
        self.names = iter(range(1000))
        lake = {**connection, "password": self.plant("connection password")}
        lines = [self.plant(f"line {number} of a key") for number in range(3)]
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "ML_PIPELINES_CACHE": str(self.cache),
            "AIRFLOW_CONN_LAKE": json.dumps(lake),
            "UNREACHABLE_KEY": self.plant("access key"),
            "UNREACHABLE_SECRET": self.plant("secret key"),
            "SIGNATURE": f"sv=2024-01-01&sp=rl&sig={self.plant('signature')}",
            "SERVICE_SECRET": self.plant("environment secret"),
            "PRIVATE_LINES": "\n".join(lines),
            "INDEX_TOKEN": self.plant("index token"),
            "SERVER_TOKEN": self.plant("server token"),
        }
        self.write("workspace.yaml", WORKSPACE.format(bucket=bucket))
        self.write("src/use.py", USE)
        self.write("uses.pipeline.yaml", PIPELINE)
        self.git("init", "-q")
        self.git("-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "m")
        self.git("remote", "add", "origin", f"https://user:{self.plant('git token')}@127.0.0.1/team/repo.git")

    def plant(self, name: str) -> str:
        self.tokens[name] = f"Pl4nt{secrets.token_hex(16)}"
        return self.tokens[name]

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "dag_factory.cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        self.said[f"{next(self.names)}: {' '.join(arguments)}"] = done.stdout
        assert done.returncode == code, done.stdout
        return done.stdout

    def find(self, *written_down: str) -> list[str]:
        """Where a planted secret is, as it is or in another spelling.

        :param written_down: files of the project in which somebody wrote one.
        """
        forms = {}
        for name, token in self.tokens.items():
            spellings = (
                token,
                quote(token, safe=""),
                base64.b64encode(token.encode()).decode().rstrip("=")[:-2],
            )
            forms |= {spelling.encode(): name for spelling in spellings}
        allowed = {self.folder / ".git/config", *(self.folder / name for name in written_down)}
        texts = {f"`{name}`": text.encode() for name, text in self.said.items()}
        for top in (self.folder, self.cache):
            for path in top.rglob("*"):
                if path.is_file() and path not in allowed:
                    texts[str(path.relative_to(top.parent))] = path.read_bytes()
        assert len(texts) > 10
        return [
            f"{name} in {where}"
            for where, text in texts.items()
            for form, name in forms.items()
            if form in text
        ]


@pytest.fixture
def planted(tmp_path, s3):
    (tmp_path / "project").mkdir()
    planted = Planted(tmp_path, s3.bucket("planted"), s3.connection)
    put = """
from airflow_ml_pipelines.workspace_file import load_workspace
load_workspace(".").datastore("lake").put("rows/a.txt", b"rows")
"""
    subprocess.run([sys.executable, "-c", put], cwd=planted.folder, env=planted.environment, check=True)
    return planted


def test_the_search_finds_what_is_there(planted):
    planted.write("leak.txt", "x" + planted.tokens["signature"])
    planted.said["somebody"] = base64.b64encode(planted.tokens["index token"].encode()).decode()
    assert planted.find() == ["index token in `somebody`", "signature in project/leak.txt"]


def test_runs_that_use_secrets_keep_none(planted):
    text = planted.run("run", "uses.pipeline.yaml")
    assert "the service is ***" in text
    assert "in pieces ***" in text
    first = RUN.findall(text)[-1]
    text = planted.run("run", "uses.pipeline.yaml", "-p", "count=2", code=1)
    assert "RuntimeError: *** was refused" in text
    for command in (
        ["plan", "uses.pipeline.yaml", "-p", "count=3"],
        ["explain", "uses.pipeline.yaml", "-p", "count=3"],
        ["show"],
        ["show", first],
        ["explain", first],
        ["datasets"],
        ["datasets", "made"],
    ):
        planted.run(*command)
        planted.run(*command, "--json")
    planted.environment["SERVICE_SECRET"] = planted.plant("another environment secret")
    second = RUN.findall(planted.run("run", "uses.pipeline.yaml", "--regenerate-outputs"))[-1]
    planted.run("diff", first, second)
    planted.run("diff", first, second, "--json")
    assert planted.find() == []


@pytest.mark.parametrize("store", ["unreachable", "signed"])
def test_a_store_that_can_not_be_had_is_an_error_without_secrets(planted, store):
    planted.write("reads.pipeline.yaml", READS.format(name="reads", store=store))
    text = planted.run("plan", "reads.pipeline.yaml", code=1)
    assert "'rows' can't be looked at" in text
    assert "Traceback" not in text
    assert planted.find() == []


def test_a_package_index_that_can_not_be_had_is_an_error_without_secrets(planted):
    planted.write("installs.pipeline.yaml", PRIVATE_INDEX)
    text = planted.run("run", "installs.pipeline.yaml", code=1)
    assert "127.0.0.1:9/simple" in text
    assert planted.find() == []


def test_a_connection_that_can_not_be_read_is_an_error_without_secrets(planted):
    planted.environment["AIRFLOW_CONN_LAKE"] = "{" + planted.tokens["connection password"]
    assert "AIRFLOW_CONN_LAKE" in planted.run("plan", "uses.pipeline.yaml", code=1)
    assert planted.find() == []


def test_a_secret_that_is_not_set_is_named(planted):
    del planted.environment["SERVICE_SECRET"]
    assert "SERVICE_SECRET is not set" in planted.run("run", "uses.pipeline.yaml", code=1)
    assert planted.find() == []


@pytest.mark.parametrize(
    "what",
    [
        "environment: {{variables: {{API_TOKEN: {token}}}}}",
        "environment: {{pip: ['x @ https://user:{token}@host/x.whl']}}",
        "inputs: {{rows: 's3://key:{token}@bucket/rows'}}",
        "inputs: {{rows: 'https://account.blob.core.windows.net/c/rows?sig={token}'}}",
    ],
)
def test_a_secret_that_is_written_down_is_refused_and_not_repeated(planted, what):
    what = what.format(token=planted.plant("written down"))
    planted.write("bad.pipeline.yaml", WRITTEN_DOWN.format(name="bad", what=what))
    for command in (
        ["lint", "bad.pipeline.yaml"],
        ["plan", "bad.pipeline.yaml"],
        ["run", "bad.pipeline.yaml"],
    ):
        assert "secret" in planted.run(*command, code=1)
    assert planted.find("bad.pipeline.yaml") == []


@pytest.mark.parametrize(
    "what",
    [
        "root: 's3://key:{token}@bucket/root'",
        "datastores: {{d: {{url: 's3://bucket', options: {{secret: {token}}}}}}}",
        "datastores: {{d: 'abfss://c@account.dfs.core.windows.net/?sig={token}'}}",
        "airflow: {{url: 'https://user:{token}@host'}}",
        "airflow: {{url: 'https://host', token: {token}}}",
        "environments: {{e: {{variables: {{PASSWORD: {token}}}}}}}",
    ],
)
def test_a_secret_in_the_workspace_file_is_refused_and_not_repeated(planted, what):
    planted.write("workspace.yaml", "name: bad\n" + what.format(token=planted.plant("written down")) + "\n")
    planted.run("plan", "uses.pipeline.yaml", code=1)
    planted.run("show", code=1)
    assert planted.find("workspace.yaml") == []
