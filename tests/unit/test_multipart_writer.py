"""Writing multipart/related: what is written reads back equal, has the announced length, and is never held whole."""

import io
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicouch.dicom.media.multipart import iter_parts
from dicouch.dicom.media.multipart_writer import (
    CHUNK,
    SMALL,
    BodyPart,
    WrongLength,
    couch_multipart,
    multipart_content_type,
    multipart_length,
    new_boundary,
    read_pieces,
    write_multipart,
)
from dicouch.dicom.media.negotiate import parse_media_type
from tests.conftest import share


class Pieces(io.RawIOBase):
    """A stream that gives exactly the pieces it was made of, one a read."""

    def __init__(self, pieces):
        self.pieces = iter(pieces)

    def read(self, size):
        return next(self.pieces, b"")


def test_layout():
    parts = [BodyPart({"Content-Type": "a/b", "Content-Location": "/ä"}, b"one"), BodyPart({}, [b"t", b"wo"])]
    assert b"".join(write_multipart(parts, "xyz")) == (
        b"--xyz\r\nContent-Type: a/b\r\nContent-Location: /\xc3\xa4\r\n\r\none\r\n--xyz\r\n\r\ntwo\r\n--xyz--\r\n"
    )


def test_no_parts():
    assert b"".join(write_multipart([], "xyz")) == b"--xyz--\r\n"
    assert multipart_length([], "xyz") == 9
    assert list(iter_parts(io.BytesIO(b"--xyz--\r\n"), "multipart/related; boundary=xyz")) == []


NAMES = st.from_regex(r"[!#$%&'*+.^_`|~0-9a-z-]{1,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FFF, blacklist_categories=("Cc", "Cs"))).map(
    lambda value: value.strip(" \t")
)


@settings(max_examples=share(150), deadline=None)
@given(
    st.lists(st.tuples(st.dictionaries(NAMES, VALUES, max_size=5), st.lists(st.binary(max_size=50), max_size=4))),
    st.from_regex(r"[A-Za-z0-9'()+_,./:=? -]{0,40}[A-Za-z0-9'()+_,./:=?-]", fullmatch=True),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_any_parts_read_back_equal_in_any_pieces(parts, boundary, sizes):
    boundary = f"{boundary}{new_boundary()}"
    made = [BodyPart(headers, body, sum(map(len, body))) for headers, body in parts]
    data = b"".join(write_multipart(made, boundary))
    assert multipart_length(made, boundary) == len(data)
    pieces, start = [], 0
    while start < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[start : start + size])
        start += size
    content_type = multipart_content_type("application/dicom", boundary)
    read = [(part.headers, part.file.read()) for part in iter_parts(Pieces(pieces), content_type)]
    assert read == [(headers, b"".join(body)) for headers, body in parts]


def test_content_type():
    text = multipart_content_type("application/dicom", "abc", "1.2.840.10008.1.2.1")
    assert text == 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1; boundary=abc'
    text = multipart_content_type("application/dicom+xml", "a b")
    assert parse_media_type(text).params == {"type": "application/dicom+xml", "boundary": "a b"}


def test_boundaries_differ_and_need_no_quotes():
    made = {new_boundary() for _ in range(100)}
    assert len(made) == 100
    assert all(len(boundary) <= 70 and boundary.replace("-", "").isalnum() for boundary in made)


def test_length_is_unknown_when_a_part_is():
    assert multipart_length([BodyPart({}, b"x"), BodyPart({}, iter([b"y"]))], "abc") is None


@pytest.mark.parametrize("body", [[b"12"], [b"12", b"34"], []])
def test_a_body_of_another_length_than_announced_breaks_off(body):
    with pytest.raises(WrongLength):
        list(write_multipart([BodyPart({}, body, 3)], "abc"))


@pytest.mark.parametrize("header", [("a", "b\r\nc: d"), ("a", "b\n"), ("a\r", "b")])
def test_a_header_with_a_line_end_is_refused(header):
    with pytest.raises(ValueError, match="line end"):
        list(write_multipart([BodyPart(dict([header]), b"")], "abc"))


def test_small_pieces_are_joined_and_large_ones_are_not_copied():
    large = os.urandom(SMALL)
    pieces = list(write_multipart([BodyPart({}, [large]), *[BodyPart({}, [b"x" * 10] * 10)] * 50], "abc"))
    assert pieces[1] is large
    assert len(pieces) == 3


def test_at_most_one_chunk_is_gathered():
    pieces = write_multipart([BodyPart({}, (bytes(1000) for _ in range(10_000)))], "abc")
    assert max(map(len, pieces)) <= CHUNK + SMALL


class Body:
    def __init__(self, pieces):
        self.pieces = iter(pieces)
        self.closed = False

    def __iter__(self):
        return self.pieces

    def close(self):
        self.closed = True


def test_parts_are_asked_for_one_at_a_time_and_closed_when_sent():
    made = []

    def parts():
        for _ in range(3):
            made.append(Body([bytes(SMALL)]))
            yield BodyPart({}, made[-1])

    pieces = write_multipart(parts(), "abc")
    next(pieces)
    next(pieces)
    assert [body.closed for body in made] == [False]
    next(pieces)
    assert [body.closed for body in made] == [True, False]
    pieces.close()
    assert [body.closed for body in made] == [True, True]


def test_document_with_attachments_for_couchdb():
    first, second = os.urandom(CHUNK + 7), b""
    document = {
        "_id": "a",
        "_attachments": {
            "object.dcm": {"follows": True, "content_type": "application/dicom", "length": len(first)},
            "dataset.json": {"follows": True, "content_type": "application/json", "length": 0},
        },
    }
    files = [io.BytesIO(first), io.BytesIO(second)]
    files[0].read()
    headers, body = couch_multipart(json.dumps(document).encode(), [(files[0], len(first)), (files[1], 0)])
    data = b"".join(body())
    assert len(data) == int(headers["Content-Length"])
    assert b"".join(body()) == data  # the request can be sent again
    assert parse_media_type(headers["Content-Type"]).params["type"] == "application/json"
    parts = list(iter_parts(io.BytesIO(data), headers["Content-Type"]))
    assert parts[0].content_type == "application/json"
    assert json.load(parts[0].file) == document
    assert [part.file.read() for part in parts[1:]] == [first, second]
    assert not files[0].closed


def test_a_document_without_attachments_is_not_sent_as_multipart():
    with pytest.raises(ValueError, match="without attachments"):
        couch_multipart(b"{}", [])


def test_a_file_shorter_than_announced_breaks_off():
    with pytest.raises(WrongLength, match="5 bytes ended after 3"):
        list(read_pieces(io.BytesIO(b"abc"), 5))
    assert b"".join(read_pieces(io.BytesIO(b"abcdef"), 3)) == b"abc"
