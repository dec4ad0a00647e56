from __future__ import annotations

import pytest

from airflow_ml_pipelines.core.spec import DEFAULT_ENVIRONMENT
from dag_factory import CondaDependencies, DefinitionError, Environment, RunConfiguration, WorkspaceError


def test_a_new_run_configuration_means_the_interpreter_that_runs_the_pipeline():
    spec = RunConfiguration().environment_spec()
    assert spec.digest == DEFAULT_ENVIRONMENT.digest


def test_variables_alone_leave_the_interpreter():
    configuration = RunConfiguration()
    configuration.environment.environment_variables = {"THREADS": "4"}
    spec = configuration.environment_spec()
    assert (spec.user_managed, spec.variables) == (True, {"THREADS": "4"})


def test_packages_make_an_environment_of_their_own():
    configuration = RunConfiguration()
    configuration.environment.python.user_managed_dependencies = False
    configuration.environment.python.conda_dependencies = CondaDependencies.create(
        conda_packages=["scikit-learn"], pip_packages=["pandas>=2"], python_version="3.12"
    )
    spec = configuration.environment_spec()
    assert (spec.user_managed, spec.conda, spec.pip, spec.python) == (
        False,
        ("scikit-learn",),
        ("pandas>=2",),
        "3.12",
    )


def test_a_name_and_version_refer_to_a_registered_one():
    configuration = RunConfiguration()
    configuration.environment.name = "mine"
    configuration.environment.version = "1.0"
    assert configuration.environment_spec() == "mine:1.0"


def test_a_name_alone_refers_to_the_latest():
    configuration = RunConfiguration()
    configuration.environment.name = "mine"
    assert configuration.environment_spec() == "mine"


def test_registering_gives_a_version_and_get_brings_it_back(ws):
    environment = Environment("mine")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["pandas"])
    environment.environment_variables["A"] = "1"
    assert environment.register(workspace=ws).version == "1"
    assert environment.register(ws).version == "1"
    environment.environment_variables["A"] = "2"
    assert environment.register(ws).version == "2"
    assert Environment.get(ws, "mine", version=1).environment_variables == {"A": "1"}
    found = Environment.get(workspace=ws, name="mine")
    assert found.python.conda_dependencies.pip_packages == ("pandas",)
    assert found.to_spec().digest == environment.to_spec().digest
    assert set(Environment.list(ws)) == {"mine"}
    assert ws.environments["mine"].version == "2"


def test_one_from_the_registry_is_used_with_its_content(ws):
    environment = Environment("mine")
    environment.python.user_managed_dependencies = True
    environment.register(ws)
    configuration = RunConfiguration()
    configuration.environment = Environment.get(ws, "mine")
    spec = configuration.environment_spec()
    assert (spec.name, spec.version, spec.user_managed) == ("mine", "1", True)


def test_an_unknown_one_is_refused(ws):
    with pytest.raises(WorkspaceError, match="'mine'"):
        Environment.get(ws, "mine")


def test_a_clone_is_one_of_its_own():
    environment = Environment("a")
    environment.environment_variables["A"] = "1"
    clone = environment.clone("b")
    clone.environment_variables["A"] = "2"
    assert (clone.name, environment.environment_variables) == ("b", {"A": "1"})


def test_secrets_are_not_taken(ws):
    environment = Environment("mine")
    environment.environment_variables["API_KEY"] = "hunter2"
    with pytest.raises(WorkspaceError, match="secret"):
        environment.register(ws)


def test_requirements_files_are_read_with_what_they_include(project):
    project.write("more.txt", "numpy  # for arrays\n")
    file = project.write(
        "requirements.txt", "# all\n-r more.txt\npandas>=2 ; python_version > '3'\n--index-url https://x/y\n"
    )
    spec = Environment.from_pip_requirements("e", file).to_spec()
    assert spec.pip == ("numpy", "pandas>=2 ; python_version > '3'")
    assert not spec.user_managed


@pytest.mark.parametrize(
    ("text", "message"), [("-e ./here\n", "needs a file"), ("-r requirements.txt\n", "includes itself")]
)
def test_requirements_that_can_not_be_taken_are_named(project, text, message):
    project.write("requirements.txt", text)
    with pytest.raises(DefinitionError, match=message):
        Environment.from_pip_requirements("e", "requirements.txt")


