"""gunicorn's response: what is sent leaves in full packets, and files past Python."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from gunicorn.http import wsgi

UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class Response(wsgi.Response):
    """A response of HTTP/1: headers, heads of parts and bodies whose length is known share packets.

    Each packet that leaves wakes the client, which costs the processor more than the packet does.
    """

    def send_headers(self) -> None:
        """Send the headers, unless they are sent; from then on packets are filled."""
        if not self.headers_sent and self.response_length:
            self._fill_packets(True)
        super().send_headers()

    def close(self) -> None:
        """End the response: the last packet leaves."""
        super().close()
        if self.response_length:
            self._fill_packets(False)

    def _fill_packets(self, on: bool) -> None:
        if hasattr(socket, "TCP_CORK"):
            with suppress(OSError):  # no TCP, or a connection that broke, which sending tells
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)


def send_file(response: wsgi.Response, file: int, start: int, count: int) -> int:
    """Have the system send bytes of a file behind what gunicorn's response has sent; return how many.

    0 where the connection is not plain, bytes go in chunks, or the file system cannot.
    """
    if response.chunked or not response.headers_sent or not response.can_sendfile() or response.cfg.is_ssl:
        return 0
    sent = 0
    try:
        while sent < count and (done := os.sendfile(response.sock.fileno(), file, start + sent, count - sent)):
            sent += done
    except OSError as problem:
        if sent or problem.errno not in UNABLE:
            raise
    response.sent += sent
    return sent
