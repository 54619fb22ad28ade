"""What gunicorn sends of an answer whose body fails before its first byte (PEP 3333)."""

import errno
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPResponse
from types import SimpleNamespace

import pytest
from gunicorn.workers.gthread import ThreadWorker

from dicouch.dicom.errors import Busy, PixelError
from dicouch.dicom.media.multipart_writer import BodyPart, WrongLength, write_multipart
from dicouch.errors import DicomWebError
from dicouch.server.response import Response, send_file
from dicouch.server.worker import Worker, begun_or_told
from dicouch.store.folder import FileChunks


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


PLAIN = SimpleNamespace(is_ssl=False, sendfile=None)
LARGE_FILE = bytes(range(256)) * 1000


@pytest.mark.parametrize(
    ("length", "settings", "uncounted"),
    [
        (True, PLAIN, 2),
        (False, PLAIN, 0),  # in chunks (RFC 9112 7.1), which the system knows nothing of
        (True, SimpleNamespace(is_ssl=True, sendfile=None), 0),
        (True, SimpleNamespace(is_ssl=False, sendfile=False), 0),
    ],
)
def test_the_system_sends_files_between_what_is_written(monkeypatch, tmp_path, length, settings, uncounted):
    """Each byte comes once and in its place, whoever sends it (RFC 9110 8.6), and gunicorn knows how many went."""
    path = tmp_path / "a.dcm"
    path.write_bytes(LARGE_FILE)
    opened = []

    def parts():
        for start, end in ((0, 256_000), (100, 90_000), (5, 8)):
            opened.append(FileChunks(path, start, end))
            yield BodyPart({"X": str(start)}, opened[-1], end - start)

    expected = b"".join(write_multipart(parts(), "b"))
    headers = [("Content-Length", str(len(expected)))] if length else []
    sends = []
    sendfile = os.sendfile
    monkeypatch.setattr(os, "sendfile", lambda *told: sends.append(told) or sendfile(*told))
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as reader:
        request = SimpleNamespace(method="GET", version=(1, 1), should_close=lambda: False)
        response = Response(request, ours, settings)
        response.start_response("200 OK", headers)

        def receive():
            got = HTTPResponse(theirs)
            got.begin()
            return got.read()

        received = reader.submit(receive)
        for piece in write_multipart(parts(), "b", partial(send_file, response)):
            response.write(piece)
        response.close()
        assert received.result(20) == expected
    assert len({told[1:3] for told in sends if told[2] in (0, 100)}) == uncounted
    assert response.sent == len(expected)
    assert all(each._source.closed for each in opened)


def test_a_file_system_that_cannot_send_has_its_files_read(monkeypatch):
    """Some network file systems; but what broke off in the middle must not begin anew."""
    response = SimpleNamespace(
        chunked=False, headers_sent=True, can_sendfile=lambda: True, cfg=PLAIN, sent=0, sock=SimpleNamespace(fileno=int)
    )

    def send(answers, *_told):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(os, "sendfile", partial(send, [OSError(errno.EINVAL, "")]))
    assert send_file(response, 0, 0, 100_000) == 0
    monkeypatch.setattr(os, "sendfile", partial(send, [50_000, OSError(errno.EINVAL, "")]))
    with pytest.raises(OSError, match="22"):
        send_file(response, 0, 0, 100_000)
    monkeypatch.setattr(os, "sendfile", partial(send, [BrokenPipeError(errno.EPIPE, "")]))
    with pytest.raises(BrokenPipeError):
        send_file(response, 0, 0, 100_000)


def test_a_file_that_is_short_is_told_before_anything_is_sent(tmp_path):
    """What was announced cannot be taken back (RFC 9110 8.6): the answer breaks off, and without a byte of another."""
    path = tmp_path / "a.dcm"
    path.write_bytes(LARGE_FILE[:100_000])
    body = FileChunks(path, 0, 200_000)
    pieces = write_multipart([BodyPart({}, body, 200_000)], "b", lambda *told: pytest.fail("sent"))
    with pytest.raises(WrongLength):
        list(pieces)
    short = FileChunks(path, 0, 100_000)
    pieces = write_multipart([BodyPart({}, short, 100_000)], "b", lambda file, start, count: count - 1)
    with pytest.raises(WrongLength):  # it became shorter while it was sent
        list(pieces)
    assert short._source.closed


class Wire:
    """A connection that notes what is done with it."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def setsockopt(self, level, option, value) -> None:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_CORK)
        self.log.append("fill" if value else "leave")

    def sendall(self, data) -> None:
        self.log.append(bytes(data[:4]).decode())


@pytest.mark.skipif(not hasattr(socket, "TCP_CORK"), reason="Linux")
@pytest.mark.parametrize(
    ("method", "status", "headers", "log"),
    [
        ("GET", "200 OK", [("Content-Length", "6")], ["fill", "HTTP", "abc", "def", "leave"]),
        ("HEAD", "200 OK", [("Content-Length", "6")], ["fill", "HTTP", "leave"]),
        ("GET", "200 OK", [("Content-Length", "0")], ["HTTP"]),
        # A stream of events must not wait for more of them.
        ("GET", "200 OK", [], ["HTTP", "3\r\na", "3\r\nd", "0\r\n\r"]),
    ],
)
def test_packets_are_filled_until_the_end_of_an_answer_whose_length_is_known(method, status, headers, log):
    wire = Wire()
    request = SimpleNamespace(method=method, version=(1, 1), should_close=lambda: False)
    response = Response(request, wire, PLAIN)
    response.start_response(status, headers)
    if headers != [("Content-Length", "0")]:
        response.write(b"abc")
        response.write(b"def")
    response.close()
    assert wire.log == log
