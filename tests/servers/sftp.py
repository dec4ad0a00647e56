"""An SFTP server: OpenSSH's own sshd, for the user who runs the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from servers.process import Server, free_port, lacking


class SftpServer(Server):
    """Lets the user log in with one key, and do nothing but SFTP.

    :ivar home: the folder that stores of it lie in.
    :ivar key: the file with the private key that logs in.
    :ivar known_hosts: a file with the server's own key, as ``ssh`` keeps it.
    """

    def __init__(self, folder: Path) -> None:
        daemon = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
        if daemon is None:
            lacking("OpenSSH's server", "apt-get install openssh-server")
        port = free_port()
        self.home = folder / "home"
        self.home.mkdir()
        self.key, host_key = folder / "id_ed25519", folder / "host_key"
        for file in (self.key, host_key):
            _make_key(file)
        self.known_hosts = folder / "known_hosts"
        self.host_key = host_key.with_suffix(".pub").read_text().rpartition(" ")[0]
        self.known_hosts.write_text(f"[127.0.0.1]:{port} {self.host_key}\n")
        self.user = getpass.getuser()
        self.url = f"sftp://127.0.0.1:{port}{self.home}"
        settings = {
            "Port": port,
            "ListenAddress": "127.0.0.1",
            "HostKey": host_key,
            "AuthorizedKeysFile": self.key.with_suffix(".pub"),
            "PidFile": folder / "sshd.pid",
            "UsePAM": "no",
            "StrictModes": "no",  # folders of tests may be open to others
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "MaxStartups": 100,
            "Subsystem": "sftp internal-sftp",
        }
        config = folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it does not start as root without
        super().__init__([daemon, "-D", "-e", "-f", config], port, folder / "sshd.log")

    @property
    def options(self) -> dict[str, object]:
        """What opens a store of it."""
        return {
            "username": self.user,
            "client_keys": [str(self.key)],
            "known_hosts": str(self.known_hosts),
        }

    @property
    def connection(self) -> dict[str, object]:
        """An Airflow connection to it."""
        extra = {"key_file": str(self.key), "host_key": self.host_key}
        return {
            "conn_type": "sftp",
            "host": "127.0.0.1",
            "port": self.port,
            "login": self.user,
            "extra": extra,
        }

    def stop(self) -> None:
        """End the server, and the sessions that it has, which outlive it."""
        sessions = psutil.Process(self._process.pid).children(recursive=True) if self._process else []
        super().stop()
        for session in sessions:
            with suppress(psutil.NoSuchProcess):
                session.terminate()
        psutil.wait_procs(sessions, 20)


def _make_key(file: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(file)]
    subprocess.run(command, check=True, capture_output=True)
