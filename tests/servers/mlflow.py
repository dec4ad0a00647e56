"""MLflow's own server, in an environment that uv makes for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servers.process import Server, free_port, lacking


class MlflowServer(Server):
    def __init__(self, folder: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        if not uv.exists():
            lacking("MLflow", "make .venv/.ready, which has uv")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        where = [
            "--backend-store-uri",
            f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination",
            folder / "files",
        ]
        command = [uv, "tool", "run", "--python", sys.executable, "--from", "mlflow>=3", "mlflow"]
        subprocess.run(
            [*command, "--version"], check=True, capture_output=True, timeout=240
        )  # makes the environment
        super().__init__(
            [*command, "server", *where, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            port,
            folder / "mlflow.log",
            env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            patience=180,
        )
