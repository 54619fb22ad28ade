"""gunicorn's settings: several worker processes of many threads, since requests mostly wait for the database.

gunicorn --config python:dicouch.server.gunicorn_conf
"""

import itertools
import os
import time
from pathlib import Path
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.http import message, wsgi
from gunicorn.http.parser import RequestParser

from dicouch import services
from dicouch.config import whole_number
from dicouch.server import counters, listening, sampling
from dicouch.server.request_body import Request
from dicouch.server.response import Response
from dicouch.server.worker import Worker, bound
from dicouch.write.reconcile import Following, Reconciler


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip()
    return whole_number(name, text) if text else default


wsgi_app = "dicouch.app:create_app()"
bind = os.environ.get("SHIM_BIND") or "127.0.0.1:5985"
worker_class = "dicouch.server.worker.Worker"
workers = _number("WEB_CONCURRENCY", min(8, max(2, os.cpu_count() or 1)))
# A slow client holds one. They are made when they are needed, and those that wait cost little.
threads = _number("SHIM_THREADS", 256)
# gunicorn's threads and its connections that wait for a next request, of one worker.
worker_connections = threads + 1000
# Seconds after which a connection ends on which nothing moves; see shim/server/worker.py for what a slow reader needs.
stalled = _number("SHIM_STALLED", 600)
# Loaded once, before the workers fork: they start at once and share the memory of pydicom's dictionaries.
preload_app = True
# Workers notify the master from a thread of their own: only a hung process is stopped, not a long transfer.
timeout = 60
graceful_timeout = 20
# Viewers fetch hundreds of frames in a row, and proxies keep connections open for a minute or so.
keepalive = 75
# UID lists make long queries. gunicorn's own bound of 8,190 characters is a constant; shim/app.py has one that answers.
limit_request_line = message.MAX_REQUEST_LINE = 256 << 10
RequestParser.mesg_class = Request
wsgi.Response = Response
# Heartbeats are files: in memory, they do not wait for a busy disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
loglevel = os.environ.get("SHIM_LOG") or "warning"
accesslog = "-" if loglevel in ("info", "debug") else None
errorlog = "-"
proc_name = "dicouch"
# No management socket in the home folder: signals are enough.
control_socket_disable = True


def post_worker_init(worker: Worker) -> None:
    """Follow the changes of the database from the beginning, so that what the first requests read is remembered."""
    app = worker.app.wsgi()
    ours = services.of(app)
    ours.memory.start()
    # Streams end when the worker stops; they and event channels leave half of its threads to other requests.
    ours.events.is_open = lambda: worker.alive
    ours.room.most = max(1, threads // 2)
    if worker.row == 0:  # one of the processes: what it does is for all
        Following(Reconciler(ours.couch.with_timeout(120.0), ours.store), ours.config.bytes_from).start()
    sampling.Sampler(worker, counters.of(app), ours).start()


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Give a worker the first row of the counters that no other has: a worker that ended leaves nothing else behind."""
    taken = {other.row for other in server.WORKERS.values()}
    worker.row = next(row for row in itertools.count() if row not in taken)


def post_fork(_server: Arbiter, worker: Worker) -> None:
    """Count in the worker's own row."""
    worker.counters = counters.of(worker.app.wsgi())
    worker.counters.take_row(worker.row)


def pre_request(worker: Worker, req: message.Request) -> None:
    """Take note of a request that begins."""
    req.began = time.perf_counter()
    worker.counters.begin()


def post_request(worker: Worker, req: message.Request, environ: dict[str, Any], resp: Any) -> None:
    """Take note of a request that is done."""
    sampling.count(worker.counters, req, environ, resp)


def when_ready(server: Arbiter) -> None:
    """Refuse to serve strangers, and bound what stalled clients cost, before the workers accept the first."""
    try:
        listening.check((one.sock.getsockname() for one in server.LISTENERS), services.of(server.app.wsgi()).config)
    except ValueError as problem:
        raise RuntimeError(str(problem)) from problem  # gunicorn's way to end with a message
    counters.of(server.app.wsgi()).make_room(server.num_workers)
    for listener in server.LISTENERS:
        bound(listener.sock, stalled)
