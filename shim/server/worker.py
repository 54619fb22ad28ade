"""gunicorn's worker of threads, and the bounds on clients that stop reading or sending, or go on sending in vain.

A client that does not read holds a thread, which writes into its connection. Threads are made when they are needed and
cost little while they wait, so there are many of them; the kernel ends connections that do not move.

A request that is refused before its body is read has its answer, and still sends. Were the connection closed on what is
unread, the kernel would reset it, and the client would lose the answer: so it is closed for writing, and read until the
client closes it (RFC 9112 9.6).
"""

from __future__ import annotations

import errno
import logging
import select
import socket
import struct
import sys
import time
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from types import MethodType
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.message import Request
from gunicorn.workers.gthread import TConn, ThreadWorker

from dicouch import services
from dicouch.dicom.errors import Busy, PixelError
from dicouch.dicom.media.multipart_writer import SENDER
from dicouch.errors import DicomWebError, too_many_open
from dicouch.server.counters import Counters
from dicouch.server.response import Response, send_file
from dicouch.store.ranges import begun

LOG = logging.getLogger(__name__)

# How the kernel says that a connection did not move for too long: its peer read nothing, or sent nothing.
STALLED = (errno.ETIMEDOUT, errno.EAGAIN)
# Milliseconds for which the thread that answered waits for the connection's next request.
LINGER = 50
# Bytes and seconds for which the connection of a refused request is read, and seconds of silence that end it.
REFUSED_BYTES, REFUSED_SECONDS, REFUSED_SILENCE = 256 << 20, 30.0, 3.0
# Bytes of a refused body that gunicorn reads itself, so that the connection goes on.
SMALL_BODY = 32 << 10


class Worker(ThreadWorker):
    """Threads that close the connection of a stalled client without an answer, as if it had hung up."""

    # Of the counters: the row that is this process's; `dicouch.server.gunicorn_conf` gives both.
    row: int
    counters: Counters

    def handle(self, conn: TConn) -> object:
        """Serve a request, and those that follow closely on its connection.

        Giving the connection back to gunicorn's event loop would wake three threads for each request.
        """
        kept = super().handle(conn)
        # Where there are more connections than threads, others need this one.
        while kept is True and self.alive and _follows(conn, LINGER if self.nr_conns <= self.cfg.threads else 0):
            kept = super().handle(conn)
        if not kept and not getattr(conn, "stalled", False):
            # Not in gunicorn's event loop, which serves all others meanwhile.
            self._part(conn.sock)
        return kept

    def load_wsgi(self) -> None:
        """Load the application, and say ``Connection: close`` with refusals whose bodies are still to come."""
        super().load_wsgi()
        application: WSGIApplication = self.wsgi  # type: ignore[has-type] # gunicorn gives it no type

        def closing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            # gunicorn hands a method of its response over.
            response = cast(Response, cast(MethodType, start_response).__self__)

            def start(status: str, *headers: Any) -> Any:
                if status[:1] in "45" and _is_unread(response.req):
                    response.force_close()
                if headers[1:] and headers[1] and not response.headers_sent:
                    # gunicorn would add to the head that failed, and its length is not that of the error.
                    response.headers.clear()
                    response.response_length = None
                    response.force_close()
                return start_response(status, *headers)

            environ[SENDER] = partial(send_file, response)
            return begun_or_told(application(environ, start), start, environ.get("wsgi.file_wrapper"))

        self.wsgi = closing

    def _part(self, sock: socket.socket) -> None:
        """Close a connection for writing, and read until the client has closed it, bounded in bytes and time."""
        deadline, taken, silent = time.monotonic() + REFUSED_SECONDS, 0, 0.0
        poll = select.poll()
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.setblocking(False)
            poll.register(sock, select.POLLIN)
            while self.alive and taken < REFUSED_BYTES and silent < REFUSED_SILENCE and time.monotonic() < deadline:
                if not poll.poll(500):
                    silent += 0.5
                    continue
                piece = sock.recv(256 << 10)
                if not piece:
                    return
                taken, silent = taken + len(piece), 0.0
            sock.shutdown(socket.SHUT_RD)  # what comes now is nobody's, and gunicorn need not wait for it either
        except OSError:
            pass  # the client was faster

    def handle_request(self, req: Request, conn: TConn) -> object:
        """Serve one request; a connection that the kernel gave up is closed."""
        try:
            return super().handle_request(req, conn)
        except OSError as problem:
            if problem.errno in STALLED:
                conn.stalled = True
                raise StopIteration from problem  # gunicorn's way to say: close it
            raise

    def murder_pending(self) -> None:
        """Close connections on which no request came in time; a worker that stops does not wait for one.

        Browsers open connections ahead of need, and gunicorn waits for those until its grace ends.
        """
        if not self.alive:
            for each in self.pending_conns:
                each.timeout = 0.0
            # Event channels would be waited for, too.
            services.of(self.app.wsgi()).channels.stop()
        super().murder_pending()


def begun_or_told(body: Iterable[bytes], start: StartResponse, sends_files: type | None = None) -> Iterable[bytes]:
    """Return a body that has begun, or what is told instead: gunicorn would tell an error there in HTML.

    Nothing is sent before the first piece, so the status can still be another (PEP 3333). What the system sends itself
    stays as it is.
    """
    if sends_files is not None and isinstance(body, sends_files):
        return body
    try:
        return begun(iter(body))
    except Exception as problem:  # noqa: BLE001 - errors of ours or of a library that came too late for the application
        LOG.exception("the body of an answer")
        told = too_many_open(problem) or DicomWebError(500, "an error of the server")
        if isinstance(problem, DicomWebError):
            told = problem
        elif isinstance(problem, PixelError):
            told = DicomWebError(406, str(problem))
        elif isinstance(problem, Busy):
            told = DicomWebError(503, str(problem), {"Retry-After": "5"})
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), *told.headers.items()]
        start(f"{told.status} {HTTPStatus(told.status).phrase}", headers, sys.exc_info())
        if hasattr(body, "close"):
            body.close()
        return [orjson.dumps(told.body)]


def _is_unread(request: Request) -> bool:
    """Return whether more of a request's body is to come than is read in passing."""
    reader = getattr(request.body, "reader", None)
    if isinstance(reader, LengthReader):
        return reader.length > SMALL_BODY
    return isinstance(reader, ChunkedReader) and reader.parser is not None


def _follows(conn: TConn, milliseconds: int) -> bool:
    """Wait a moment for the next request of a connection; what gunicorn has read ahead it finds itself."""
    if conn.is_http2 or conn.parser.unreader.buf.getvalue():
        return False
    poll = select.poll()
    poll.register(conn.sock, select.POLLIN)
    return bool(poll.poll(milliseconds))


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
