"""Steps in containers of a real Docker engine."""

from __future__ import annotations

import io
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest

from airflow_ml_pipelines.core.errors import ComputeTargetException, EnvironmentBuildError
from airflow_ml_pipelines.core.runs.folder import RunFolder
from airflow_ml_pipelines.core.runs.new_run import new_run
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.core.workspaces.registry import DatastoreSpec
from airflow_ml_pipelines.core.workspaces.workspace import ComputeTargetSpec, Workspace
from airflow_ml_pipelines.execution.reaper import reap
from airflow_ml_pipelines.execution.runner import run_pipeline
from airflow_ml_pipelines.execution.targets.docker_job import finish_removals
from airflow_ml_pipelines.execution.targets.labels import workspace_label
from airflow_ml_pipelines.execution.targets.registry import open_target
from airflow_ml_pipelines.testing.compute_contract import ComputeTargetContract, ContractProject

docker = pytest.importorskip("docker")

GATE = "import sys, time; print('begun', flush=True); time.sleep(600)"


@pytest.fixture
def spec(docker_url):
    from servers.docker_engine import BASE_IMAGE

    def make(**options):
        return ComputeTargetSpec("box", "docker", {"image": BASE_IMAGE, "url": docker_url, **options})

    return make


@pytest.fixture
def client(docker_url):
    client = docker.APIClient(base_url=docker_url, version="auto")
    yield client
    client.close()


@pytest.fixture
def make_project(tmp_path, spec, monkeypatch, client):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    made = []

    def make(folder=tmp_path, **options):
        (folder / f"p{len(made)}").mkdir()
        made.append(ContractProject(folder / f"p{len(made)}", spec(**options)))
        return made[-1]

    yield make
    for project in made:
        assert containers(client, project) == []


class TestContract(ComputeTargetContract):
    outlives = True
    log_megabytes = 100

    @pytest.fixture
    def target(self, spec):
        return spec()

    @pytest.fixture
    def small_target(self, spec):
        return spec(memory="128m")


def containers(client, project, **options):
    """What there is of a project's containers, apart from those that are being removed."""
    finish_removals()
    label, value = workspace_label(project.workspace)
    return client.containers(all=True, filters={"label": [f"{label}={value}"]}, **options)


def released(project):
    """Whether each lease that was ever taken is free again."""
    store = project.workspace.store
    return [json.loads(store.get(info.path))["released"] for info in store.walk("leases")]


def in_background(project, script, **fields):
    """Run a script until it says that it has begun; return the run, and what cancels and ends it."""
    begun, cancel = threading.Event(), threading.Event()

    class Listener:
        def on_plan(self, plan):
            pass

        def on_step(self, document):
            pass

        def on_line(self, step, stream, line):
            if line == "begun":
                begun.set()

    run = new_run(project.pipeline(script, **fields))
    thread = threading.Thread(
        target=run_pipeline, args=(project.workspace, run), kwargs={"listener": Listener(), "cancel": cancel}
    )
    thread.start()
    while not begun.wait(0.05):
        assert thread.is_alive(), "it ended before it began"

    def end():
        cancel.set()
        thread.join(30)

    return run, end


# --- the container -----------------------------------------------------------------------------------------------


@pytest.fixture
def open_folder():
    """A folder in which every user may write, which pytest's are not."""
    before = os.umask(0)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)
    os.umask(before)


