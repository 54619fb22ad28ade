"""A TCP proxy on loopback in front of a database that can stop forwarding the changes feed, and nothing else."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from urllib.parse import urlsplit


class Proxy:
    """Forwards connections; those that carry a feed stand still while it is stopped.

    Parameters
    ----------
    url : str
        The database server, with credentials.
    """

    def __init__(self, url: str):
        parts = urlsplit(url)
        self._target = parts.hostname, parts.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{port}")
        self._stopped = False
        self._feeds: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self, *, close: bool = False) -> None:
        """Forward nothing more of any feed, of a new one neither; `close` ends those that there are."""
        self._stopped = True
        if close:
            for each in list(self._feeds):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def go_on(self) -> None:
        """Forward again."""
        self._stopped = False

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            feed = False
            with contextlib.suppress(OSError):
                while True:
                    ready, _, _ = select.select([client, server], [], [])
                    for each in ready:
                        piece = each.recv(1 << 16)
                        if not piece:
                            return
                        if each is client and b"/_changes?" in piece[:2000]:
                            feed = True
                            self._feeds.add(client)
                        while feed and self._stopped:
                            time.sleep(0.01)
                        (server if each is client else client).sendall(piece)
            self._feeds.discard(client)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.close()
