"""Content codings as clients ask for them (RFC 9110 12.5.3)."""

import gzip

import pytest
import zstandard
from flask import Flask, Response

from dicouch.routes import codings

TEXT = b'{"00080005": {"vr": "CS"}}' * 200
CHROME = "gzip, deflate, br, zstd"


@pytest.fixture(scope="module")
def client():
    app = Flask(__name__)
    app.after_request(codings.encode)
    app.add_url_rule("/json", "json", lambda: Response(TEXT, content_type="application/dicom+json"))
    app.add_url_rule("/small", "small", lambda: Response(b"[]", content_type="application/json"))
    app.add_url_rule("/pixels", "pixels", lambda: Response(TEXT, content_type="application/octet-stream"))
    return app.test_client()


def plain(body: bytes, coding: str | None) -> bytes:
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return gzip.decompress(body) if coding == "gzip" else body


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        (CHROME, "zstd"),
        ("zstd", "zstd"),
        ("*", "zstd"),
        ("gzip;q=1, zstd;q=0.5", "gzip"),
        ("gzip;q=0.5, *;q=0.1", "gzip"),
        ("zstd;q=0, *", "gzip"),
        ("gzip;q=0", None),
        ("*;q=0", None),
        ("identity", None),
        ("identity;q=0.5, gzip;q=0.4", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("br, deflate", None),
    ],
)
def test_the_coding_of_an_answer(client, accepted, expected):
    response = client.get("/json", headers={} if accepted is None else {"Accept-Encoding": accepted})
    assert response.headers.get("Content-Encoding") == expected
    assert plain(response.data, expected) == TEXT
    assert response.content_length == len(response.data)
    assert response.headers["Vary"] == "Accept-Encoding"


def test_what_does_not_become_smaller(client):
    response = client.get("/small", headers={"Accept-Encoding": CHROME})
    assert (response.data, response.headers.get("Content-Encoding")) == (b"[]", None)
    assert response.headers["Vary"] == "Accept-Encoding"


def test_bytes_that_are_no_text_go_as_they_are(client):
    response = client.get("/pixels", headers={"Accept-Encoding": CHROME})
    assert (response.data, response.headers.get("Content-Encoding")) == (TEXT, None)


@pytest.mark.parametrize("name", ["zstd", "gzip"])
def test_each_piece_can_be_read_when_it_arrives(name):
    made = codings.compressed(iter((b"one" * 100, b"two" * 100)), name)
    reader = zstandard.ZstdDecompressor().decompressobj() if name == "zstd" else None
    first = next(made)
    if reader:
        assert reader.decompress(first) == b"one" * 100
    assert plain(first + b"".join(made), name) == b"one" * 100 + b"two" * 100
