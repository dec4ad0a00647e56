"""Lets a socket be reached over TCP, until the relay ends and with it every connection."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator

__all__ = ["relay"]


@contextlib.contextmanager
def relay(url: str, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Yield a ``tcp://`` URL that stands for a ``unix://`` one.

    :param tls: how it is spoken to; None for in the clear.
    """
    path = url.removeprefix("unix://")
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        threads = [threading.Thread(target=_accept, args=(server, path, ended, tls))]
        threads[0].start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            threads[0].join()


def _accept(server: socket.socket, path: str, ended: threading.Event, tls: ssl.SSLContext | None) -> None:
    threads = []
    while not ended.is_set():
        with contextlib.suppress(TimeoutError, ssl.SSLError, ConnectionError):
            near, _ = server.accept()
            if tls is not None:
                near.settimeout(30)
                near = tls.wrap_socket(near, server_side=True)
            far = socket.socket(socket.AF_UNIX)
            far.connect(path)
            threads.append(threading.Thread(target=_pass_on, args=(near, far, ended)))
            threads[-1].start()
    for thread in threads:
        thread.join()


def _pass_on(near: socket.socket, far: socket.socket, ended: threading.Event) -> None:
    with near, far, selectors.DefaultSelector() as selector:
        selector.register(near, selectors.EVENT_READ, far)
        selector.register(far, selectors.EVENT_READ, near)
        while not ended.is_set():
            for key, _ in selector.select(0.1):
                with contextlib.suppress(OSError):
                    if data := key.fileobj.recv(1 << 16):
                        while isinstance(key.fileobj, ssl.SSLSocket) and key.fileobj.pending():
                            data += key.fileobj.recv(1 << 16)
                        key.data.sendall(data)
                        continue
                return
