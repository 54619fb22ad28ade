"""Reading frames and values of a file where STOW found them, and what answers are made of."""

import io
import json
import struct
import zipfile
from base64 import b64decode
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicouch.dicom.media.zip_stream import write_zip
from dicouch.dicom.pixels.codestream import Header, read_header
from dicouch.errors import DicomWebError
from dicouch.read.metadata import split
from dicouch.read.retrieve import Stored
from dicouch.routes.instances import in_index
from dicouch.store import ATTACHED
from dicouch.store.ranges import cut_out, cut_ranges
from tests.unit import made_part10 as part10
from tests.unit.made_images import Memory, document_of, reader_of, sample


def frame(data: bytes, number: int) -> bytes:
    size, pieces = reader_of(data).frame(document_of(data), number)
    whole = b"".join(pieces())
    assert len(whole) == size
    return whole


def bulk(data: bytes, path: str, start: int = 0, end: int | None = None) -> bytes:
    document = document_of(data)
    size, pieces = reader_of(data).bulk(document, document["file"]["bulk"][path])
    return b"".join(pieces(start, size if end is None else end))


def test_big_endian_words_of_frames_that_begin_within_one():
    # Two frames of three bytes each in words of OW: 1 2 3 | 4 5 6.
    elements = part10.image(rows=1, columns=3, bits=8, order=">", frames="2")
    pixels = part10.element(0x7FE00010, "OW", bytes([2, 1, 4, 3, 6, 5]), order=">")
    data = part10.made(*elements, pixels, syntax=part10.BIG, order=">")
    assert frame(data, 1) == bytes([1, 2, 3])
    assert frame(data, 2) == bytes([4, 5, 6])
    assert bulk(data, "7FE00010") == bytes([1, 2, 3, 4, 5, 6])
    assert bulk(data, "7FE00010", 1, 4) == bytes([2, 3, 4])


def test_big_endian_single_bits():
    # Frames of 12 bits: 0x123 and 0x456, lowest bit first, in words.
    stream = (0x123 | 0x456 << 12).to_bytes(4, "little")
    words = struct.pack(">2H", *struct.unpack("<2H", stream))
    elements = part10.image(rows=3, columns=4, bits=1, order=">", frames="2")
    data = part10.made(*elements, part10.element(0x7FE00010, "OW", words, order=">"), syntax=part10.BIG, order=">")
    assert [int.from_bytes(frame(data, number), "little") for number in (1, 2)] == [0x123, 0x456]


def test_big_endian_values_in_the_data_set_are_little_endian():
    # PS3.18 F.2.7; one more value is long enough to stay in the file.
    small, long = struct.pack(">2H", 1, 2), struct.pack(">1000H", *range(1000))
    elements = [
        part10.element(0x00281201, "OW", small, order=">"),
        part10.element(0x00281202, "OW", long, order=">"),
        part10.element(0x00660016, "OF", struct.pack(">f", 0.5), order=">"),
        part10.element(0x00420012, "LO", "text", order=">"),
    ]
    data = part10.made(*elements, syntax=part10.BIG, order=">")
    dataset = document_of(data)["dataset"]
    assert b64decode(dataset["00281201"]["InlineBinary"]) == struct.pack("<2H", 1, 2)
    assert b64decode(dataset["00660016"]["InlineBinary"]) == struct.pack("<f", 0.5)
    assert bulk(data, "00281202") == struct.pack("<1000H", *range(1000))


def test_deflated_frames_are_inflated_once():
    pixels = np.arange(3 * 50_000, dtype="<u2").tobytes()
    elements = part10.image(rows=50, columns=1000, frames="3")
    data = part10.deflate(part10.made(*elements, part10.element(0x7FE00010, "OW", pixels), syntax=part10.DEFLATED))
    reader, document = reader_of(data), document_of(data)
    opened = []
    memory = reader.store
    reader.store = type("Counting", (), {"open": lambda _self, *args: opened.append(1) or memory.open(*args)})()
    got = b"".join(b"".join(reader.frame(document, number)[1]()) for number in (1, 2, 3))
    assert got == pixels
    assert len(opened) == 1
    assert reader.inflated_size(document) > len(pixels)


