"""What Airflow is told of this provider."""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]

_NAME = "ML Pipelines"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as Airflow's schema for it has them."""
    package = "airflow_ml_pipelines"
    return {
        "package-name": "airflow-provider-ml-pipelines",
        "name": _NAME,
        "description": "Machine-learning pipelines with reuse of unchanged steps.",
        "integrations": [
            {
                "integration-name": _NAME,
                "external-doc-url": "https://github.com/airflow-provider-ml-pipelines/airflow-provider-ml-pipelines",
                "tags": ["machine learning"],
            }
        ],
        "operators": [
            {
                "integration-name": _NAME,
                "python-modules": [
                    f"{package}.operators.data_transfer",
                    f"{package}.operators.databricks",
                    f"{package}.operators.files",
                    f"{package}.operators.plan",
                    f"{package}.operators.python_script",
                ],
            }
        ],
        "sensors": [{"integration-name": _NAME, "python-modules": [f"{package}.sensors.reuse"]}],
        "bundles": [
            {
                "integration-name": _NAME,
                "python-modules": [f"{package}.bundles.pipelines", f"{package}.bundles.published"],
            }
        ],
        "triggers": [
            {
                "integration-name": _NAME,
                "python-modules": [
                    f"{package}.triggers.files",
                    f"{package}.triggers.reuse",
                    f"{package}.triggers.step",
                ],
            }
        ],
        "extra-links": [
            f"{package}.links.DatabricksRunLink",
            f"{package}.links.ReusedFromLink",
            f"{package}.links.StepLink",
        ],
        "cli": ["dag_factory.airflow_cli.get_commands"],
        "asset-uris": [{"schemes": ["ml-pipelines"], "handler": None}],
        "config": {
            "ml_pipelines": {
                "description": "Pipelines with reuse of unchanged steps.",
                "options": {
                    "workspace": {
                        "description": (
                            "The workspace file (or the folder that has it) of tasks that name none. Where this is\n"
                            "not set either, the environment variable ML_PIPELINES_WORKSPACE names it.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/opt/airflow/workspace.yaml",
                        "default": None,
                    }
                },
            }
        },
    }
