"""Forwarding and sub-operations without a network: what one bad instance costs others, and when a target rests."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_STORE

from dicouch.couch.response import CouchError
from dicouch.dimse import forward, retrieve, send
from dicouch.dimse.forward import Forwarder
from dicouch.dimse.peers import Peer, Rule, Settings
from dicouch.dimse.queue import FAILED, WAITING, moment
from dicouch.errors import DicomWebError
from tests.unit.test_dimse import Association, Couch, request_of

NAMES = ["bad", "good", "last"]
PROBLEMS = [
    CouchError(500, "internal", "broken attachment"),
    OSError(5, "Input/output error"),
    OSError(28, "No space left on device"),
    DicomWebError(502, "no bytes"),
    ValueError("a codec's"),
    TimeoutError(),
]


def queued(number, target):
    instance = f"1:1:{NAMES[number]}"
    told = {"instance": instance, "sopClass": CTImageStorage, "to": target, "due": moment(-1)}
    return {**request_of(number), **told, "_id": f"forward-{number}", "type": "forward"}


@pytest.fixture
def forwarder(monkeypatch):
    """Give a maker of one with three instances that are due for a target; the first has a problem where one says."""

    def make(target, problem, place):
        class Reader:
            def __init__(self, _couch, _store):
                pass

            def instances(self, *uids):
                if place == "document" and uids[2] == "bad":
                    raise problem
                return [SimpleNamespace(id=":".join(uids), file={"transferSyntax": str(ExplicitVRLittleEndian)})]

            def content(self, stored):
                def pieces():
                    yield b"bad" if "bad" in stored.id else b"1"
                    if place == "bytes" and "bad" in stored.id:
                        raise problem
                    yield b"2"

                return 2, pieces

        monkeypatch.setattr(forward, "Retriever", Reader)
        couch = Couch(*(queued(number, target) for number in range(3)))
        peers = {"ARCHIVE": Peer("ARCHIVE", "127.0.0.1", 105)}
        settings = Settings(rules=(Rule(target, attempts=2),), peers=peers)
        return Forwarder(SimpleNamespace(couch=couch, store=None), settings, SimpleNamespace())

    return make


def left(made):
    return {document["instance"][4:]: document for document in made.queue.documents()}


@contextmanager
def unpaused(_association):
    yield


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
@pytest.mark.parametrize("place", ["document", "bytes"])
def test_one_bad_instance_does_not_stop_others(forwarder, monkeypatch, problem, place):
    sent = []

    def sends(_association, reader, sub, _number):
        sent.append(b"".join(reader.content(sub.stored)[1]()))
        return 0

    monkeypatch.setattr(forward, "associate", lambda *_told: Association())
    monkeypatch.setattr(forward, "paused", unpaused)
    monkeypatch.setattr(forward, "send", sends)
    made = forwarder("ARCHIVE", problem, place)
    made.look()
    assert sent == [b"12", b"12"]
    bad = left(made).pop("bad")
    assert set(left(made)) == {"bad"}
    assert (bad["state"], bad["attempts"]) == (WAITING, 1)
    assert bad["reason"] == (str(problem) or "TimeoutError")
    assert made._resting == {}


@pytest.mark.parametrize("problem", [OSError(5, "Input/output error"), TimeoutError()], ids=repr)
def test_reading_is_no_trouble_of_the_target(forwarder, web, problem):
    """Also where urllib3 would take the error of the body for one of the connection."""
    made = forwarder(web.url, problem, "bytes")
    made.look()
    assert set(left(made)) == {"bad"}
    assert left(made)["bad"]["attempts"] == 1
    assert made._resting == {}
    assert web.count == 2


@pytest.fixture
def web():
    """Give a store that takes all; `count` is how many whole requests came."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            if self.server.way and b"bad" in body:
                self.close_connection = True
                if self.server.way == "503":
                    self.send_response(503)
                    self.end_headers()
                return
            self.server.count += 1
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle(self):
            with suppress(ValueError, OSError):  # of a request that breaks off
                super().handle()

        def log_message(self, *_told):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads, listening.count, listening.way = True, 0, ""
        listening.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=[0.01])
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("way", ["dimse", "closes", "503"])
def test_a_target_that_ends_the_connection_for_one_takes_the_others(forwarder, monkeypatch, web, way):
    """Only the one is counted, and it goes last from then on."""
    sent, association = [], Association()

    def sends(_association, _reader, sub, _number):
        if sub.instance == "bad":
            association.is_established = False
            raise send.NotSent("the peer did not answer")
        sent.append(sub.instance)
        return 0

    def opens(*_told):
        association.is_established = True
        return association

    monkeypatch.setattr(forward, "associate", opens)
    monkeypatch.setattr(forward, "paused", unpaused)
    monkeypatch.setattr(forward, "send", sends)
    target = "ARCHIVE" if way == "dimse" else web.url
    made = forwarder(target, None, "")
    web.way = way
    made.look()
    assert {name: one["attempts"] for name, one in left(made).items()} == {"bad": 1, "good": 0, "last": 0}
    assert list(made._resting) == [target]
    made._resting.clear()
    for document in made._services.couch.documents.values():
        document["due"] = moment(-1)
    made.look()
    assert {name: one["attempts"] for name, one in left(made).items()} == {"bad": 2}
    assert sent == (["good", "last"] if way == "dimse" else [])


