"""A running server: gunicorn with the shim, in front of a database."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import requests

from dicouch.scripts import designdocs, push_views
from tests import prefork
from tests.prefork import ROOT

__all__ = ("ROOT", "Server", "free_port", "push", "serve")


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes
    ----------
    url : str
        The DICOMweb root.
    database : str
        URL of its database, with credentials.
    pid : int
        Of the gunicorn master.
    """

    url: str
    database: str
    pid: int

    def get(self, path: str, **options) -> requests.Response:
        """Send a GET below the DICOMweb root."""
        return requests.get(self.url + path, timeout=60, **options)

    def document(self, document_id: str) -> dict:
        """Return a document of the database."""
        response = requests.get(f"{self.database}/{document_id}", timeout=30)
        response.raise_for_status()
        return response.json()

    def store(self, *files: bytes, study: str = "", accept: str = "application/dicom+json") -> requests.Response:
        """Store Part 10 files in one request."""
        boundary = secrets.token_hex(12)
        body = b"".join(
            b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (boundary.encode(), data) for data in files
        )
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": accept,
        }
        path = f"/studies/{study}" if study else "/studies"
        return requests.post(
            self.url + path, data=body + b"--%b--\r\n" % boundary.encode(), headers=headers, timeout=120
        )


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@cache
def _designs() -> list[dict]:
    """Return the design documents, read once."""
    return designdocs.load_all()


def make_anew(url: str) -> None:
    """Make a database that was deleted just now: Apache CouchDB goes on knowing it for a moment, and answers 412."""
    until = time.monotonic() + 30
    while (answer := requests.put(url, timeout=30)).status_code == 412 and time.monotonic() < until:
        time.sleep(0.01)
    answer.raise_for_status()


def push(root: str, name: str) -> None:
    """Have a database with the design documents, made where there is none.

    `dicouch push-views` does that where others are there already. It reads and checks all files, which takes a second
    of a processor each time, and hundreds of new databases need the same documents.
    """
    url = f"{root}/{name}"
    requests.put(url, timeout=60)  # refused where it is there
    listed = {"startkey": '"_design/"', "endkey": '"_design0"', "include_docs": "true"}
    answer = requests.get(f"{url}/_all_docs", params=listed, timeout=60)
    there = {row["id"]: row["doc"].get("version") for row in answer.json()["rows"]} if answer.ok else {}
    wanted = {one["_id"]: one["version"] for one in _designs()}
    if wanted.items() <= there.items():
        return
    if not answer.ok or wanted.keys() & there.keys() or os.environ.get("EXTENDED_ATTRIBUTES"):
        push_views.push(root, name)
        return
    told = requests.post(f"{url}/_bulk_docs", json={"docs": _designs()}, timeout=60)
    told.raise_for_status()
    assert all("error" not in row for row in told.json()), told.text


@contextmanager
def serve(
    database: str, log: Path, ready: tuple[int, ...] = (200, 204), *, patiently: bool = False, **environment: str
) -> Iterator[Server]:
    """Run gunicorn with the shim in front of a database.

    `environment` adds settings, `ready` says how it answers. It ends at once, or `patiently`: with what it has to do.
    """
    root, _, name = database.rpartition("/")
    push(root, name)
    port = free_port()
    settings = {"COUCHDB_URL": root, "COUCHDB_DATABASE": name, "SHIM_BIND": f"127.0.0.1:{port}", **environment}
    process = prefork.start(settings, log)
    server = Server(f"http://127.0.0.1:{port}/dicom-web", database, process.pid)
    try:
        _wait(server, process, log, ready)
        yield server
    finally:
        process.stop(patiently)


def _wait(server: Server, process: prefork.Server, log: Path, ready: tuple[int, ...]) -> None:
    for _ in range(1200):  # a busy machine takes its time
        if not process.runs():
            break
        try:
            if server.get("/studies?limit=1").status_code in ready:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
