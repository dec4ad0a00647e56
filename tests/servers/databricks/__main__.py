"""Runs the server as a program: ``python -m servers.databricks FOLDER``, which prints its address."""

import sys
import time
from pathlib import Path

from servers.databricks import DatabricksServer

if __name__ == "__main__":
    with DatabricksServer(Path(sys.argv[1])).running() as server:
        print(server.url, flush=True)
        while True:
            time.sleep(3600)
