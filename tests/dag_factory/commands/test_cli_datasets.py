"""``ml-pipelines datasets NAME``: how a version begins, and telling Airflow of it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from servers.serving import serving

from dag_factory import Dataset, Workspace
from dag_factory.cli import main


@pytest.fixture
def ws(project):
    return Workspace.create("data", show_output=False)


def test_datasets_shows_how_a_version_begins(project, ws, capsys):
    project.write("t.csv", "city,price\nBerlin,3\n" + f"{'x' * 500},\n" + "Rome,5\n")
    store = ws.get_default_datastore()
    store.upload_files(["t.csv"], target_path="tables", show_progress=False)
    table = Dataset.Tabular.from_delimited_files((store, "tables/t.csv"))
    table.register(ws, "sales")
    table.keep_columns("city").register(ws, "sales", create_new_version=True)
    Dataset.File.from_files((store, "tables")).register(ws, "files")
    capsys.readouterr()
    assert main(["datasets", "sales", "--preview", "--version", "1", "--rows", "2"]) == 0
    head, first, long, more = (line.split() for line in capsys.readouterr().out.splitlines())
    assert (head, first, more) == (["city", "price"], ["Berlin", "3"], ["…"])
    assert long == ["x" * 199 + "…"]
    assert main(["datasets", "sales", "--preview", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["columns"], document["more"]) == (2, {"city": "VARCHAR"}, False)
    assert [row[0] for row in document["rows"]][::2] == ["Berlin", "Rome"]
    assert main(["datasets", "files", "--preview"]) == 0
    assert capsys.readouterr().out.split() == ["Path", "Size", "/t.csv", "529"]
    store.store.delete("tables/t.csv")
    assert main(["datasets", "sales", "--preview"]) == 1
    assert "there is nothing at 'tables/t.csv'" in capsys.readouterr().err
    assert main(["datasets", "--preview"]) == 1
    assert "name the dataset" in capsys.readouterr().err


class Assets(BaseHTTPRequestHandler):
    """As much of Airflow's REST API as knows one asset."""

    events: ClassVar[list] = []

    def do_GET(self):
        asked = parse_qs(urlsplit(self.path).query)["uri_pattern"]
        known = [{"id": 6, "uri": asked[0] + "-2"}, {"id": 7, "uri": "ml-pipelines://datasets/my%20words"}]
        self.answer({"assets": [item for item in known if item["uri"].startswith(asked[0])]})

    def do_POST(self):
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.events.append((self.path, self.headers["Authorization"], document))
        self.answer(document)

    def answer(self, document):
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_datasets_tells_airflow_of_a_version(project, ws, capsys, monkeypatch):
    for name in ("my words", "others"):
        Dataset.File.from_files((ws.get_default_datastore(), "in")).register(ws, name)
    assert main(["datasets", "my words", "--announce"]) == 1
    assert "there is no Airflow server" in capsys.readouterr().err
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Assets)) as url:
        monkeypatch.setenv("AIRFLOW_API_URL", url)
        monkeypatch.setenv("AIRFLOW_API_TOKEN", "t0ken")
        assert main(["datasets", "my words", "--announce"]) == 0
        assert main(["datasets", "others", "--announce"]) == 1
    assert "`schedule: {datasets: [others]}`" in capsys.readouterr().err
    event = {"asset_id": 7, "extra": {"version": 1}}
    assert Assets.events == [("/api/v2/assets/events", "Bearer t0ken", event)]
