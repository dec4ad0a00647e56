"""The server's side of a WebSocket, as far as the Kubernetes API speaks it: whole binary messages."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10


class WebSocket:
    """A connection that a handler's request became.

    :ivar is_closed: whether one side has said that it is at its end.
    """

    def __init__(self, handler: BaseHTTPRequestHandler, protocol: str) -> None:
        key = handler.headers["Sec-WebSocket-Key"] + _MAGIC
        handler.send_response(101)
        handler.send_header("Upgrade", "websocket")
        handler.send_header("Connection", "Upgrade")
        handler.send_header(
            "Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        )
        handler.send_header("Sec-WebSocket-Protocol", protocol)
        handler.end_headers()
        handler.close_connection = True
        self._read, self._write = handler.rfile, handler.wfile
        self._lock = threading.Lock()
        self.is_closed = False

    def send(self, data: bytes) -> None:
        self._send(_BINARY, data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._send(_CLOSE, struct.pack(">H", 1000))
        self.is_closed = True

    def messages(self) -> Iterator[bytes]:
        """Yield what comes until the other side has closed."""
        while len(head := self._read.read(2)) == 2:
            kind, size = head[0] & 0x0F, head[1] & 0x7F
            if size >= 126:
                form = ">H" if size == 126 else ">Q"
                [size] = struct.unpack(form, self._read.read(struct.calcsize(form)))
            mask = self._read.read(4) if head[1] & 0x80 else bytes(4)
            data = bytes(byte ^ mask[n % 4] for n, byte in enumerate(self._read.read(size)))
            if kind == _CLOSE:
                if not self.is_closed:
                    self.close()
                return
            if kind == _PING:
                self._send(_PONG, data)
            elif kind != _PONG:
                yield data

    def _send(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = bytes((0x80 | kind, size))
        elif size < 1 << 16:
            head = struct.pack(">BBH", 0x80 | kind, 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | kind, 127, size)
        with self._lock:
            self._write.write(head + data)
            self._write.flush()
