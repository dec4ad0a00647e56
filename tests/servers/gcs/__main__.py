"""Runs the server as a program: ``python -m servers.gcs PORT PUBLIC_KEY``."""

import sys
from pathlib import Path

from servers.gcs.server import Gcs

if __name__ == "__main__":
    with Gcs(int(sys.argv[1]), Path(sys.argv[2]).read_text()) as server:
        server.serve_forever()
