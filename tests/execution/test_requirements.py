from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.errors import EnvironmentBuildError
from airflow_ml_pipelines.core.spec import EnvironmentSpec
from airflow_ml_pipelines.execution.requirements import (
    collect_requirements,
    conda_to_pip,
    expand_variables,
    python_version,
)


def collect(*, with_conda=False, **fields):
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return collect_requirements(EnvironmentSpec(user_managed=False, **fields), with_conda=with_conda)


@pytest.mark.parametrize(
    ("conda", "pip"),
    [
        ("pandas", "pandas"),
        ("pandas=2.2", "pandas==2.2.*"),
        ("pandas=2.2.*", "pandas==2.2.*"),
        ("pandas=2.2*", "pandas==2.2.*"),
        ("pandas==2.2.1", "pandas==2.2.1"),
        ("pandas=2.2.1=py312_0", "pandas==2.2.1"),
        ("pandas 2.2.1", "pandas==2.2.1"),
        ("pandas 2.2.1 py312_0", "pandas==2.2.1"),
        ("pandas>=2", "pandas>=2"),
        ("pandas >=2, <3", "pandas>=2,<3"),
        ("pandas!=2.0", "pandas!=2.0"),
        ("pandas~=2.2", "pandas~=2.2"),
        ("pandas=*", "pandas"),
        ("conda-forge::pandas", "pandas"),
        ("conda-forge/linux-64::pandas=2", "pandas==2.*"),
        ("Pandas", "pandas"),
        ("pytorch=2.1", "torch==2.1.*"),
        ("py-opencv", "opencv-python-headless"),
        ("ruamel_yaml", "ruamel.yaml"),
    ],
)
def test_a_conda_package_as_a_pip_requirement(conda, pip):
    assert conda_to_pip(conda) == pip


@pytest.mark.parametrize(
    "package", ["cudatoolkit=11.8", "r-base", "r-dplyr>=1", "openjdk", "_libgcc_mutex=0.1", "ffmpeg", "cudnn"]
)
def test_what_pypi_does_not_have_is_not_looked_for_there(package):
    assert conda_to_pip(package) is None


@pytest.mark.parametrize(
    "package", ["", "=2", "pandas=>2", "pandas=2.2|2.3", "pandas[version='>=1']", "pandas==", "-c x", "a\nb"]
)
def test_a_conda_package_that_can_not_be_read_is_an_error(package):
    with pytest.raises(EnvironmentBuildError, match="expected a conda package"):
        conda_to_pip(package)


@given(st.text())
def test_a_conda_package_is_read_or_refused_and_never_an_option_or_two_lines(text):
    try:
        found = conda_to_pip(text)
    except EnvironmentBuildError:
        return
    if found is not None:
        assert found.isprintable()
        assert found[0].isalnum()
        assert "://" not in found


def test_without_conda_its_packages_come_from_pypi_with_one_warning():
    wanted = collect(
        conda=["scikit-learn", "pandas=2.2"],
        pip=["requests", "pandas==2.2.*"],
        conda_channels=["conda-forge"],
    )
    assert wanted.pip == ("scikit-learn", "pandas==2.2.*", "requests")
    assert (wanted.conda, wanted.channels) == ((), ())
    assert len(wanted.warnings) == 1
    assert (
        "conda is not installed here, so these come from PyPI: scikit-learn, pandas==2.2.*"
        in wanted.warnings[0]
    )


def test_with_conda_its_packages_are_left_to_it():
    wanted = collect(
        with_conda=True,
        conda=["r-base", "pandas=2.2", "pip"],
        pip=["requests"],
        conda_channels=["conda-forge"],
    )
    assert (wanted.conda, wanted.channels, wanted.pip) == (
        ("r-base", "pandas=2.2"),
        ("conda-forge",),
        ("requests",),
    )
    assert wanted.warnings == ()


def test_what_only_conda_has_is_named_with_what_to_do():
    with pytest.raises(
        EnvironmentBuildError, match=r"^cudatoolkit=11, r-base: only conda has this.*install one of them"
    ) as caught:
        collect(conda=["pandas", "cudatoolkit=11", "r-base"])
    assert "pandas" not in str(caught.value)


@pytest.mark.parametrize(
    "package",
    ["python=3.12", "python==3.12", "python 3.12", "conda-forge::python=3.12=0_cpython", "python=3.12.*"],
)
def test_a_conda_package_sets_the_version_of_python(package):
    wanted = collect(conda=[package, "pip", "pip=23", "python", "setuptools"])
    assert (wanted.python, wanted.pip, wanted.warnings) == ("3.12", (), ())


