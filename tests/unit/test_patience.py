"""A database that hangs: a request waits once, is told 503 and when to ask again (RFC 9110 15.6.4)."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from pydicom import Dataset

from dicouch.app import create_app
from dicouch.config import Config
from dicouch.couch import patience
from dicouch.couch.client import Couch
from dicouch.couch.patience import Patience
from dicouch.couch.response import CouchError
from dicouch.dimse import retrieve, server
from dicouch.dimse.peers import Settings
from dicouch.errors import DicomWebError
from dicouch.services import Services
from dicouch.write.outcome import OUT_OF_RESOURCES
from tests.unit.made_part10 import made
from tests.unit.test_origins import ROUTES

SECONDS = 0.3
# What a request may take in all, on a busy machine: forty waits would be more than twice that.
LONGEST = 5.0
STALLS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"


@contextmanager
def hanging(answer: bytes = b"") -> Iterator[str]:
    """Run a server that accepts each connection, reads, sends the beginning of an answer, and no more."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    held = []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError):
            while connection.recv(1 << 16):
                connection.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                held.append(listener.accept()[0])
                threading.Thread(target=serve, args=(held[-1],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        for each in held:
            each.close()


@pytest.mark.parametrize("answer", [b"", STALLS], ids=["silent", "stalls"])
def test_every_route_waits_once(answer):
    with hanging(answer) as url:
        application = create_app(Config(couchdb_url=url, remember=0.0, database_timeout=SECONDS))

        def ask(route):
            method, path = route
            begun = time.monotonic()
            found = application.test_client().open(path, method=method)
            return route, found.status_code, found.headers.get("Retry-After"), time.monotonic() - begun

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(ask, ROUTES))
    told = [each for each in found if each[1] == 503]
    assert len(told) > 60
    assert not [each for each in found if each[1] >= 500 and each[1] != 503]
    assert {each[2] for each in told} <= {"5", "10"}
    assert not [each for each in found if each[3] > LONGEST]


@pytest.mark.parametrize("answer", [b"", STALLS], ids=["silent", "stalls"])
def test_forty_small_instances_wait_once(answer):
    """They are written together, and one by one where that fails."""
    parts = [b"--x\r\nContent-Type: application/dicom\r\n\r\n" + made(instance=f"1.2.{n}") for n in range(40)]
    with hanging(answer) as url:
        ask = create_app(Config(couchdb_url=url, remember=0.0, database_timeout=SECONDS)).test_client()
        begun = time.monotonic()
        kind = 'multipart/related; type="application/dicom"; boundary=x'
        found = ask.post("/dicom-web/studies", data=io.BytesIO(b"\r\n".join([*parts, b"--x--\r\n"])), content_type=kind)
        assert time.monotonic() - begun < LONGEST
    assert (found.status_code, found.headers["Retry-After"]) == (503, "10")
    assert len(found.json["00081198"]["Value"]) == 40


@pytest.mark.parametrize("answer", [b"", STALLS], ids=["silent", "stalls"])
def test_dimse_waits_once(answer, tmp_path):
    """Out of resources: what is refused may be sent again (PS3.4 Tables B.2-1, C.4-1 to C.4-3)."""
    (tmp_path / "received").write_bytes(made())
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", "1.2.3"
    request = SimpleNamespace(_dataset_path=str(tmp_path / "received"), _dataset_file=io.BytesIO())
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4.5"
    requestor = SimpleNamespace(sop_class_extended={}, ae_title="A")
    event = SimpleNamespace(request=request, identifier=identifier, assoc=SimpleNamespace(requestor=requestor))
    event.context = SimpleNamespace(transfer_syntax="1.2.840.10008.1.2.1")
    sent = []
    with hanging(answer) as url, pytest.MonkeyPatch.context() as patched:
        patched.setattr(server, "caller", lambda _association: "A")
        patched.setattr(retrieve.Answers, "send", lambda _self, code, _comment="": sent.append(code))
        listener = object.__new__(server.Listener)
        listener.services = Services.from_config(Config(couchdb_url=url, remember=0.0, database_timeout=SECONDS))
        listener._may = lambda _event, _right: True
        listener.forwarder, listener.settings, listener.ae = SimpleNamespace(arrived=None), Settings(), None
        for handler in (listener._on_store, listener._on_find, listener._on_retrieve):
            begun = time.monotonic()
            told = listener._patient(handler)(event)
            if told is not None:
                sent.append((told if isinstance(told, Dataset) else next(told)[0]).Status)
            assert time.monotonic() - begun < LONGEST
    patience.begin(None)
    assert sent == [OUT_OF_RESOURCES] * 3


def test_a_thread_of_the_servers_own_has_its_own_bound():
    with hanging() as url:
        for _each in range(2):
            begun = time.monotonic()
            with pytest.raises(DicomWebError) as told:
                Couch(url, "dicom", SECONDS).json("GET", "")
            assert told.value.status == 503
            assert SECONDS <= time.monotonic() - begun < LONGEST


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def wait(one: Patience, clock: Clock, seconds: float, problem: type[Exception] | None = None) -> float:
    with suppress(ConnectionError), one.waiting(100) as left:
        clock.now += seconds
        if problem is not None:
            raise problem
    return left


def test_waits_in_vain_add_up_until_an_answer_comes():
    clock = Clock()
    one = Patience(10, clock)
    assert [wait(one, clock, seconds, ConnectionResetError) for seconds in (4, 3)] == [10, 6]
    clock.now += 1000  # what the client takes is not waited for
    with one.waiting(2) as most:
        assert most == 2
    assert wait(one, clock, 9) == 3  # it was sent, which is no answer yet
    one.renew()
    assert wait(one, clock, 9, ConnectionResetError) == 10
    one.spend(2)
    one.renew()  # what another thread was answered comes too late
    with pytest.raises(TimeoutError, match="10 seconds in all"):
        wait(one, clock, 0)


class Refusing(BaseHTTPRequestHandler):
    """Answers each request with `status`, after a while."""

    protocol_version, status, pause = "HTTP/1.1", 409, 0.2

    def do_PUT(self) -> None:
        time.sleep(self.pause)
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_told: object) -> None:
        pass


