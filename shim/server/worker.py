"""gunicorn's worker of threads, and the bounds on clients that stop reading or sending.

A client that does not read holds a thread, which writes into its connection. Threads are made when they are needed and
cost little while they wait, so there are many of them; the kernel ends connections that do not move.
"""

from __future__ import annotations

import errno
import select
import socket
import struct

from gunicorn.http.message import Request
from gunicorn.workers.gthread import TConn, ThreadWorker

# How the kernel says that a connection did not move for too long: its peer read nothing, or sent nothing.
STALLED = (errno.ETIMEDOUT, errno.EAGAIN)
# Milliseconds for which the thread that answered waits for the connection's next request.
LINGER = 5


class Worker(ThreadWorker):
    """Threads that close the connection of a stalled client without an answer, as if it had hung up."""

    def handle(self, conn: TConn) -> object:
        """Serve a request, and those that follow closely on its connection.

        Giving the connection back to gunicorn's event loop would wake three threads for each request.
        """
        kept = super().handle(conn)
        while kept is True and self.alive and _follows(conn):
            kept = super().handle(conn)
        return kept

    def handle_request(self, req: Request, conn: TConn) -> object:
        """Serve one request; a connection that the kernel gave up is closed."""
        try:
            return super().handle_request(req, conn)
        except OSError as problem:
            if problem.errno in STALLED:
                raise StopIteration from problem  # gunicorn's way to say: close it
            raise

    def murder_pending(self) -> None:
        """Close connections on which no request came in time; a worker that stops does not wait for one.

        Browsers open connections ahead of need, and gunicorn waits for those until its grace ends.
        """
        if not self.alive:
            for each in self.pending_conns:
                each.timeout = 0.0
        super().murder_pending()


def _follows(conn: TConn) -> bool:
    """Wait a moment for the next request of a connection; what gunicorn has read ahead it finds itself."""
    if conn.is_http2 or conn.parser.unreader.buf.getvalue():
        return False
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(LINGER))


def bound(listener: socket.socket, seconds: int) -> None:
    """End connections that do not move for `seconds`; those that a listening socket accepts inherit it (Linux).

    A reader counts as moving each time it opens its window: a slow one does that once for a sixteenth of its buffer
    at the latest, which is 400 kB where buffers are as large as Linux makes them. So 1 kB/s takes 400 s.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))
        # Of a peer that is gone without a word while nothing is sent.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
