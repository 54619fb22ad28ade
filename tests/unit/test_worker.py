"""What gunicorn sends of an answer whose body fails before its first byte (PEP 3333)."""

import errno
import json
import socket
from http.client import HTTPResponse
from types import SimpleNamespace

import pytest
from gunicorn.http.wsgi import Response
from gunicorn.workers.gthread import ThreadWorker

from dicouch.dicom.errors import Busy, PixelError
from dicouch.errors import DicomWebError
from dicouch.server.worker import Worker, begun_or_told


class Body:
    """Pieces, and an error in place of one of them."""

    def __init__(self, *pieces) -> None:
        self.pieces = list(pieces)
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        if not self.pieces:
            raise StopIteration
        if isinstance(piece := self.pieces.pop(0), Exception):
            raise piece
        return piece

    def close(self) -> None:
        self.closed += 1


def sent(body):
    said = []
    pieces = begun_or_told(body, lambda *told: said.append(told))
    return said, pieces


@pytest.mark.parametrize(
    ("problem", "status", "reason"),
    [
        (ValueError("secret"), "500 Internal Server Error", "an error of the server"),
        (MemoryError(), "500 Internal Server Error", "an error of the server"),
        (PixelError("frame 3 cannot be decoded"), "406 Not Acceptable", "frame 3 cannot be decoded"),
        (Busy("no time"), "503 Service Unavailable", "no time"),
        (OSError(errno.EMFILE, "secret"), "503 Service Unavailable", "the server has too many files open"),
        (DicomWebError(503, "it hangs", {"Retry-After": "5"}), "503 Service Unavailable", "it hangs"),
    ],
)
def test_what_fails_before_the_first_byte_is_told(problem, status, reason):
    body = Body(problem, b"never")
    ((said, headers, raised),), pieces = sent(body)
    assert (said, raised[1], body.closed) == (status, problem, 1)
    assert dict(headers)["Content-Type"] == "application/json"
    assert ("Retry-After" in dict(headers)) is (status[:3] == "503")
    assert json.loads(b"".join(pieces))["reason"] == reason


def test_what_fails_later_breaks_off():
    body = Body(b"a", ValueError("late"))
    said, pieces = sent(body)
    assert (said, next(pieces)) == ([], b"a")
    with pytest.raises(ValueError, match="late"):
        next(pieces)
    pieces.close()
    assert body.closed == 1


def test_what_is_well_goes_as_it_is():
    body = Body(b"a", b"", b"b")
    said, pieces = sent(body)
    assert (said, list(pieces)) == ([], [b"a", b"", b"b"])
    assert list(sent(Body())[1]) == []
    assert list(sent([b"x"])[1]) == [b"x"]
    assert begun_or_told(body, lambda *_: None, Body) is body


@pytest.mark.parametrize(("method", "version"), [("GET", (1, 1)), ("GET", (1, 0)), ("HEAD", (1, 1))])
def test_nothing_of_the_answer_that_failed_is_sent(monkeypatch, method, version):
    """The headers given with an error replace those before (PEP 3333): their length would have the client wait."""

    def application(_environ, start_response):
        start_response("200 OK", [("Content-Type", "image/png"), ("Content-Length", "1000"), ("ETag", '"a"')])
        return Body(DicomWebError(503, "it hangs", {"Retry-After": "5"}))

    monkeypatch.setattr(ThreadWorker, "load_wsgi", lambda self: setattr(self, "wsgi", application))
    worker = object.__new__(Worker)
    worker.load_wsgi()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        request = SimpleNamespace(method=method, version=version, should_close=lambda: False, body=None)
        response = Response(request, ours, SimpleNamespace())
        for piece in worker.wsgi({}, response.start_response):
            response.write(piece)
        response.close()
        assert response.should_close()
        ours.shutdown(socket.SHUT_WR)
        got = HTTPResponse(theirs, method=method)
        got.begin()
        body = got.read()
    assert (got.status, got.headers["ETag"], got.headers["Retry-After"]) == (503, None, "5")
    assert got.headers.get_all("Content-Type") == ["application/json"]
    assert got.headers["Content-Length"] in (None, str(len(body)))
    assert got.headers["Connection"] == "close"
    assert body == (b"" if method == "HEAD" else b'{"error":"service_unavailable","reason":"it hangs"}')