def test_a_package_whose_name_begins_like_pip_is_kept():
    assert collect(conda=["pipdeptree", "python-dateutil", "wheel-x"]).pip == (
        "pipdeptree",
        "python-dateutil",
        "wheel-x",
    )


def test_the_environments_own_version_of_python_comes_first():
    assert collect(python="3.11", conda=["python=3.12"]).python == "3.11"


@pytest.mark.parametrize("text", ["three", "3.x", ">=3.9", "", "3.12.1.1", "3.12; rm"])
def test_what_is_no_version_of_python_is_an_error(text):
    with pytest.raises(EnvironmentBuildError, match="expected a version of Python"):
        python_version(text)


def test_packages_of_the_reference_are_left_out_with_one_warning():
    wanted = collect(
        pip=["azureml-sdk", "azureml_core==1.5", "AzureML-dataprep[fuse, pandas]", "numpy", "azureml-x[a]"]
    )
    assert wanted.pip == ("pandas", "numpy")
    assert len(wanted.warnings) == 1
    assert (
        "azureml-sdk, azureml_core==1.5, AzureML-dataprep[fuse, pandas], azureml-x[a]" in wanted.warnings[0]
    )


def test_packages_with_a_like_name_are_kept():
    assert collect(pip=["azure-ai-ml", "azuremlx", "my-azureml-tools"]).pip == (
        "azure-ai-ml",
        "azuremlx",
        "my-azureml-tools",
    )


def test_options_may_stand_among_the_packages_in_any_of_their_spellings():
    wanted = collect(
        pip_options=[
            "--index-url https://a/simple",
            "--extra-index-url=https://b/simple",
            "-f",
            "/wheels",
            "--pre",
        ],
        pip=["--no-binary :all:", "numpy", "# a comment", ""],
    )
    assert wanted.options == (
        "--index-url https://a/simple",
        "--extra-index-url https://b/simple",
        "--find-links /wheels",
        "--pre",
        "--no-binary :all:",
    )
    assert wanted.pip == ("numpy",)


@pytest.mark.parametrize(
    "entry",
    [
        "--target=/",
        "--install-option=x",
        "-e .",
        "-r other.txt",
        "--pre --target=/",
        "--no-index x",
        "--index-url",
        "--index-url --target",
        "-i -t",
        "--config-settings x=y",
        "-",
        "numpy --global-option=x",
        "numpy\n--index-url https://evil",
        "numpy \\",
        "numpy\r-e .",
    ],
)
def test_options_that_are_not_known_and_second_lines_are_refused(entry):
    with pytest.raises(EnvironmentBuildError):
        collect(pip=[entry])


def test_a_hash_of_a_requirement_is_kept():
    entry = "numpy==1.0 --hash=sha256:aa"
    assert collect(pip=[entry]).pip == (entry,)


def test_a_password_in_a_refused_option_is_not_shown():
    with pytest.raises(EnvironmentBuildError) as caught:
        collect(pip=["--proxy https://me:hunter2@host"])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("entry", ["./x.whl", "../x", "dist/x.whl", "x @ ./x.whl"])
def test_a_relative_path_is_refused(entry):
    with pytest.raises(EnvironmentBuildError, match="relative path"):
        collect(pip=[entry])


@pytest.mark.parametrize(
    "entry",
    [
        "/abs/x.whl",
        "x @ file:///abs/x.whl",
        "https://h/x.whl",
        "x @ git+https://h/a/b.git@v1",
        "x; python_version<'3.13'",
    ],
)
def test_absolute_paths_and_urls_are_fine(entry):
    assert collect(pip=[entry]).pip == (entry,)


@pytest.mark.parametrize("entry", ["--override-channels", "-c evil"])
def test_options_do_not_reach_conda(entry):
    with pytest.raises(EnvironmentBuildError, match="found the option"):
        collect(with_conda=True, conda=[entry])
    with pytest.raises(EnvironmentBuildError, match="found the option"):
        collect(with_conda=True, conda=["pandas"], conda_channels=[entry])


def test_variables_are_expanded_as_pip_does(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "t")
    assert expand_variables("--index-url https://${MY_TOKEN}@h/$HOME/${lower}") == (
        "--index-url https://t@h/$HOME/${lower}",
        ["t"],
    )
    with pytest.raises(EnvironmentBuildError, match="NOT_SET_AT_ALL, which is not set here"):
        expand_variables("https://${NOT_SET_AT_ALL}@h")