@pytest.mark.parametrize("status", [409, 504])
def test_threads_whose_waits_are_answered_go_on(status):
    """Whatever the answer is, but that a proxy has waited in vain."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Refusing,), {"status": status}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    couch, seen = Couch(f"http://127.0.0.1:{server.server_port}", "dicom", 2.0), []

    def run() -> None:
        for _each in range(12):
            try:
                couch.json("PUT", "1")
            except (CouchError, DicomWebError) as problem:
                seen.append(problem.status)

    patience.begin(2.0)
    jobs = [threading.Thread(target=copy_context().run, args=(run,)) for _each in range(4)]
    patience.begin(None)
    begun = time.monotonic()
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    took = time.monotonic() - begun
    server.shutdown()
    server.server_close()
    assert len(seen) == 48
    assert seen.count(status) == 48 if status == 409 else seen.count(status) < 20
    assert status == 504 or took > 2.2


def test_no_context_has_the_patience_of_another():
    patience.begin(5)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(patience._PATIENCE.get()))
    thread.start()
    thread.join()
    patience.begin(None)
    assert seen == [None]


@contextmanager
def taking(pause: float) -> Iterator[str]:
    """Run a server that takes a body slowly, the system little of it beforehand, and answers it."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def serve() -> None:
        connection = listener.accept()[0]
        with suppress(OSError), connection, connection.makefile("rb") as source:
            size = 0
            while (line := source.readline()).strip():
                size = int(line[15:]) if line.lower().startswith(b"content-length:") else size
            while size:
                size -= len(source.read(min(size, 256 << 10)))
                time.sleep(pause)
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_body_may_take_longer_than_the_bound_while_it_goes_on():
    """Time in which the pieces are made does not count either."""

    bound = 1.0

    def made() -> Iterator[bytes]:
        for _each in range(4):
            time.sleep(bound / 2)
            yield b"x" * 1000

    for body, pause in ((bytes(16 << 20), bound / 32), (made, 0)):
        headers = {} if isinstance(body, bytes) else {"Content-Length": "4000"}
        with taking(pause) as url:
            patience.begin(bound)
            begun = time.monotonic()
            assert Couch(url, "dicom", bound).request("PUT", "1", body=body, headers=headers).read() == b"{}"
            patience.begin(None)
        assert time.monotonic() - begun > 1.5 * bound