def test_limits_network_mounts_and_user_come_to_the_engine(make_project, client, open_folder):
    (open_folder / "more").mkdir()
    (open_folder / "more" / "note.txt").write_text("hello")
    project = make_project(
        folder=open_folder,
        cpus=0.5,
        memory="256m",
        network="none",
        shm_size="32m",
        user="1234:1234",
        mounts=[f"{open_folder}/more:/more:ro"],
    )
    _, end = in_background(
        project,
        "import os; assert os.getuid() == 1234; assert open('/more/note.txt').read() == 'hello'\n" + GATE,
    )
    [container] = containers(client, project)
    found = client.inspect_container(container["Id"])
    end()
    host = found["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["ShmSize"]) == (500_000_000, 256 << 20, 32 << 20)
    assert (host["NetworkMode"], host["Init"], found["Config"]["User"]) == ("none", True, "1234:1234")
    assert {mount["Destination"] for mount in found["Mounts"] if not mount["RW"]} == {"/more"}
    assert found["Config"]["Labels"]["ml-pipelines.step"] == "step"


def test_gpus_are_asked_of_the_engine(make_project):
    run = make_project(gpus="all").run("pass")
    assert "could not select device driver" in run.error  # this engine has none


def test_secrets_are_in_nothing_that_the_engine_shows_and_the_script_finds_no_files_of_them(
    make_project, client, monkeypatch
):
    monkeypatch.setenv("DOCKER_TEST_SECRET", "hush-hush-hush")
    project = make_project()
    environment = EnvironmentSpec(variables={"TOKEN": "env:DOCKER_TEST_SECRET"})
    script = "import os; assert os.environ['TOKEN'] == 'hush-hush-hush'; assert {*os.listdir('/.ml-pipelines')} == {'start.py', 'lib.zip', 'compiled'}\n"
    _, end = in_background(project, script + GATE, environment=environment)
    [container] = containers(client, project)
    shown = json.dumps(client.inspect_container(container["Id"])) + json.dumps(client.top(container["Id"]))
    end()
    assert "hush-hush" not in shown


def test_killing_it_takes_seconds_and_leaves_no_container(make_project, client):
    project = make_project()
    _, end = in_background(project, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + GATE)
    end()
    assert containers(client, project) == []


def test_a_container_that_somebody_removes_is_a_failure_that_says_so(make_project, client):
    project = make_project()
    run, end = in_background(project, GATE)
    [container] = containers(client, project)
    client.remove_container(container["Id"], force=True)
    end()
    document = RunFolder(project.workspace.store, run.pipeline, run.run).read_step("step")
    assert document.status == "failed"
    assert "removed by somebody else" in document.error or "killed, by somebody" in document.error


# --- the reaper --------------------------------------------------------------------------------------------------


def test_the_reaper_removes_what_nobody_needs_and_nothing_else(make_project, client, tmp_path):
    project = make_project()
    run, end = in_background(project, GATE)
    workspace = project.workspace
    assert list(reap(workspace, "box")) == []
    folder = RunFolder(workspace.store, run.pipeline, run.run)
    document = folder.read_step("step")
    folder.write_step(type(document)(step="step", status="canceled", attempt=1))
    [would] = reap(workspace, "box", dry=True)
    assert (would.owner.step, would.reason) == ("step", "its step is canceled")
    assert len(containers(client, project)) == 1
    [done] = reap(workspace, "box")
    assert done.reason == "its step is canceled"
    assert containers(client, project) == []
    end()


# --- environments ------------------------------------------------------------------------------------------------


def test_an_environment_is_one_image_that_is_made_once_even_by_two_at_once(make_project, client):
    project = make_project(network="host")
    environment = EnvironmentSpec(name="small", user_managed=False, pip=("six==1.16.0",))
    target = project.opened()
    logs: list[str] = []
    made = []

    def prepare():
        made.append(open_target(project.spec).prepare(environment, project.workspace, log=logs.append))

    threads = [threading.Thread(target=prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [image] = {item.image for item in made}
    try:
        assert sum(line.startswith("making the image") for line in logs) <= 1
        logs.clear()
        assert target.prepare(environment, project.workspace, log=logs.append).image == image
        assert logs == []
        run = project.run("import six; print(six.__version__)", environment=environment)
        assert run.text("stdout") == "1.16.0", run.error
        shown = json.dumps(client.inspect_image(image)) + json.dumps(client.history(image))
        assert "PIP_CERT" not in shown
        finish_removals()
        assert client.containers(all=True, filters={"label": ["ml-pipelines.build"]}) == []
    finally:
        client.remove_image(image, force=True)


def test_a_package_that_there_is_not_says_what_the_installer_said(make_project):
    project = make_project(network="host")
    environment = EnvironmentSpec(name="bad", user_managed=False, pip=("six==0.0.0.1",))
    run = project.run("pass", environment=environment)
    assert "the image of environment 'bad' can't be made" in run.error
    assert "six==0.0.0.1" in run.error


def test_a_dockerfile_is_built_once(make_project, client, spec):
    base = spec().options["image"]
    text = f"FROM {base}\nRUN echo 42 > /answer\n"
    project = make_project()
    environment = EnvironmentSpec(dockerfile=text)
    run = project.run("print(open('/answer').read().strip())", environment=environment)
    assert run.text("stdout") == "42", run.error
    logs: list[str] = []
    image = project.opened().prepare(environment, project.workspace, log=logs.append).image
    client.remove_image(image, force=True)
    assert logs == []


def test_a_dockerfile_that_fails_says_at_what(make_project, spec):
    text = f"FROM {spec().options['image']}\nRUN no-such-command\n"
    run = make_project().run("pass", environment=EnvironmentSpec(dockerfile=text))
    assert "the Dockerfile can't be built" in run.error
    assert "no-such-command" in run.error


def test_a_tag_that_moved_ends_reuse(make_project, client, spec):
    def tag(word):
        text = f"FROM {spec().options['image']}\nRUN echo {word} > /word\n"
        for _ in client.build(fileobj=io.BytesIO(text.encode()), tag="moving:tag", rm=True):
            pass
        return client.inspect_image("moving:tag")["Id"]

    project = make_project()
    environment = EnvironmentSpec(image="moving:tag")
    script = "import sys; open(sys.argv[1] + '/a', 'w').write(open('/word').read())"
    images = [tag("one")]
    assert project.run(script, environment=environment).output("a") == b"one\n"
    assert project.run(script, environment=environment).step.status == "reused"
    images.append(tag("two"))
    moved = project.run(script, environment=environment)
    assert moved.output("a") == b"two\n"
    assert moved.step.reasons == (f"environment image: {images[0]} → {images[1]}",)
    for image in images:
        client.remove_image(image, force=True)


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        (
            EnvironmentSpec(image="localhost:1/no/such:image"),
            "Image 'localhost:1/no/such:image' is not on the engine",
        ),
        (EnvironmentSpec(python="3.9"), "has Python .*, and the environment asks for 3.9"),
        (EnvironmentSpec(interpreter="/no/python"), "has no /no/python that runs"),
    ],
)
def test_an_image_that_will_not_do_says_why(make_project, environment, text):
    project = make_project()
    with pytest.raises((ComputeTargetException, EnvironmentBuildError), match=text):
        project.opened().prepare(environment, project.workspace, log=print)


# --- the engine --------------------------------------------------------------------------------------------------


def test_an_engine_that_is_away_is_a_failure_that_says_so_and_frees_the_lease(make_project, tmp_path):
    project = make_project(url=f"unix://{tmp_path}/no.sock")
    run = project.run("pass")
    assert run.error.startswith("compute target 'box': the Docker engine at unix://")
    assert "No such file or directory" in run.error
    assert released(project) == [True]
    with pytest.raises(ComputeTargetException, match="start it"):
        project.opened().check()


def test_an_engine_elsewhere_does_not_see_local_folders(make_project, docker_url):
    from servers.relay import relay

    with relay(docker_url) as url:
        assert "is a folder of this one" in make_project(url=url).run("pass").error
        shared = make_project(url=url, shared_paths=True)
        assert shared.run("print('there')").text("stdout") == "there"
        finish_removals()  # before the way to the engine is closed


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_an_engine_behind_tls_knows_its_user_by_a_certificate(
    make_project, docker_url, tmp_path, monkeypatch
):
    from servers.certificates import make_certificates, server_context
    from servers.relay import relay

    files = make_certificates(tmp_path)
    own = {"tls_client_cert": str(files["cert"]), "tls_client_key": str(files["key"])}
    with relay(docker_url, server_context(files)) as url:
        project = make_project(url=url, shared_paths=True, tls_ca_cert=str(files["ca"]), **own)
        run = project.run("print('there')")
        assert run.text("stdout") == "there", run.error
        make_project(url=url, tls_verify=False, **own).opened().check()
        for wrong in (
            {},
            {"tls_ca_cert": str(files["ca"])},
            own,
        ):  # in the clear; nobody; whom nobody vouches for
            with pytest.raises(ComputeTargetException, match="can't be reached|can't be"):
                make_project(url=url, **wrong).opened().check()
        finish_removals()
        monkeypatch.setenv("DOCKER_HOST", url)
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        make_project(url=None).opened().check()


def test_an_engine_that_goes_away_while_a_script_runs_is_a_failure(make_project, docker_url, client):
    from servers.relay import relay

    with relay(docker_url) as url:
        project = make_project(url=url, shared_paths=True)
        run, end = in_background(project, GATE)
    folder = RunFolder(project.workspace.store, run.pipeline, run.run)
    until = time.monotonic() + 60
    while folder.read_step("step").status == "running":
        assert time.monotonic() < until
        time.sleep(0.1)
    end()
    document = folder.read_step("step")
    assert (document.status, "can't be reached" in document.error) == ("failed", True), document.error
    [container] = containers(client, project)  # the reaper's work
    client.remove_container(container["Id"], force=True)


@pytest.fixture
def own_engine(tmp_path):
    """An engine of the test's own beside the others, which leaves the machine's rules of packets alone."""
    from servers.docker_engine import OwnEngine, make_base_image

    folder = tmp_path / "engine"
    folder.mkdir()
    engine = OwnEngine(folder, "--iptables=false")
    engine.start()
    make_base_image(engine.url)
    yield engine
    engine.stop()


def test_an_engine_that_is_stopped_while_a_script_runs_is_a_failure_and_the_step_can_run_again(
    tmp_path, monkeypatch, spec, own_engine
):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    project = ContractProject(tmp_path, spec(url=own_engine.url, network="host"))
    run, end = in_background(project, GATE)
    own_engine.stop()
    folder = RunFolder(project.workspace.store, run.pipeline, run.run)
    until = time.monotonic() + 60
    while folder.read_step("step").status == "running":
        assert time.monotonic() < until
        time.sleep(0.1)
    end()
    document = folder.read_step("step")
    assert document.status == "failed"
    assert (
        "can't be reached" in document.error or "something else than its run has ended it" in document.error
    )
    assert released(project) == [True]
    away = project.run("pass")
    assert "can't be reached" in away.error
    assert "start it" in away.error
    own_engine.start()
    assert project.run("print('back')").text("stdout") == "back"
    assert {item.reason for item in reap(project.workspace, "box")} <= {"its step is failed"}
    assert list(project.opened().reap(project.workspace, lambda _: "any")) == []


# --- the registry ------------------------------------------------------------------------------------------------


@pytest.fixture
def images():
    from servers.registry import registry

    with registry() as made:
        yield made


def test_a_tag_is_looked_up_in_the_registry_where_the_engine_has_no_such_image(make_project, images):
    images.tags |= {"team/base:1": "one", "team/base:latest": "two"}
    target = make_project().opened()
    for name, text in ((f"{images.host}/team/base:1", "one"), (f"{images.host}/team/base", "two")):
        assert target.identify_image(name) == f"{images.host}/team/base@{images.digest(text)}"
    with pytest.raises(ComputeTargetException, match="team/base:3"):
        target.identify_image(f"{images.host}/team/base:3")


def test_a_registry_is_logged_in_to_with_its_connection_and_no_other_is_told(
    make_project, images, monkeypatch
):
    from servers.registry import registry

    host, _, port = images.host.partition(":")
    images.user, images.tags["team/base:1"] = "me:hush hush", "one"
    made = {"conn_type": "docker", "host": host, "port": int(port), "login": "me", "password": "hush hush"}
    monkeypatch.setenv("AIRFLOW_CONN_HUB", json.dumps(made))
    name = f"{images.host}/team/base"
    with registry() as other:
        other.tags["team/base:1"] = "two"
        target = make_project(connection="hub").opened()
        assert target.identify_image(f"{name}:1") == f"{name}@{images.digest('one')}"
        assert target.identify_image(f"{other.host}/team/base:1").endswith(other.digest("two"))
        assert other.told == []
    with pytest.raises(ComputeTargetException, match="ask the registry"):
        make_project().opened().identify_image(f"{name}:1")
    monkeypatch.setenv("AIRFLOW_CONN_HUB", json.dumps({**made, "password": "other hush"}))
    wrong = make_project(connection="hub")
    with pytest.raises(
        ComputeTargetException, match="can't log in to the registry .* check host, login"
    ) as caught:
        wrong.opened().identify_image(f"{name}:1")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (403, "or none for this user (pull access denied"),
        (401, "the registry's login (`connection`)"),
        (500, "check its name, the registry and its credentials (`connection`), or load it by hand"),
    ],
)
def test_a_registry_that_refuses_is_a_failure_that_says_what_to_do(make_project, images, status, text):
    images.refusal = status
    name = f"{images.host}/team/base:1"
    project = make_project()
    run = project.run("pass", environment=EnvironmentSpec(image=name))
    assert f"image '{name}'" in run.error.lower()
    assert text in run.error
    assert released(project) == [True]