def test_a_frame_of_many_fragments_is_one_read():
    fragments = [bytes([number]) * 10 for number in range(200)]
    fragments[0] = b"\xff\xd8" + fragments[0]
    elements = part10.image(frames="1")
    data = part10.made(*elements, part10.encapsulated(*fragments), syntax=part10.JPEG)
    reader = reader_of(data)
    reads = []
    reader.store = Memory(data)
    original = reader.store.open
    reader.store.open = lambda *args: reads.append(args[2:4]) or original(*args)
    _size, pieces = reader.frame(document_of(data), 1)
    assert b"".join(pieces()) == b"".join(fragments)
    assert len(reads) == 1


def test_frames_that_are_not_there():
    with pytest.raises(DicomWebError, match="there is no frame 2: the instance has 1"):
        frame(sample("CT_small.dcm"), 2)


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 60), max_size=8), st.integers(1, 9))
def test_ranges_of_a_stream(data, points, step):
    points = sorted(min(point, len(data)) for point in points)
    ranges = [(points[i] + 5, points[i + 1] + 5) for i in range(0, len(points) - 1, 2)] or [(5, 5 + len(data))]
    chunks = [data[i : i + step] for i in range(0, len(data), step)]
    expected = b"".join(data[start - 5 : end - 5] for start, end in ranges)
    assert b"".join(cut_ranges(iter(chunks), 5, ranges)) == expected
    start, end = ranges[0][0] - 5, ranges[0][1] - 5
    assert b"".join(cut_out(iter(chunks), start, end)) == data[start:end]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("JPEG2000.dcm", Header(1024, 256, 1, 16)),
        ("SC_rgb_jpeg_dcmtk.dcm", Header(100, 100, 3, 8, "YBR_FULL")),
        ("MR_small_jpeg_ls_lossless.dcm", Header(64, 64, 1, 16)),
    ],
)
def test_code_streams_tell_their_size(name, expected):
    assert read_header(frame(sample(name), 1)) == expected


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\0", b"\xff\xd8\xff\xd8\xff", b"\xff\x4f\xff\x51\0"]
)
def test_code_streams_without_a_header(data):
    assert read_header(data) is None


@given(st.binary(max_size=80))
def test_no_code_stream_is_too_odd(data):
    read_header(b"\xff\xd8" + data)
    read_header(b"\xff\x4f\xff\x51" + data)


@given(st.integers(1, 50))
def test_datasets_of_rendered_metadata(step):
    datasets = [{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "a]\n,["}]}}, {}, {"7": {"vr": "SQ", "Value": [{}]}}]
    text = ("[" + ",\n".join(json.dumps(one) for one in datasets) + "]\n").encode()
    pieces = [text[i : i + step] for i in range(0, len(text), step)]
    assert list(split(iter(pieces))) == datasets
    assert list(split(iter([b"[]\n"]))) == []


def test_zip_files_are_read_by_others():
    entries = [("a/b.dcm", [b"x" * 100_000, b"y"]), ("empty", []), ("c", iter([b"1", b"2"]))]
    data = b"".join(write_zip(iter(entries)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a/b.dcm", "empty", "c"]
        assert archive.read("a/b.dcm") == b"x" * 100_000 + b"y"
        assert archive.read("c") == b"12"


def test_a_zip_file_is_written_as_its_entries_come():
    def endless():
        while True:
            yield b"x" * 1000

    pieces = write_zip([("endless", endless())])
    assert sum(len(next(pieces)) for _ in range(1000)) >= 1_000_000
    pieces.close()


@pytest.mark.parametrize(
    ("file", "digest", "usable"),
    [
        ({"store": ATTACHED}, "d", True),
        ({"store": ATTACHED}, "", False),
        ({"store": ATTACHED, "mended": []}, "d", False),
        ({"store": "folder:a", "mended": []}, "", True),
    ],
)
def test_an_instance_that_the_index_told_before_is_used_where_its_bytes_tell_of_a_change(file, digest, usable):
    """The first bytes of a mended one are the server's own: they would be sent before CouchDB refuses."""
    one = Stored("1:1.1:1.1.1", file, digest=digest)
    known = SimpleNamespace(found={"1.1.1": one}, whole=True, fixed=False)
    around = SimpleNamespace(known=lambda *, whole: known, fresh=False)
    assert in_index(around, "1.1.1") == ([one] if usable else None)
    around.fresh = True
    assert in_index(around, "1.1.1") == [one]
    assert in_index(around, "1.1.2") is None
