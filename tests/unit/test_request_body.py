"""Bodies of requests: content codings (RFC 9110 8.4) and expectations (10.1.1)."""

import gzip
import io
import tracemalloc

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ExpectationFailed
from gunicorn.http.parser import RequestParser

from dicouch.errors import DicomWebError
from dicouch.server.request_body import Request, RequestBody, decoded

DATA = bytes(range(256)) * 4000
GZIP = gzip.compress(DATA, mtime=0)


def read(stream: bytes, coding: str, limit: int = 1 << 30) -> bytes:
    body = decoded(RequestBody(io.BytesIO(stream), limit), coding, limit)
    return b"".join(iter(lambda: body.read(1 << 16), b""))


def until_error(body: RequestBody) -> tuple[bytes, DicomWebError]:
    """Return what can be read of a body, and what it comes to."""
    found = []
    try:
        while piece := body.read(1 << 16):
            found.append(piece)
    except DicomWebError as problem:
        return b"".join(found), problem
    raise AssertionError("the body came to its end")


@pytest.mark.parametrize(
    ("coding", "stream"),
    [
        ("gzip", GZIP),
        ("GZIP", GZIP),
        ("x-gzip", GZIP),
        (" gzip , identity", GZIP),
        ("gzip", gzip.compress(DATA[:1000], mtime=0) + gzip.compress(DATA[1000:], mtime=0)),
        ("", DATA),
        ("identity", DATA),
    ],
)
def test_codings(coding, stream):
    assert read(stream, coding) == DATA


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip", "aes128gcm", "toto"])
def test_an_unknown_coding_is_415_and_says_which_are_known(coding):
    with pytest.raises(DicomWebError) as problem:
        read(GZIP, coding)
    assert problem.value.status == 415
    assert problem.value.headers["Accept-Encoding"] == "gzip, identity"


@pytest.mark.parametrize("stream", [GZIP[:-9], GZIP[:5], GZIP[:-8] + bytes(8), GZIP + b"rubbish", DATA])
def test_what_is_no_gzip(stream):
    with pytest.raises(DicomWebError, match="gzip") as problem:
        read(stream, "gzip")
    assert problem.value.status == 400


def test_what_comes_before_an_early_end_is_read():
    body = decoded(RequestBody(io.BytesIO(GZIP[:-100])), "gzip", 1 << 30)
    found, problem = until_error(body)
    assert problem.status == 400
    assert len(found) > len(DATA) // 2
    assert DATA.startswith(found)


def test_a_bomb_ends_at_the_limit_and_takes_little_memory():
    bomb = gzip.compress(gzip.compress(bytes(200 << 20), 9), 9)
    inner = gzip.decompress(bomb)
    tracemalloc.start()
    body = decoded(RequestBody(io.BytesIO(inner), 1 << 20), "gzip", 1 << 20)
    found, problem = until_error(body)
    assert problem.status == 413
    assert len(found) == 1 << 20
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def parsed(headers: bytes) -> Request:
    parser = RequestParser(Config(), iter([b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n"]), ("127.0.0.1", 1))
    parser.mesg_class = Request
    return next(parser)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"", False), (b" ", False), (b",", False), (b"100-continue", True), (b"100-Continue", True)]
    + [(b"100-continue, ", True), (b", 100-continue,100-continue", True)],
)
def test_expectations(value, expected):
    request = parsed(b"Expect: " + value + b"\r\n")
    assert request._expected_100_continue is expected
    assert dict(request.headers).get("HOST") == "x"


@pytest.mark.parametrize("value", [b"toto", b"100-continue, toto", b"200-ok"])
def test_an_expectation_that_nobody_knows(value):
    with pytest.raises(ExpectationFailed):
        parsed(b"Expect: " + value + b"\r\n")
