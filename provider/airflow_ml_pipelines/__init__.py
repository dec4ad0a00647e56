"""An Airflow provider for machine-learning pipelines with reuse of unchanged steps."""

__all__ = ["__version__"]

__version__ = "0.1.0"