@pytest.mark.parametrize("target", ["ARCHIVE", "http://127.0.0.1:1/rs"])
@pytest.mark.parametrize("attempts", [0, 1])
def test_a_target_that_cannot_be_reached_rests(forwarder, monkeypatch, target, attempts):
    closed = Association()
    closed.is_established = False
    monkeypatch.setattr(forward, "associate", lambda *_told: closed)
    made = forwarder(target, None, "")
    for document in made._services.couch.documents.values():
        document["attempts"] = attempts
    made.look()
    assert {one["state"] for one in left(made).values()} == {FAILED if attempts else WAITING}
    assert list(made._resting) == [target]
    # An error of ours with the whole way to it is counted, too.
    made = forwarder(target, None, "")
    monkeypatch.setattr(made, "_by_dimse", lambda *_told: 1 / 0)
    monkeypatch.setattr(made, "_by_web", lambda *_told: 1 / 0)
    made.look()
    assert {one["attempts"] for one in left(made).values()} == {1}


@pytest.mark.parametrize("problem", PROBLEMS, ids=repr)
def test_one_bad_sub_operation_is_counted(monkeypatch, problem):
    """PS3.4 C.4.3.1.3: the others are sent, and the list names what failed."""

    def sends(_association, _reader, sub, *_told):
        if sub.instance == "bad":
            raise problem
        return 0

    monkeypatch.setattr(retrieve, "send", sends)
    association = Association()
    event = SimpleNamespace(assoc=association, is_cancelled=False)
    answers = retrieve.Answers(event, remaining=3)
    told = []
    monkeypatch.setattr(retrieve.Answers, "send", lambda self, code, comment="": told.append(code))
    subs = [send.Sub(SimpleNamespace(id=f"1:1:{name}"), CTImageStorage) for name in NAMES]
    retrieve._send_all(association, None, subs, answers, None)
    assert (answers.completed, answers.failed) == (2, ["bad"])
    assert told == [0xFF00, 0xFF00, 0xB000]


def test_a_file_that_cannot_be_spooled_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(send, "SMALL", 4)
    monkeypatch.setattr(send, "read_meta", lambda *_told: SimpleNamespace(start=0))

    def pieces():
        yield b"12345"
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input"):
        send._spooled(pieces())
    assert list(tmp_path.iterdir()) == []


def test_half_a_message_is_the_last_of_its_association(monkeypatch):
    association, aborted = Association(), []
    association.accepted_contexts[0].abstract_syntax = CTImageStorage
    association.accepted_contexts[0].as_scu = True
    association.abort = lambda: aborted.append(True)

    def sends(*_told):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(send, "_send", sends)
    monkeypatch.setattr(send, "_file", lambda _reader, _sub, syntaxes: (next(iter(syntaxes)), send._File()))
    sub = send.Sub(SimpleNamespace(id="1:1:1.2"), CTImageStorage)
    with pytest.raises(OSError, match="Input"):
        send.send(association, None, sub, 1)
    assert aborted


def test_a_late_answer_is_of_another_instance():
    """Message ID Being Responded To (PS3.7 9.1.1.1.2) says which request an answer is to."""
    late, own = C_STORE(), C_STORE()
    late.MessageIDBeingRespondedTo, own.MessageIDBeingRespondedTo = 1, 2
    waiting = [(1, late), (1, own), (None, None)]
    association = SimpleNamespace(dimse=SimpleNamespace(get_msg=lambda block: waiting.pop(0)))
    assert send._answer(association, 2) is own
    assert send._answer(association, 3) is None
