import importlib
import json
from importlib.metadata import distribution, entry_points
from importlib.resources import files

import jsonschema

from airflow_ml_pipelines.get_provider_info import get_provider_info


def _schema():
    return json.loads((files("airflow") / "provider_info.schema.json").read_text())


def test_provider_info_is_what_airflow_takes():
    jsonschema.validate(get_provider_info(), _schema())


def test_provider_info_has_no_key_that_airflow_does_not_know():
    assert set(get_provider_info()) <= {*_schema()["properties"], "cli"}  # 3.1 passes over that one


def test_package_name_is_that_of_the_distribution():
    assert (
        distribution(get_provider_info()["package-name"]).metadata["Name"]
        == get_provider_info()["package-name"]
    )


def test_airflow_finds_it_by_its_entry_point():
    [entry] = [
        e
        for e in entry_points(group="apache_airflow_provider")
        if e.module.startswith("airflow_ml_pipelines")
    ]
    assert entry.load() is get_provider_info


def test_every_module_of_glue_is_listed_and_can_be_imported():
    info = get_provider_info()
    for room in ("operators", "sensors", "triggers", "bundles"):
        listed = {module for item in info[room] for module in item["python-modules"]}
        for module in listed:
            assert importlib.import_module(module).__all__
        folder = files("airflow_ml_pipelines") / room
        there = {entry.name.removesuffix(".py") for entry in folder.iterdir() if entry.name.endswith(".py")}
        helpers = {"operators.step", "operators.step_arguments", "bundles.view"}
        modules = {f"{room}.{name}" for name in there - {"__init__"}} - helpers
        assert {f"airflow_ml_pipelines.{name}" for name in modules} == listed


def test_every_link_is_listed_and_can_be_made():
    for path in get_provider_info()["extra-links"]:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name)().name


def test_configuration_has_the_default():
    from airflow_ml_pipelines._airflow import conf

    assert conf.get("ml_pipelines", "workspace", fallback="nothing") in (None, "", "nothing")
