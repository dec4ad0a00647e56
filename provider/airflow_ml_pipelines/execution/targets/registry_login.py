"""The login of a registry of images: an Airflow connection of type ``docker``, read as Airflow's own hook reads it.

Host and port are the registry, login and password the user. Extra ``email`` is told the registry, extra ``reauth``
(true, if left out) says whether a login that the machine has kept is asked for anew.
"""

from __future__ import annotations

from typing import NamedTuple

from airflow_ml_pipelines.core.errors import ComputeTargetException
from airflow_ml_pipelines.core.stores.connections import Connection

__all__ = ["RegistryLogin", "read_login"]

_YES = ("y", "yes", "t", "true", "on", "1")
_NO = ("n", "no", "f", "false", "off", "0")


class RegistryLogin(NamedTuple):
    """A user of a registry; the fields are those of the client's ``login``."""

    registry: str
    username: str
    password: str | None
    email: str | None = None
    reauth: bool = True

    def __repr__(self) -> str:
        """Return it without the password."""
        return f"RegistryLogin({self.registry!r}, {self.username!r})"

    def is_for(self, image: str) -> bool:
        """Return whether an image is of this registry."""
        from docker.auth import resolve_index_name, resolve_repository_name
        from docker.errors import InvalidRepository

        try:
            found: str = resolve_repository_name(image)[0]
        except InvalidRepository:
            return False
        return found == str(resolve_index_name(self.registry))


def read_login(where: str, connection: Connection) -> RegistryLogin:
    """Return the login that a connection has.

    :param where: how errors call the compute target.
    :raises ComputeTargetException: where it lacks something.
    """
    for value, what in ((connection.host, "the registry (host)"), (connection.login, "the user (login)")):
        if not value:
            raise ComputeTargetException(f"{where}: its connection lacks {what}, such as registry.example")
    extra = connection.extra
    word = str(extra.get("reauth", True)).strip().lower()
    if word not in (*_YES, *_NO):
        raise ComputeTargetException(f"{where}: its connection's extra 'reauth': expected true or false")
    registry = f"{connection.host}:{connection.port}" if connection.port else str(connection.host)
    return RegistryLogin(
        registry, str(connection.login), connection.password, extra.get("email") or None, word in _YES
    )
