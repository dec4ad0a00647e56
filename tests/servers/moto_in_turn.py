"""moto's S3 server, with writes one after the other.

moto looks whether a key is taken and then writes, so that two conditional puts at once can both win; S3 itself lets one.

    python moto_in_turn.py PORT
"""

import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple


class InTurn:
    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] not in ("PUT", "POST"):
            return self.application(environ, start_response)
        with self.lock:  # the answer is made before it is returned
            return self.application(environ, start_response)


if __name__ == "__main__":
    application = InTurn(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True)