def test_an_image_is_pushed_once_and_found_in_the_registry_by_an_engine_that_has_it_not(
    make_project, images, client
):
    environment = EnvironmentSpec(name="small", user_managed=False, pip=("six==1.16.0",))
    logs: list[str] = []

    def prepare():
        project = make_project(registry=f"{images.host}/team", network="host")
        return project.opened().prepare(environment, project.workspace, log=logs.append).image

    try:
        first = prepare()
        assert len({name for name in images.pushed if "environment" in name}) == 2  # by tag and by digest
        for tag in client.inspect_image(first)["RepoTags"]:
            client.remove_image(tag, force=True)
        assert client.images(f"{images.host}/team/ml-pipelines-environment") == []
        logs.clear()
        prepare()
        assert [line.split(" image")[0] for line in logs] == ["found"]
    finally:
        for image in client.images():
            for tag in image["RepoTags"] or ():
                if tag.startswith(images.host):
                    client.remove_image(tag, force=True)


def test_an_image_that_the_registry_does_not_take_is_a_failure_that_says_so(
    make_project, images, client, spec
):
    images.refusal = 403
    text = f"FROM {spec().options['image']}\nRUN true\n"
    run = make_project(registry=f"{images.host}/team").run(
        "pass", environment=EnvironmentSpec(dockerfile=text)
    )
    assert "can't be pushed" in run.error
    [made] = [
        tag for image in client.images() for tag in image["RepoTags"] or () if tag.startswith(images.host)
    ]
    client.remove_image(made, force=True)


# --- a workspace on an object store ------------------------------------------------------------------------------


def test_a_workspace_on_s3_is_reached_from_the_container(tmp_path, spec, s3, monkeypatch, client):
    monkeypatch.setenv("ML_PIPELINES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("S3_SECRET", s3.options["secret"])
    url = f"{s3.bucket('docker-target')}/{tmp_path.name}"
    project = ContractProject(tmp_path, spec(network="host"))
    options = {name: value for name, value in s3.options.items() if name != "secret"}
    options.pop("key")
    monkeypatch.setenv("S3_KEY", s3.options["key"])
    root = DatastoreSpec(
        "root", url, options=options, credentials={"secret": "env:S3_SECRET", "key": "env:S3_KEY"}
    )
    project.workspace = Workspace("contract", root, compute_targets=[project.spec])
    run = project.run("import sys; open(sys.argv[1] + '/a', 'w').write('made there')")
    assert run.outcome.status == "Finished", run.error
    assert run.output("a") == b"made there"
    assert (
        project.run(
            "import sys; open(sys.argv[1] + '/a', 'w').write('made there')", target="local"
        ).step.status
        == "reused"
    )
