"""Answers of the database that break off or are not what they say: an error a client can read, never a traceback."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from dicouch.couch import patience
from dicouch.couch.client import Couch
from dicouch.couch.response import Answer, CouchError, told
from dicouch.errors import DicomWebError
from dicouch.read.holdings import holdings
from dicouch.read.retrieve import Retriever
from dicouch.read.search.ranges import choose
from dicouch.read.search.reading import Reading
from dicouch.rewrite.plan import Range
from dicouch.rewrite.query import Query


class Broken(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        content = b'{"rows":['
        self.send_response(200)
        if self.path.endswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            content = b"9\r\n" + content + b"\r\n"
        else:
            self.send_header("Content-Length", "9" if self.path.endswith("/whole") else "100")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def couch():
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Couch(f"http://127.0.0.1:{server.server_port}", "dicom")
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("short", "breaks off"), ("chunked", "breaks off"), ("whole", "the database's answer is no JSON")],
)
def test_answers_that_are_not_whole(couch, path, reason):
    with pytest.raises(DicomWebError, match=reason) as raised:
        couch.json("GET", path)
    assert raised.value.status == 502


def test_an_index_that_is_being_built():
    """CouchDB answers 500 after five minutes and goes on building: who asks again is served (RFC 9110 15.6.4)."""
    given_up = CouchError(500, "timeout", "The request could not be processed in a reasonable amount of time.")
    answer = told(given_up)
    assert (answer.status, answer.headers) == (503, {"Retry-After": "30"})
    assert told(CouchError(500, "os_process_error", "")).status == 502


class Asked:
    """A database of which one answer of several that are under way fails, and what became of each."""

    def __init__(self, failing: int, refuses: bool) -> None:
        self.failing, self.refuses, self.became = failing, refuses, []

    def start_json(self, *_request, **_options):
        number = len(self.became)
        if self.refuses and number == self.failing:
            raise CouchError(500, "error", "no room")
        self.became.append("open")
        return SimpleNamespace(json=lambda: self.answer(number), close=lambda: self.end(number, "closed"))

    def end(self, number: int, how: str) -> None:
        assert self.became[number] == "open"  # else its connection is another's by now
        self.became[number] = how

    def answer(self, number: int) -> dict:
        self.end(number, "answered")
        if number == self.failing:
            raise CouchError(500, "error", "no room")
        return {"rows": [], "results": []}


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize(
    ("ask", "count"),
    [
        (lambda couch: holdings(couch, None), 4),
        (lambda couch: Retriever(couch, None).instances("1", None, None), 2),
        (lambda couch: choose(Reading(couch, ""), Query(), [[[Range("a")], [Range("b")]], [[Range("c")]]]), 3),
    ],
)
def test_where_one_answer_fails_the_others_are_given_up(ask, count, refuses):
    for failing in range(count):
        couch = Asked(failing, refuses)
        with pytest.raises(CouchError):
            ask(couch)
        if refuses:
            assert couch.became == ["closed"] * failing
        else:
            assert couch.became == ["answered"] * (failing + 1) + ["closed"] * (count - failing - 1)


@contextmanager
def half_an_answer() -> Iterator[tuple[Answer, socket.socket, socket.socket]]:
    """Give an answer of which two of four bytes have come, its socket, and that of who sends it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        response = http.client.HTTPResponse(ours)
        response.begin()
        yield Answer(response, lambda _clean: None, sock=ours, timeout=20.0), ours, theirs


@pytest.mark.parametrize("read", [lambda answer: b"".join(answer.chunks()), lambda answer: b"".join(answer.lines())])
def test_what_is_sent_on_is_bounded_anew(read):
    """A request may have waited before it, so that its connection had little left."""
    with half_an_answer() as (answer, ours, theirs):
        ours.settimeout(0.05)
        threading.Timer(0.3, theirs.sendall, [b"cd"]).start()
        assert read(answer) == b"abcd"


def test_a_piece_that_never_comes_uses_up_the_patience():
    with half_an_answer() as (answer, _ours, _theirs):
        patience.begin(0.1)
        with pytest.raises(DicomWebError) as raised:
            list(answer.chunks())
        assert raised.value.status == 503
        with pytest.raises(TimeoutError), patience.waiting(20.0):
            pass
        patience.begin(None)
