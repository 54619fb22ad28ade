"""What is measured: a CouchDB of the benchmark's own, and DICOMweb servers in front of its databases."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from dicouch.rewrite import requests
from dicouch.scripts import databases, processes, run
from dicouch.scripts.bench.client import Refused, Request, fetch
from dicouch.scripts.databases import Database
from dicouch.scripts.push_views import push

PREFIX = "/dicom-web"
SETTLE_LIMIT = 600.0
"""Seconds that indexes have to catch up."""


@dataclass(frozen=True)
class Server:
    """A running DICOMweb server.

    Attributes
    ----------
    name : str
        As the table of results calls it.
    root : str
        URL of the DICOMweb root.
    pid : int
        Its first process.
    couch : str
        URL of its database with user and password; empty for other servers.
    """

    name: str
    root: str
    pid: int
    couch: str = ""


@contextlib.contextmanager
def database(folder: Path, kind: str, js_engine: str = "quickjs") -> Iterator[Database]:
    """Run a database server on loopback.

    Parameters
    ----------
    folder : Path
        Where it keeps its data.
    kind : {"couchdb", "embedded"}
    js_engine : str
        ``quickjs`` or ``spidermonkey``; the embedded database has no choice.
    """
    if kind == "embedded":
        with databases.embedded(folder) as running:
            yield running
    else:
        with databases.private_couchdb(folder, js_engine=js_engine) as running:
            yield running


def create(server: Database, name: str) -> str:
    """Create an empty database and return its URL, with user and password."""
    fetch(server.url, Request("PUT", f"/{name}"))
    return f"{server.url}/{name}"


@contextlib.contextmanager
def shim(
    server: Database, name: str, place: str = "attachment", *, pushed: bool = True, **settings: str
) -> Iterator[Server]:
    """Serve DICOMweb from the database `name`.

    Parameters
    ----------
    place : str
        ``BYTES`` of shim/config.py.
    pushed : bool
        Push the design documents before.
    **settings : str
        Further variables of its environment.
    """
    if pushed:
        push(server.url, name)
    port = free_port()
    settings = {"PREFIX": PREFIX, "SHIM_LOG": "error", **settings, "BYTES": place}
    process = run.prepare()
    try:
        run.serve(process, f"127.0.0.1:{port}", server.url, name, **settings)
        root = f"http://127.0.0.1:{port}{PREFIX}"
        run.wait_until_ready(process, root)
        yield Server(f"dicouch, {place.partition(':')[0]}", root, process.pid, f"{server.url}/{name}")
    finally:
        processes.stop(process, run.STOP_LIMIT)


@contextlib.contextmanager
def both_places(server: Database, folder: Path) -> Iterator[tuple[Server, Server]]:
    """Serve DICOMweb from two databases: one with attachments, one with the bytes in `folder`."""
    for name in ("attachment", "folder"):
        create(server, name)
    with shim(server, "attachment") as attached, shim(server, "folder", f"folder:{folder}") as in_folder:
        yield attached, in_folder


def pids(server: Server, couch: int | None) -> tuple[int, ...]:
    """Return the processes that work for a server: its own and its database's."""
    return (server.pid, couch) if server.couch and couch else (server.pid,)


def settled(couch: str, database: str = "") -> Callable[[], None]:
    """Return what waits until CouchDB's indexes are up to date: the time counts for the server that caused it.

    The index of `database`, a URL, is asked for: a server puts that off to a pause, in which another is measured.
    """

    def settle() -> None:
        if database:
            request = requests.indexed()
            fetch(database, Request(request.method, f"/{request.path}?{urlencode(request.params)}"))
        deadline = time.monotonic() + SETTLE_LIMIT
        # The embedded database does not tell, and indexes when it is asked.
        with contextlib.suppress(Refused, ValueError):
            while time.monotonic() < deadline:
                tasks = json.loads(fetch(couch, Request("GET", "/_active_tasks"))[1])
                if not any(task.get("type") == "indexer" for task in tasks):
                    return
                time.sleep(0.05)

    return settle


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