def test_conda_files_are_read_and_written(project):
    file = project.write(
        "conda.yml",
        """
        name: x
        channels: [conda-forge]
        dependencies:
          - python=3.12
          - scikit-learn=1.5
          - pip
          - pip: [pandas]
        """,
    )
    environment = Environment.from_conda_specification("e", file)
    spec = environment.to_spec()
    assert (spec.python, spec.conda, spec.conda_channels, spec.pip) == (
        "3.12",
        ("scikit-learn=1.5",),
        ("conda-forge",),
        ("pandas",),
    )
    environment.python.conda_dependencies.save_to_file(".", "again.yml")
    assert Environment.from_conda_specification("e", "again.yml").to_spec() == spec


@pytest.mark.parametrize("text", ["", "- a\n", "dependencies: 5\n", "a: [\n"])
def test_what_is_no_conda_file_is_refused(project, text):
    project.write("conda.yml", text)
    with pytest.raises(DefinitionError, match=r"conda\.yml"):
        Environment.from_conda_specification("e", "conda.yml")


def test_a_text_is_no_list_of_packages():
    with pytest.raises(TypeError, match=r"write \['pandas'\]"):
        CondaDependencies.create(pip_packages="pandas")


def test_what_is_no_environment_is_refused():
    with pytest.raises(TypeError, match="expected an Environment"):
        RunConfiguration().environment = "mine"


def test_one_configuration_is_not_changed_by_the_steps_that_share_it(ws, project):
    from dag_factory import Pipeline, PythonScriptStep

    project.write("a.py")
    project.write("b.py")
    shared = RunConfiguration()
    steps = [
        PythonScriptStep("a.py", compute_target="one", runconfig=shared),
        PythonScriptStep("b.py", runconfig=shared),
    ]
    spec = Pipeline(ws, steps).to_spec()
    assert [step.compute_target for step in spec.steps] == ["one", None]
    assert shared.target == "local"
    shared.target = "two"
    assert [step.compute_target for step in Pipeline(ws, steps).to_spec().steps] == ["one", "two"]


def test_an_environment_from_an_image_or_a_dockerfile(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM base\n")
    (tmp_path / "requirements.txt").write_text("six\n")
    image = Environment.from_docker_image(
        "a", "team/base:1", pip_requirements=tmp_path / "requirements.txt"
    ).to_spec()
    assert (image.image, image.pip, image.user_managed) == ("team/base:1", ("six",), False)
    plain = Environment.from_docker_image("a", "team/base:1").to_spec()
    assert (plain.image, plain.user_managed) == ("team/base:1", True)
    for given in ("FROM base\n", str(tmp_path / "Dockerfile")):
        made = Environment.from_dockerfile("a", given)
        assert made.to_spec().dockerfile == "FROM base\n"
        assert Environment.from_spec(made.to_spec()).to_spec() == made.to_spec()
    with pytest.raises(DefinitionError, match="can't be read"):
        Environment.from_dockerfile("a", "nowhere").to_spec()


CONDA = """
#!/bin/sh
[ "$*" = "env export --name science --no-builds" ] || { echo "EnvironmentLocationNotFound: $4" >&2; exit 1; }
cat <<END
name: science
channels: [conda-forge]
dependencies: [python=3.12.1, numpy=2.1.0, {pip: [six==1.16.0]}]
prefix: /opt/conda/envs/science
END
"""


def test_an_existing_conda_environment_is_taken_with_its_versions(project, monkeypatch):
    monkeypatch.delenv("CONDA_EXE", raising=False)
    monkeypatch.setenv("PATH", f"{project.folder}/bin:/usr/bin:/bin")
    project.write("bin/conda", CONDA).chmod(0o755)
    spec = Environment.from_existing_conda_environment("mine", "science").to_spec()
    assert (spec.python, spec.conda, spec.pip) == ("3.12.1", ("numpy=2.1.0",), ("six==1.16.0",))
    assert (spec.conda_channels, spec.user_managed) == (("conda-forge",), False)
    with pytest.raises(
        DefinitionError, match="can't export environment 'art': EnvironmentLocationNotFound: art"
    ):
        Environment.from_existing_conda_environment("mine", "art")
    (project.folder / "bin" / "conda").unlink()
    with pytest.raises(DefinitionError, match="there is no conda here"):
        Environment.from_existing_conda_environment("mine", "science")


@pytest.mark.parametrize(
    "make",
    [
        lambda file: Environment.from_conda_specification("e", file),
        lambda file: Environment.from_pip_requirements("e", file),
        lambda file: Environment.from_dockerfile("e", file).to_spec(),
    ],
)
def test_a_file_that_is_no_text_is_refused(project, make):
    (project.folder / "file").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DefinitionError, match="is no text in UTF-8"):
        make("file")


@pytest.mark.parametrize("make", [Environment.from_docker_image, Environment.from_dockerfile])
def test_an_image_without_a_name_is_refused(make):
    with pytest.raises(DefinitionError, match="found an empty text"):
        make("e", " ")
