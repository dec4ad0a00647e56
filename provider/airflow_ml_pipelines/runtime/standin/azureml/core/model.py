"""Models, of which there is no registry."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["Model"]
__path__: list[str] = []


class Model:
    """There is no model registry here: everything says what to do instead."""

    def __init__(self, workspace: Any, name: str = "", **_: Any) -> None:  # noqa: ARG002
        _refuse(f"Model({name!r})")

    @staticmethod
    def register(workspace: Any, model_path: str = "", model_name: str = "", **_: Any) -> NoReturn:  # noqa: ARG004
        """There is no model registry. :raises NotImplementedError: always."""
        _refuse(f"Model.register({model_name!r})")

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: Any = None) -> NoReturn:  # noqa: ARG004
        """There is no model registry. :raises NotImplementedError: always."""
        _refuse(f"Model.get_model_path({model_name!r})")


def _refuse(call: str) -> NoReturn:
    raise NotImplementedError(
        f"{call}: there is no model registry. Write the model to an output of the step and give that output a name with "
        "register_on_complete(); other steps read it as an input, as a versioned dataset of the workspace."
    )
